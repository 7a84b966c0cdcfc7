"""Why generation stopped: the words of all servers, mapped to one closed set.

The spellings of different servers do not contradict each other, so that one table serves all
dialects, and a gateway that answers with another server's words is understood as well.
"""

from collections.abc import Mapping
from typing import Final

from inferometer.stream.events import Finish

FINISHES: Final[Mapping[str, Finish]] = {
    "stop": "stop",
    "completed": "stop",  # OpenAI responses
    "end_turn": "stop",  # Anthropic
    "stop_sequence": "stop",  # Anthropic, TGI
    "eos_token": "stop",  # TGI
    "eos": "stop",  # llama.cpp
    "word": "stop",  # llama.cpp: a stop word of the request
    "length": "length",
    "max_tokens": "length",  # Anthropic
    "model_context_window_exceeded": "length",  # Anthropic
    "max_output_tokens": "length",  # OpenAI responses
    "limit": "length",  # llama.cpp
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",  # OpenAI before tools
    "tool_use": "tool_calls",  # Anthropic
    "content_filter": "content_filter",
    "refusal": "content_filter",  # Anthropic
    "error": "error",
    "failed": "error",  # OpenAI responses
    "abort": "abort",  # vLLM and SGLang: stopped from outside or by the scheduler
    "cancelled": "abort",  # OpenAI responses
    "none": "unknown",  # llama.cpp
}


def finish(reason: object) -> Finish | None:
    """Return why a choice stopped, None where it has not.

    Absent, null and "" mean that it goes on (SGLang sent "" in every chunk: sgl-project/sglang
    #3912). A word we do not know is `other`; a value that is no word is `unknown`. SGLang's native
    `{"type": "stop"}` is read too.
    """
    if reason is None or reason == "":
        return None
    if isinstance(reason, dict):
        reason = reason.get("type")
    if type(reason) is not str:
        return "unknown"
    return FINISHES.get(reason, "other")
