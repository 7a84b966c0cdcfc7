"""OpenAI's three streaming dialects, frame by frame, as vLLM and OpenAI write them."""

from collections.abc import Iterator
from typing import Any

from support.turns import Frame, Said, Turn, dumps, sse

DONE = Frame(b"data: [DONE]\n\n")
_ERROR = {"error": {"message": "the engine died", "type": "InternalServerError", "code": 500}}


def _usage(turn: Turn, output_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": turn.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": turn.input_tokens + output_tokens,
    }


def _chunk(turn: Turn, choices: list[Any], **more: Any) -> bytes:
    kind = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": turn.model}
    return sse({**kind, "choices": choices, **more})


def _delta(piece: str, said: Said, *, named: bool) -> dict[str, Any]:
    if said.kind == "reasoning":
        return {"reasoning_content": piece}
    if said.kind == "text":
        return {"content": piece}
    function: dict[str, Any] = {"arguments": piece}
    call: dict[str, Any] = {"index": 0, "function": function}
    if named:
        function["name"] = "look_up"
        call |= {"id": "call-1", "type": "function"}
    return {"tool_calls": [call]}


def _running(turn: Turn) -> Iterator[tuple[str, Said, int]]:
    """Yield each piece with the total of all tokens up to and with it."""
    total = 0
    for piece, said in turn.said:
        total += said.tokens
        yield piece, said, total


def _more(turn: Turn, total: int) -> dict[str, Any]:
    return {"usage": _usage(turn, total)} if turn.running_usage else {}


def _ends(turn: Turn, finished: list[Any]) -> list[Frame]:
    if turn.ending == "error":
        return [Frame(sse(_ERROR)), DONE]
    if turn.ending != "clean":
        return []
    frames = [Frame(_chunk(turn, [end], **_more(turn, turn.output_tokens))) for end in finished]
    if turn.usage:
        frames.append(Frame(_chunk(turn, [], usage=_usage(turn, turn.output_tokens))))
    return [*frames, DONE]


def chat(turn: Turn) -> list[Frame]:
    """Return /v1/chat/completions: role chunks first, then deltas, finish, usage, [DONE]."""
    role = {"role": "assistant", "content": ""}
    frames = [
        Frame(_chunk(turn, [{"index": i, "delta": role, "finish_reason": None}], **_more(turn, 0)))
        for i in range(turn.choices)
    ]
    named: set[int] = set()
    for piece, said, total in _running(turn):
        delta = _delta(piece, said, named=said.choice not in named)
        if said.kind == "tool":
            named.add(said.choice)
        choice = {"index": said.choice, "delta": delta, "logprobs": None, "finish_reason": None}
        frames.append(Frame(_chunk(turn, [choice], **_more(turn, total)), (said,)))
    reason = "tool_calls" if turn.tool else "stop"
    ends = [{"index": i, "delta": {}, "finish_reason": reason} for i in range(turn.choices)]
    return frames + _ends(turn, ends)


def completions(turn: Turn) -> list[Frame]:
    """Return /v1/completions; `token_ids` adds vLLM's `token_ids` and `logprobs.tokens`."""
    frames = []
    for piece, said, total in _running(turn):
        choice: dict[str, Any] = {"index": said.choice, "text": piece, "finish_reason": None}
        if turn.token_ids:
            tokens = [f"t{i}" for i in range(said.tokens)]
            choice["logprobs"] = {"tokens": tokens, "token_logprobs": [-0.1] * said.tokens}
        frames.append(Frame(_chunk(turn, [choice], **_more(turn, total)), (said,)))
    ends = [{"index": i, "text": "", "finish_reason": "stop"} for i in range(turn.choices)]
    return frames + _ends(turn, ends)


def whole_chat(turn: Turn) -> bytes:
    """Return the answer to a chat request that does not stream."""
    message = {"role": "assistant", "content": "".join(turn.words)}
    choices = [
        {"index": i, "message": message, "finish_reason": "stop"} for i in range(turn.choices)
    ]
    answer = {"id": "c-1", "object": "chat.completion", "model": turn.model, "choices": choices}
    return dumps({**answer, "usage": _usage(turn, turn.output_tokens)} if turn.usage else answer)


def whole_completion(turn: Turn) -> bytes:
    """Return the answer to a completion request that does not stream."""
    text = "".join(turn.words)
    choices = [{"index": i, "text": text, "finish_reason": "stop"} for i in range(turn.choices)]
    answer = {"id": "c-1", "object": "text_completion", "model": turn.model, "choices": choices}
    return dumps({**answer, "usage": _usage(turn, turn.output_tokens)} if turn.usage else answer)


def _typed(name: str, **data: Any) -> bytes:
    return sse({"type": name, **data}, event=name)


def _response(turn: Turn, status: str) -> dict[str, Any]:
    response: dict[str, Any] = {"id": "r-1", "object": "response", "model": turn.model}
    response |= {"status": status, "output": [], "error": None, "usage": None}
    if status == "completed":
        reasoning = sum(said.tokens for _, said in turn.said if said.kind == "reasoning")
        response["usage"] = {
            "input_tokens": turn.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": turn.output_tokens,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": turn.input_tokens + turn.output_tokens,
        }
    if status == "failed":
        response["error"] = {"code": "server_error", "message": "the engine died"}
    return response


def _response_piece(piece: str, said: Said, *, named: bool) -> bytes:
    if said.kind == "reasoning":
        return _typed("response.reasoning_text.delta", item_id="i-1", delta=piece)
    if said.kind == "text":
        return _typed("response.output_text.delta", item_id="i-1", content_index=0, delta=piece)
    if not named:
        return _typed("response.function_call_arguments.delta", item_id="i-2", delta=piece)
    item = {"type": "function_call", "id": "i-2", "call_id": "c", "name": piece, "arguments": ""}
    return _typed("response.output_item.added", output_index=1, item=item)


def responses(turn: Turn) -> list[Frame]:
    """Return /v1/responses: typed events; the first piece of `tool` is the function's name."""
    message = {"type": "message", "id": "i-1", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    frames = [
        Frame(_typed("response.created", response=_response(turn, "in_progress"))),
        Frame(_typed("response.in_progress", response=_response(turn, "in_progress"))),
        Frame(_typed("response.output_item.added", output_index=0, item=message)),
        Frame(_typed("response.content_part.added", item_id="i-1", part=part)),
    ]
    tools = 0
    for piece, said in turn.said:
        tools += said.kind == "tool"
        frames.append(Frame(_response_piece(piece, said, named=tools == 1), (said,)))
    match turn.ending:
        case "clean":
            last = _typed("response.completed", response=_response(turn, "completed"))
            return [*frames, Frame(last)]
        case "error":
            last = _typed("response.failed", response=_response(turn, "failed"))
            return [*frames, Frame(last)]
        case _:
            return frames


def whole_response(turn: Turn) -> bytes:
    """Return the answer to a responses request that does not stream."""
    content = [{"type": "output_text", "text": "".join(turn.words), "annotations": []}]
    message = {"type": "message", "id": "i-1", "role": "assistant", "content": content}
    return dumps({**_response(turn, "completed"), "output": [message]})
