from inferometer.stream.dialects.opaque import Opaque


def test_neither_chunks_nor_bodies_are_read() -> None:
    assert Opaque.framing == "opaque"
    assert Opaque().frame(b"error", b'{"error":"x"}') == []
    assert Opaque().whole(b'{"error":"x","usage":{"prompt_tokens":1}}') == []
