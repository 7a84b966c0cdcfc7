import pytest

from inferometer.stream.dialects.tfserving import TfServing
from support.truths import typed


@pytest.mark.parametrize("body", [b"{}", b"[1,2]", b'{"predictions":[1]}', b'{"error":null}'])
def test_predictions_say_nothing(body: bytes) -> None:
    assert TfServing().whole(body) == []


@pytest.mark.req("DC-06")
def test_an_error_fails_a_body() -> None:
    assert typed(TfServing().whole(b'{"error":"x","model_name":"m"}')) == [("Failed",)]


def test_the_second_protocol_names_its_model() -> None:
    assert typed(TfServing().whole(b'{"model_name":"m"}')) == [("Named", "m")]


def test_chunks_are_not_read() -> None:
    assert TfServing.framing == "opaque"
    assert TfServing().frame(b"", b'{"error":"x"}') == []
