from inferometer.stream.dialects.torchserve import TorchServe


def test_neither_chunks_nor_bodies_are_read() -> None:
    assert TorchServe.framing == "opaque"
    assert TorchServe().frame(b"error", b'{"error":"x"}') == []
    assert TorchServe().whole(b'{"error":"x","usage":{"prompt_tokens":1}}') == []
