"""The streams of Anthropic's API and of the engines' own: TGI, Triton, Ollama, llama.cpp."""

from typing import Any

from support.turns import Frame, Said, Turn, dumps, sse


def _typed(kind: str, **data: Any) -> bytes:
    return sse({"type": kind, **data}, event=kind)


def _block(said: Said, piece: str) -> dict[str, Any]:
    match said.kind:
        case "reasoning":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "text":
            return {"type": "text", "text": ""}
        case "tool":
            return {"type": "tool_use", "id": "toolu_1", "name": piece, "input": {}}


def _block_delta(said: Said, piece: str) -> dict[str, Any]:
    match said.kind:
        case "reasoning":
            return {"type": "thinking_delta", "thinking": piece}
        case "text":
            return {"type": "text_delta", "text": piece}
        case "tool":
            return {"type": "input_json_delta", "partial_json": piece}


def _blocks(turn: Turn) -> list[Frame]:
    """Return content blocks; the start of a tool block is output, others are not."""
    frames: list[Frame] = []
    kind, index = "", -1
    for piece, said in turn.said:
        if said.kind != kind:
            if kind:
                frames.append(Frame(_typed("content_block_stop", index=index)))
            kind, index = said.kind, index + 1
            start = _typed("content_block_start", index=index, content_block=_block(said, piece))
            frames.append(Frame(start, (said,) if kind == "tool" else ()))
            if kind == "tool":
                continue
        delta = _typed("content_block_delta", index=index, delta=_block_delta(said, piece))
        frames.append(Frame(delta, (said,)))
    return [*frames, Frame(_typed("content_block_stop", index=index))] if kind else frames


def anthropic(turn: Turn) -> list[Frame]:
    """Return /v1/messages: cumulative usage in message_start and message_delta, pings between."""
    begun = {"input_tokens": turn.input_tokens, "output_tokens": 0}
    message: dict[str, Any] = {"id": "msg-1", "type": "message", "role": "assistant"}
    message |= {"model": turn.model, "content": [], "stop_reason": None, "usage": begun}
    frames = [Frame(_typed("message_start", message=message)), Frame(_typed("ping"))]
    frames += _blocks(turn)
    if turn.ending == "error":
        error = {"type": "overloaded_error", "message": "Overloaded"}
        return [*frames, Frame(_typed("error", error=error))]
    if turn.ending != "clean":
        return frames[:-1]  # the last block was still open
    reason = "tool_use" if turn.tool else "end_turn"
    delta = {"stop_reason": reason, "stop_sequence": None}
    usage = {"output_tokens": turn.output_tokens}
    frames.append(Frame(_typed("message_delta", delta=delta, usage=usage)))
    return [*frames, Frame(_typed("message_stop"))]


def whole_anthropic(turn: Turn) -> bytes:
    """Return the answer to a messages request that does not stream."""
    usage = {"input_tokens": turn.input_tokens, "output_tokens": turn.output_tokens}
    content = [{"type": "text", "text": "".join(turn.words)}]
    message = {"id": "msg-1", "type": "message", "role": "assistant", "model": turn.model}
    return dumps({**message, "content": content, "stop_reason": "end_turn", "usage": usage})


def _data(value: Any) -> bytes:
    return b"data:" + dumps(value) + b"\n\n"  # TGI writes no space


def tgi(turn: Turn) -> list[Frame]:
    """Return /generate_stream: one token per event, the last one with the whole text."""
    frames = []
    pieces = turn.said
    for i, (piece, said) in enumerate(pieces):
        token = {"id": i, "text": piece, "logprob": -0.5, "special": False}
        event: dict[str, Any] = {"index": i, "token": token, "generated_text": None}
        event["details"] = None
        if turn.ending == "clean" and i == len(pieces) - 1:
            event["generated_text"] = "".join(turn.words)
            event["details"] = {
                "finish_reason": "length",
                "generated_tokens": turn.output_tokens,
                "input_length": turn.input_tokens,
                "seed": None,
            }
        frames.append(Frame(_data(event), (said,)))
    if turn.ending == "error":
        frames.append(Frame(_data({"error": "out of memory", "error_type": "generation"})))
    return frames


def whole_tgi(turn: Turn) -> bytes:
    """Return the answer of /generate."""
    details = {"finish_reason": "length", "generated_tokens": turn.output_tokens}
    details |= {"input_length": turn.input_tokens, "prefill": [], "tokens": []}
    return dumps({"generated_text": "".join(turn.words), "details": details})


