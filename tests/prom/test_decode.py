import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.prom import decode
from inferometer.prom.decode import Envelope, Sample
from inferometer.prom.errors import PrometheusError


def body(data: Any = None, **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": data, **more}).encode()


def one(value: Any) -> bytes:
    series = {"metric": {"slo": "a"}, "value": value}
    return body({"resultType": "vector", "result": [series]})


def matrix(*samples: Any, **more: Any) -> bytes:
    series = {"metric": {"slo": "a"}, "values": list(samples), **more}
    return body({"resultType": "matrix", "result": [series]})


def test_a_vector_is_read_with_labels_moments_and_remarks() -> None:
    text = body(
        {
            "resultType": "vector",
            "result": [{"metric": {"a": "1"}, "value": [1700000000.25, "3.5"]}],
        },
        warnings=["a store was away"],
        infos=["no counter"],
    )
    found = decode.vector(decode.envelope(text))
    assert found.series[0].labels == {"a": "1"}
    assert found.series[0].last == Sample(1700000000.25, 3.5)
    assert (found.warnings, found.infos) == (("'a store was away'",), ("'no counter'",))


def test_a_scalar_is_a_series_without_labels() -> None:
    found = decode.vector(decode.envelope(body({"resultType": "scalar", "result": [5, "2"]})))
    assert found.series[0].labels == {}
    assert found.series[0].last == Sample(5.0, 2.0)


def test_a_matrix_is_read_in_the_order_of_time() -> None:
    found = decode.matrix(decode.envelope(matrix([1, "1"], [2, "NaN"], [3, "+Inf"])))
    values = [sample.value for sample in found.series[0].samples]
    assert values[0] == 1.0
    assert str(values[1:]) == "[nan, inf]"


def test_a_series_without_samples_is_none() -> None:
    assert decode.matrix(decode.envelope(matrix())).series == ()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        [1, "1_0"],
        [1, " 1"],
        [1, ""],
        [1, "0x10"],
        [1, "infinity"],
        [1, "e"],
        [1, "\u0661"],
        ["1", "1"],
        [True, "1"],
        [-1, "1"],
        [1e300, "1"],
        [10**400, "1"],
        [1],
        [1, "1", "2"],
        None,
        {},
    ],
)
def test_what_is_no_sample_is_refused(value: Any) -> None:
    with pytest.raises(PrometheusError, match="not a moment and a number") as caught:
        decode.vector(decode.envelope(one(value)))
    assert caught.value.reason == "bad_answer"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b'{"status": "succ', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"status": NaN}', "no JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "no status"),
        (b'{"status": "success"}', "no data"),
        (b'{"status": "success", "data": {}}', "type 'None'"),
        (body({"resultType": "matrix", "result": []}), "type 'matrix'"),
        (body({"resultType": "string", "result": [1, "x"]}), "type 'string'"),
        (body({"resultType": "vector", "result": {}}), "no list"),
        (body({"resultType": "vector", "result": [1]}), "no object"),
        (body({"resultType": "vector", "result": [{"value": [1, "1"]}]}), "without labels"),
        (
            body({"resultType": "vector", "result": [{"metric": {"a": 1}, "value": [1, "1"]}]}),
            "without labels",
        ),
        (
            body({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}),
            "native histograms",
        ),
    ],
)
def test_whatever_is_no_vector_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(PrometheusError, match=words) as caught:
        decode.vector(decode.envelope(text))
    assert caught.value.reason == "bad_answer"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (one([1, "1"]), "type 'vector'"),
        (matrix([2, "1"], [1, "1"]), "order of time"),
        (matrix([1, "1"], [1, "2"]), "order of time"),
        (body({"resultType": "matrix", "result": [{"metric": {}}]}), "no list"),
        (
            body({"resultType": "matrix", "result": [{"metric": {}, "histograms": []}]}),
            "native histograms",
        ),
    ],
)
def test_whatever_is_no_matrix_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(PrometheusError, match=words):
        decode.matrix(decode.envelope(text))


def test_the_same_series_twice_is_ambiguous() -> None:
    series = {"metric": {"a": "1", "b": "2"}, "value": [1, "1"]}
    other = {"metric": {"b": "2", "a": "1"}, "value": [1, "2"]}
    text = body({"resultType": "vector", "result": [series, other]})
    with pytest.raises(PrometheusError, match="twice") as caught:
        decode.vector(decode.envelope(text))
    assert caught.value.reason == "ambiguous"


@pytest.mark.req("SC-02")
def test_an_error_is_shown_escaped_short_and_without_credentials() -> None:
    error = "at http://user:hunter2@host\n\x1b[31m" + "x" * 1000
    text = json.dumps({"status": "error", "errorType": "bad_data", "error": error}).encode()
    with pytest.raises(PrometheusError, match="bad_data") as caught:
        decode.envelope(text)
    assert caught.value.reason == "query_error"
    words = str(caught.value)
    assert "hunter2" not in words
    assert len(words) < 250
    assert words.isprintable()


def test_more_series_than_are_taken_are_refused() -> None:
    series = [{"metric": {"a": str(n)}, "value": [1, "1"]} for n in range(20_001)]
    text = body({"resultType": "vector", "result": series})
    with pytest.raises(PrometheusError, match="more than 20000"):
        decode.vector(decode.envelope(text))


def test_more_samples_than_are_taken_are_refused_over_all_series() -> None:
    samples = [[n, "1"] for n in range(6)]
    series = [{"metric": {"a": str(n)}, "values": samples} for n in range(2)]
    found = decode.envelope(body({"resultType": "matrix", "result": series}))
    assert len(decode.matrix(found, samples_max=12).series) == 2
    with pytest.raises(PrometheusError, match="more than 5 entries"):
        decode.matrix(found, samples_max=11)


def test_only_some_warnings_are_kept() -> None:
    found = decode.envelope(body({}, warnings=["w"] * 1000, infos="none"))
    assert (len(found.warnings), found.infos) == (20, ())


def test_lists_of_texts_are_texts() -> None:
    assert decode.texts(decode.envelope(body(["a", "b"]))) == ("a", "b")
    assert decode.texts(decode.envelope(body(None))) == ()
    with pytest.raises(PrometheusError, match="no text"):
        decode.texts(decode.envelope(body([1])))
    with pytest.raises(PrometheusError, match="no list"):
        decode.texts(decode.envelope(body({})))


def test_objects_are_objects() -> None:
    assert decode.mapping(decode.envelope(body({"a": 1}))) == {"a": 1}
    with pytest.raises(PrometheusError, match="no object"):
        decode.mapping(decode.envelope(body([])))
    assert decode.entries([{"a": 1}, 5, {}], lambda one: one.get("a")) == (1,)


def test_an_error_can_be_an_answer() -> None:
    error = PrometheusError("gone", reason="unreachable")
    held = error.hold(5.0)
    assert (held.reason, held.detail, held.since_s) == ("unreachable", "gone", 5.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "data", "resultType", "result", "metric", "value"]),
            inner | st.sampled_from(["success", "vector", "matrix"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.binary() | JSON.map(lambda data: json.dumps(data).encode()) | JSON.map(body))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    for read in (decode.vector, decode.matrix, decode.texts, decode.mapping):
        error = refused(read, text)
        assert error is None or str(error).isprintable()


def refused(read: Callable[[Envelope], object], text: bytes) -> PrometheusError | None:
    try:
        read(decode.envelope(text))
    except PrometheusError as error:
        return error
    return None
