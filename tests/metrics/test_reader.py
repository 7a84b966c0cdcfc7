import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from inferometer.errors import WorldError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import write
from inferometer.metrics.reader import (
    BYTES_MAX,
    LABELS_MAX,
    LINE_BYTES_MAX,
    LINES_MAX,
    ExpositionError,
    Page,
    Sample,
    parse,
)

PAGE = b"""# HELP vllm:requests_total What came.
# TYPE vllm:requests_total counter
vllm:requests_total{model="a\\"b\\\\c\\nd",code="200"} 3 1700000000000
# TYPE wait_seconds histogram

wait_seconds_bucket{le="0.5"} 1 # {trace_id="ab}c"} 0.3 1700000000.1
wait_seconds_bucket { le = "+Inf" , } 2
wait_seconds_sum 1.5e-3
\tplain\tNaN
# EOF
"""


def test_a_page_is_read_with_timestamps_and_exemplars_left_out() -> None:
    page = parse(PAGE)
    assert page.kinds == {"vllm:requests_total": "counter", "wait_seconds": "histogram"}
    assert page.samples[:4] == [
        Sample("vllm:requests_total", {"model": 'a"b\\c\nd', "code": "200"}, 3),
        Sample("wait_seconds_bucket", {"le": "0.5"}, 1),
        Sample("wait_seconds_bucket", {"le": "+Inf"}, 2),
        Sample("wait_seconds_sum", {}, 0.0015),
    ]
    assert page.samples[4].name == "plain"
    assert math.isnan(page.samples[4].value)
    assert page.skipped == 0


def test_names_of_prometheus_3_stand_in_quotes_among_the_labels() -> None:
    page = parse(b'{"gen_ai.server.requests","http.route"="/x",a="b"} 1\n')
    assert page.samples == [
        Sample("gen_ai.server.requests", {"http.route": "/x", "a": "b"}, 1),
    ]


@pytest.mark.parametrize(
    ("word", "value"),
    [("+Inf", math.inf), ("-inf", -math.inf), ("1e3", 1000), ("+.5", 0.5), ("-0", 0), ("7.", 7)],
)
def test_numbers_stay_as_they_are_written(word: str, value: float) -> None:
    assert parse(f"x {word}".encode()).samples == [Sample("x", {}, value)]


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"x y",
        b"x 1_000",
        b"x 0x10",
        b"x infinity_",
        b"x " + b"9" * 401,
        b"1x 1",
        b"x{a} 1",
        b'x{a="b} 1',
        b'x{a="b"',
        b'x{a="b" c="d"} 1',
        b'x{a="b",a="c"} 1',
        b'x{"y"} 1',
        b'{a="b"} 1',
        b'{"n","m"} 1',
        b"{} 1",
        b"x{",
        b'x{a="\\',
        b"x{%s} 1" % b",".join(b'l%d="v"' % n for n in range(LABELS_MAX + 1)),
        b"y" * (LINE_BYTES_MAX + 1) + b" 1",
    ],
)
def test_a_line_that_cannot_be_read_is_left_out_and_counted(line: bytes) -> None:
    page = parse(b"good 1\n" + line + b"\ngood 2\n")
    assert [sample.value for sample in page.samples] == [1, 2]
    assert page.skipped == 1


def test_a_line_at_the_limits_is_read() -> None:
    labels = b",".join(b'l%d="v"' % n for n in range(LABELS_MAX))
    assert len(parse(b"x{%s} 1" % labels).samples[0].labels) == LABELS_MAX
    name = "n" * (LINE_BYTES_MAX - 2)
    assert parse(f"{name} 1".encode()).samples == [Sample(name, {}, 1)]


def test_an_empty_page_has_no_samples() -> None:
    assert parse(b"") == parse(b"\n \r\n") == Page([], {}, 0)


@pytest.mark.parametrize("data", [b"<html>", b'{"status":"success"}', b"[]", b"\x1f\x8b\x08"])
def test_what_begins_as_something_else_is_no_exposition(data: bytes) -> None:
    with pytest.raises(ExpositionError, match="neither a comment nor a sample") as error:
        parse(data)
    assert error.value.reason == "not_prometheus"
    assert isinstance(error.value, WorldError)


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"#" * (BYTES_MAX + 1), f"at most {BYTES_MAX} are read"),
        (b"\n" * (LINES_MAX + 1), f"more than {LINES_MAX} lines"),
    ],
    ids=["bytes", "lines"],
)
def test_a_page_beyond_a_limit_is_refused(data: bytes, limit: str) -> None:
    with pytest.raises(ExpositionError, match=limit) as error:
        parse(data)
    assert error.value.reason == "too_large"


def test_the_limit_on_bytes_can_be_set() -> None:
    assert len(parse(b"x 1\n", bytes_max=4).samples) == 1
    with pytest.raises(ExpositionError, match="at most 4 are read"):
        parse(b"x 10\n", bytes_max=4)


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_the_own_error(data: bytes) -> None:
    try:
        page = parse(data)
    except ExpositionError:
        return
    assert len(page.samples) <= data.count(b"\n") + 1


PIECES = st.sampled_from(
    ["x", "{", "}", '"', "\\", ",", "=", " ", "#", "1", "NaN", "\n", "# TYPE ", "le", "é", "\ud800"]
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_no_text_that_looks_like_a_page_raises_anything_else(text: str) -> None:
    try:
        page = parse(text.encode("utf-8", "surrogatepass"))
    except ExpositionError:
        return
    assert all(sample.name for sample in page.samples)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_what_we_write_we_read_as_others_do(value: str) -> None:
    registry = Registry()
    registry.histogram("inferometer_request_read_seconds", "sidecar", "m").add(0.3, 2)
    data = b"".join(write(registry, openmetrics=False))
    escaped = value.translate({ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"})
    data += f'odd{{value="{escaped}"}} 1\n'.encode()
    theirs = [
        Sample(sample.name, dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(data.decode())
        for sample in family.samples
    ]
    assert sorted(parse(data).samples, key=str) == sorted(theirs, key=str)


@pytest.mark.parametrize(
    "line",
    [
        b'x{a="' + b"\\" * 60_000,
        b"x{" + b'"' * 60_001,
        b"x{" + b"a," * 30_000 + b"} 1",
        b"x" + b" " * 60_000 + b"y",
        b"#" + b" TYPE" * 12_000,
        b"# TYPE " + b" " * 60_000,
        b"1" * 60_000,
    ],
)
def test_no_line_takes_more_than_linear_time(line: bytes) -> None:
    begun_s = time.thread_time()
    parse(b"good 1\n" + (line + b"\n") * 10)
    assert time.thread_time() - begun_s < 1