def triton(turn: Turn) -> list[Frame]:
    """Return /v2/models/M/generate_stream: no terminator, no usage."""
    named = {"model_name": turn.model, "model_version": "1"}
    frames = [Frame(sse({**named, "text_output": piece}), (said,)) for piece, said in turn.said]
    if turn.ending == "error":
        frames.append(Frame(sse({"error": "the instance crashed"})))
    return frames


def whole_triton(turn: Turn) -> bytes:
    """Return the answer of /v2/models/M/generate."""
    text = "".join(turn.words)
    return dumps({"model_name": turn.model, "model_version": "1", "text_output": text})


def _line(value: Any) -> bytes:
    return dumps(value) + b"\n"


def _ollama_end(turn: Turn, empty: dict[str, Any]) -> list[Frame]:
    if turn.ending == "error":
        return [Frame(_line({"error": "an unknown error was encountered"}))]
    if turn.ending != "clean":
        return []
    counts = {"prompt_eval_count": turn.input_tokens, "eval_count": turn.output_tokens}
    times = {"total_duration": 9_000_000, "load_duration": 1_000_000}
    times |= {"prompt_eval_duration": 3_000_000, "eval_duration": 5_000_000}
    end = {"model": turn.model, **empty, "done": True, "done_reason": "stop", **times, **counts}
    return [Frame(_line(end))]


def _ollama_message(piece: str, said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    match said.kind:
        case "reasoning":
            message["thinking"] = piece
        case "text":
            message["content"] = piece
        case "tool":
            call = {"function": {"name": "look_up", "arguments": {"q": piece}}}
            message["tool_calls"] = [call]
    return message


def ollama_chat(turn: Turn) -> list[Frame]:
    """Return /api/chat: NDJSON, one token per line."""
    named = {"model": turn.model, "created_at": "2026-01-01T00:00:00Z"}
    frames = [
        Frame(_line({**named, "message": _ollama_message(piece, said), "done": False}), (said,))
        for piece, said in turn.said
    ]
    return frames + _ollama_end(turn, {"message": {"role": "assistant", "content": ""}})


def ollama_generate(turn: Turn) -> list[Frame]:
    """Return /api/generate: NDJSON, one token per line."""
    named = {"model": turn.model, "created_at": "2026-01-01T00:00:00Z"}
    frames = []
    for piece, said in turn.said:
        key = "thinking" if said.kind == "reasoning" else "response"
        line = {**named, "response": "", key: piece, "done": False}
        frames.append(Frame(_line(line), (said,)))
    return frames + _ollama_end(turn, {"response": ""})


def whole_ollama(turn: Turn) -> bytes:
    """Return the answer of /api/chat with `stream: false`."""
    (end,) = _ollama_end(turn, {"message": {"role": "assistant", "content": "".join(turn.words)}})
    return end.data.rstrip(b"\n")


def llamacpp(turn: Turn) -> list[Frame]:
    """Return /completion of llama.cpp's server."""
    frames = []
    total = 0
    for piece, said in turn.said:
        total += said.tokens
        ids = list(range(said.tokens))
        event = {"index": 0, "content": piece, "tokens": ids, "stop": False, "id_slot": 0}
        event |= {"tokens_predicted": total, "tokens_evaluated": turn.input_tokens}
        frames.append(Frame(sse(event), (said,)))
    if turn.ending == "error":
        error = {"code": 500, "message": "slot unavailable", "type": "server_error"}
        frames.append(Frame(sse({"error": error})))
    elif turn.ending == "clean":
        frames.append(Frame(sse(_llamacpp_end(turn, ""))))
    return frames


def _llamacpp_end(turn: Turn, content: str) -> dict[str, Any]:
    timings = {"prompt_n": turn.input_tokens, "prompt_ms": 3.0}
    timings |= {"predicted_n": turn.output_tokens, "predicted_ms": 5.0}
    end: dict[str, Any] = {"index": 0, "content": content, "tokens": [], "stop": True}
    end |= {"model": turn.model, "tokens_predicted": turn.output_tokens, "stop_type": "eos"}
    return end | {"tokens_evaluated": turn.input_tokens, "timings": timings}


def whole_llamacpp(turn: Turn) -> bytes:
    """Return the answer of /completion without streaming."""
    return dumps(_llamacpp_end(turn, "".join(turn.words)))


def torchserve(turn: Turn) -> list[Frame]:
    """Return /predictions/M: text in raw chunks, whose meaning only the handler's author knows."""
    return [Frame(piece.encode()) for piece, _ in turn.said]


def tfserving(turn: Turn) -> bytes:
    """Return /v1/models/M:predict."""
    return dumps({"predictions": [[float(i) for i in range(turn.output_tokens)]]})
