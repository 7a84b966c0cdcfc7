"""A capture says what was called, hides what names a machine, and has a bound."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.capture import ANYWHERE_BYTES, Aliases, Call, Writer

UUID = b"GPU-a1b2c3d4-0000-1111-2222-333344445555"


def lines(file: io.BytesIO) -> list[Any]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_a_capture_has_a_head_calls_and_an_end() -> None:
    file = io.BytesIO()
    writer = Writer(file, bytes_max=10_000)
    writer.begin(start_us=5, driver="580.1", host=None)
    call = Call("nvmlX", (0, 2), [1, "a", None], code=3, buffers=[b"\x01\0\0\0", b"\0\0"])
    writer.call(call, t_us=7, took_us=1.26)
    writer.missing("nvmlY")
    writer.end()
    assert lines(file) == [
        {"capture": 1, "start_us": 5, "driver": "580.1", "raw": False},
        {
            "t_us": 7,
            "took_us": 1.3,
            "call": "nvmlX",
            "device": [0, 2],
            "args": [1, "a", None],
            "code": 3,
            "out": [[4, "01"], [2, ""]],
        },
        {"missing": "nvmlY"},
        {"end": "done", "calls": 1},
    ]


def test_only_a_raw_capture_names_the_host() -> None:
    file = io.BytesIO()
    Writer(file, bytes_max=10_000).begin(start_us=5, driver="", host="node-7")
    assert lines(file)[0]["host"] == "node-7"
    assert lines(file)[0]["raw"] is True


@given(sizes=st.lists(st.integers(0, 300), max_size=20), bytes_max=st.integers(400, 3000))
def test_a_capture_is_never_larger_than_its_bound(sizes: list[int], bytes_max: int) -> None:
    file = io.BytesIO()
    writer = Writer(file, bytes_max=bytes_max)
    writer.begin(start_us=0, driver="", host=None)
    for size in sizes:
        writer.call(Call("x", None, [], code=0, buffers=[b"\xff" * size]), t_us=0, took_us=0)
    writer.end()
    assert len(file.getvalue()) <= bytes_max
    *_, end = lines(file)
    assert end == {"end": "full" if writer.full else "done", "calls": writer.calls}
    assert writer.full == (writer.calls < len(sizes))


def test_nothing_follows_a_call_that_did_not_fit() -> None:
    file = io.BytesIO()
    writer = Writer(file, bytes_max=500)
    large = Call("x", None, [], code=0, buffers=[b"\xff" * 500])
    writer.call(large, t_us=0, took_us=0)
    writer.call(Call("y", None, [], code=0, buffers=[]), t_us=1, took_us=0)
    writer.end()
    assert lines(file) == [{"end": "full", "calls": 0}]


def test_a_secret_is_replaced_by_the_same_thing_of_the_same_form_everywhere() -> None:
    aliases = Aliases()
    hidden = aliases.hide_text(UUID)
    assert hidden == b"GPU-00000000-0000-0000-0000-000000000001"
    assert aliases.hide_text(UUID) == hidden
    assert aliases.hide(b"MIG-" + UUID + b"/1/0") == b"MIG-" + hidden + b"/1/0"
    assert aliases.hide_text(b"MIG-" + UUID + b"/1/0") == b"MIG-" + hidden + b"/1/0"
    assert aliases.hide_text(b"1650421000001") == b"0000000000002"


def test_two_secrets_have_two_aliases() -> None:
    aliases = Aliases()
    assert aliases.hide_text(b"serial-a") != aliases.hide_text(b"serial-b")
    assert aliases.hide_bytes(b"\x01" * 16) != aliases.hide_bytes(b"\x02" * 16)


def test_a_short_secret_is_replaced_where_it_is_told_only() -> None:
    aliases = Aliases()
    short = b"7" * (ANYWHERE_BYTES - 1)
    assert aliases.hide_text(short) != short
    assert aliases.hide(b"<" + short + b">") == b"<" + short + b">"


@pytest.mark.parametrize("blank", [b"", b"\0" * 16])
def test_nothing_is_no_secret(blank: bytes) -> None:
    aliases = Aliases()
    assert aliases.hide_text(b"") == b""
    assert aliases.hide_bytes(blank) == blank


@given(st.lists(st.binary(min_size=8, max_size=40), unique=True, max_size=20))
def test_what_was_told_once_is_nowhere_afterwards(secrets: list[bytes]) -> None:
    aliases = Aliases()
    told = [aliases.hide_text(b"s:" + secret + b":e") for secret in secrets]
    for secret, alias in zip(secrets, told, strict=True):
        assert len(alias) == len(secret) + 4
        whole = b"..s:" + secret + b":e.."
        if b"s:" + secret + b":e" not in told:
            assert aliases.hide(whole) != whole or alias == b"s:" + secret + b":e"
