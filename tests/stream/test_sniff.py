"""Rules of reading top-level keys out of the first part of a JSON object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.sniff import (
    DECODED_BYTES_MAX,
    MEMBERS_MAX,
    NESTED,
    REPEATED,
    VALUE_BYTES_MAX,
    Sniffed,
    sniff,
)

WANTED = frozenset({"model", "stream", "n"})


def test_wanted_keys_of_the_top_level_are_read_and_all_others_skipped() -> None:
    text = b"""\xef\xbb\xbf {"messages": [{"model": "no", "x": "]}{[\\"model\\":1"}], "model" : "m",
    "options":{"stream":true,"deep":[[{}]]}, "stream":false,"n":2,"t":-1.5e3,"z":null} trailing"""
    assert sniff(text, WANTED) == Sniffed({"model": "m", "stream": False, "n": 2}, complete=True)


@pytest.mark.parametrize("text", [b"{}", b" { } ", b'{"x":[]}', b'{"x":"}"}'])
def test_an_object_without_wanted_keys_is_complete(text: bytes) -> None:
    assert sniff(text, WANTED) == Sniffed({}, complete=True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'"model"',
        b"model=m",
        b"{model:1}",
        b"{,}",
        b'{"x" 1}',
        b"\xff\xfe{",
        b"{'a':1}",
    ],
)
def test_what_is_no_json_object_has_no_keys(text: bytes) -> None:
    assert sniff(text, WANTED) == Sniffed({}, complete=False)


def test_what_came_before_a_fault_counts() -> None:
    assert sniff(b'{"model":"m" "stream":true}', WANTED).values == {"model": "m"}
    assert sniff(b'{"model":"m",}', WANTED) == Sniffed({"model": "m"}, complete=False)


def test_a_repeated_key_is_repeated_however_it_is_written() -> None:
    text = b'{"model":"a","mod\\u0065l":"b","stream":true,"stream":true}'
    assert sniff(text, WANTED).values == {"model": REPEATED, "stream": REPEATED}


def test_escapes_and_surrogates_in_values_are_decoded() -> None:
    text = rb'{"model":"\u00e9\ud83d\ude00\n\"","n":"\ud800"}'
    assert sniff(text, WANTED).values == {"model": 'é😀\n"', "n": "\ud800"}


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    assert sniff(b'{"model":"a\xff"}', WANTED).values == {"model": "a�"}


@pytest.mark.parametrize("value", [b"[1]", b'{"a":1}', b"xyz", b"1.2.3", b'"\\q"'])
def test_a_value_of_no_use_is_there_but_unknown(value: bytes) -> None:
    assert sniff(b'{"model":' + value + b"}", WANTED).values == {"model": NESTED}


def test_a_value_longer_than_any_name_is_not_decoded() -> None:
    fits = b"m" * (VALUE_BYTES_MAX - 2)
    assert sniff(b'{"model":"' + fits + b'"}', WANTED).values == {"model": fits.decode()}
    assert sniff(b'{"model":"' + fits + b'x"}', WANTED).values == {"model": NESTED}
    key = b"\\u006d" * 1000
    assert sniff(b'{"' + key + b'":1,"n":2}', WANTED).values == {"n": 2}


def test_a_number_that_may_be_cut_is_not_known() -> None:
    assert sniff(b'{"n":12', WANTED).values == {}
    assert sniff(b'{"n":12 ', WANTED).values == {"n": 12}


def test_no_more_members_are_looked_at_than_the_limit() -> None:
    many = b'"x":1,' * (MEMBERS_MAX - 1)
    assert sniff(b"{" + many + b'"n":2}', WANTED) == Sniffed({"n": 2}, complete=True)
    assert sniff(b"{" + many + b'"y":1,"n":2}', WANTED) == Sniffed({}, complete=False)


@pytest.mark.parametrize(
    "unit", [b"[", b"[[]", b'{"a":', b'"', b'\\"', b"\\", b" ", b"1,", b'"a":1,', b'["a\\\\",']
)
@pytest.mark.parametrize("start", [b"", b'{"a":', b'{"', b'{"a":"', b'{"a":['])
def test_hostile_prefixes_end_without_recursion(start: bytes, unit: bytes) -> None:
    text = start + unit * ((256 << 10) // len(unit))
    assert not sniff(text, WANTED).complete


def test_the_work_grows_with_the_text_and_not_with_its_square() -> None:
    depth = 10**6  # a scan that went back, or recursed, would not end
    assert sniff(b'{"x":' + b"[" * depth + b"]" * depth + b',"n":1}', WANTED).values == {"n": 1}


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["model", "stream", "n", "x", "é"]), TREES)


@given(OBJECTS, st.booleans())
def test_any_object_is_read_as_json_reads_it(value: dict[str, object], escaped: bool) -> None:  # noqa: FBT001  # hypothesis passes it
    text = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    scalars = {
        key: NESTED if isinstance(value[key], dict | list) else value[key]
        for key in WANTED & value.keys()
    }
    assert sniff(text, WANTED) == Sniffed(scalars, complete=True)


def scanned(text: bytes) -> Sniffed:
    """Return what the scanner reads: a text that does not begin with its brace is never decoded."""
    return sniff(b" " + text, WANTED)


MEMBERS = st.lists(st.tuples(st.sampled_from(["model", "stream", "n", "x"]), TREES))


@given(MEMBERS, st.booleans())
def test_a_text_that_is_decoded_says_what_the_scanner_reads(
    members: list[tuple[str, object]],
    escaped: bool,  # noqa: FBT001  # hypothesis passes it
) -> None:
    pairs = (f'"{key}":{json.dumps(value, ensure_ascii=escaped)}' for key, value in members)
    text = ("{" + ",".join(pairs) + "} rest").encode("utf-8", "surrogatepass")
    assert sniff(text, WANTED) == scanned(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"model":"' + b"\\ud83d\\ude00" * 341 + b'"}',  # 4,094 bytes of 341 characters
        b'{"model":"' + b"\\ud83d\\ude00" * 342 + b'"}',
        b'{"model":"' + b"\\u006d" * 683 + b'"}',
        b'{"model":"a\xff","x":"\xe4\xb8","n":1}',
        b'{"model":"a","x":"\n\t\x00"}',
        b'{"n":NaN,"stream":-Infinity,"model":1e400}',
        b'{"n":01}',
        b'{"x":"\\q","n":1}',
        b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"n":1}',
        b'{"x":"' + b"y" * DECODED_BYTES_MAX + b'","n":1,"n":2}',
        b'{"model":"a","model":{}}',
    ],
)
def test_what_is_at_a_limit_of_decoding_is_read_as_ever(text: bytes) -> None:
    assert repr(sniff(text, WANTED)) == repr(scanned(text))  # NaN is not equal to itself


@given(OBJECTS, st.integers(min_value=0))
def test_a_cut_object_tells_nothing_wrong(value: dict[str, object], at: int) -> None:
    text = json.dumps(value).encode()
    whole, cut = sniff(text, WANTED), sniff(text[: at % len(text)], WANTED)
    assert not cut.complete
    assert cut.values.items() <= whole.values.items()


@given(st.binary())
def test_any_bytes_are_read_without_raising(text: bytes) -> None:
    assert set(sniff(b"{" + text, WANTED).values) <= WANTED
