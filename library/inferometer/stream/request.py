"""What a request asks for: its dialect and operation by route, its model and the like by its body.

Routes are matched by the end of the path, so that prefixes of gateways do not matter. Nothing here
raises: what cannot be read is unknown.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from inferometer.stream.dialect import Call, Operation, Streaming
from inferometer.stream.events import TOKENS_MAX
from inferometer.stream.sniff import Sniffed, sniff

BODY_BYTES_MAX: Final = 256 << 10
"""How much of a request body is looked at."""

CHOICES_ASKED_MAX: Final = 1024
"""A larger `n` is not believed."""

PATHS_MAX: Final = 256
"""Paths whose route is remembered, the latest ones; a server has some twenty."""

PATH_BYTES_MAX: Final = 256
"""Longer paths are looked up each time."""


class Route(NamedTuple):
    """What method and target tell about a request.

    `stream` is what the dialect does where the body does not say; `fixed` means that the body has
    no say. `quiet` routes generate nothing (`/health`, `/v1/models`): their answers need no
    reading. `model` is the one that the path names. `guessed` is true where servers of several
    dialects have the route.
    """

    dialect: str = "opaque"
    operation: Operation = "other"
    stream: Streaming = "false"
    fixed: bool = False
    quiet: bool = False
    model: str | None = None
    guessed: bool = False


UNKNOWN: Final = Route()
QUIET: Final = Route(fixed=True, quiet=True)
_CHAT: Final = Route("openai_chat", "chat")
_COMPLETIONS: Final = Route("openai_completions", "text_completion")
_EMBEDDINGS: Final = Route("openai_vectors", "embeddings", fixed=True)
_RERANK: Final = Route("openai_vectors", "rerank", fixed=True)
_AUDIO: Final = Route("openai_vectors", "audio")
_IMAGE: Final = Route("openai_vectors", "image")
_TGI: Final = Route("tgi", "text_completion")
_TRITON: Final = Route("triton", "text_completion", fixed=True)
_TORCHSERVE: Final = Route("torchserve", "infer", stream="unknown", fixed=True)
_INFER: Final = Route("tfserving", "infer", fixed=True)
_GEMINI: Final = Route("opaque", "generate_content", fixed=True)

# The end of the path, longest match first; `*` stands for the model, `?` for any one segment.
_ROUTES: Final[Mapping[str, Route]] = {
    "chat/completions": _CHAT,
    "v2/chat": Route("opaque", "chat"),  # Cohere
    "v1/completions": _COMPLETIONS,
    "completions": _COMPLETIONS._replace(guessed=True),  # llama.cpp has it for its own dialect, too
    "v1/responses": Route("openai_responses", "chat"),
    "responses": Route("openai_responses", "chat"),
    "embeddings": _EMBEDDINGS,
    "embed": _EMBEDDINGS,
    "pooling": _EMBEDDINGS,
    "rerank": _RERANK,
    "score": _RERANK,
    "audio/transcriptions": _AUDIO,
    "audio/translations": _AUDIO,
    "audio/speech": _AUDIO,
    "images/generations": _IMAGE,
    "images/edits": _IMAGE,
    "images/variations": _IMAGE,
    "v1/messages": Route("anthropic", "chat"),
    "generate_stream": Route("tgi", "text_completion", stream="true", fixed=True),
    "generate": _TGI,
    "models/*/generate": _TRITON,
    "models/*/versions/?/generate": _TRITON,
    "models/*/generate_stream": _TRITON._replace(stream="true"),
    "models/*/versions/?/generate_stream": _TRITON._replace(stream="true"),
    "api/chat": Route("ollama", "chat", stream="true"),
    "api/generate": Route("ollama", "text_completion", stream="true"),
    "api/embed": _EMBEDDINGS,
    "completion": Route("llamacpp", "text_completion"),
    "infill": Route("llamacpp", "text_completion"),
    "predictions/*": _TORCHSERVE,
    "predictions/*/?": _TORCHSERVE,
    "models/*/:predict": _INFER,
    "models/*/:classify": _INFER,
    "models/*/:regress": _INFER,
    "models/*/versions/?/:predict": _INFER,
    "models/*/versions/?/:classify": _INFER,
    "models/*/versions/?/:regress": _INFER,
    "models/*/infer": _INFER,
    "models/*/versions/?/infer": _INFER,
    "models/*/:generateContent": _GEMINI,
    "models/*/:streamGenerateContent": _GEMINI._replace(stream="true"),
    "messages/count_tokens": QUIET,
    "tokenize": QUIET,
    "detokenize": QUIET,
    "load_lora_adapter": QUIET,
    "unload_lora_adapter": QUIET,
    "api/show": QUIET,
    "api/pull": QUIET,
    "metrics": QUIET,
    "health": QUIET,
}

_ROOT: Final = _TGI  # the bare path `/`, which no prefix can hide

# What a dialect reads where only a setting names it.
_DIALECTS: Final[Mapping[str, Route]] = {
    "openai_chat": _CHAT,
    "openai_completions": _COMPLETIONS,
    "openai_responses": Route("openai_responses", "chat"),
    "openai_vectors": _EMBEDDINGS,
    "anthropic": Route("anthropic", "chat"),
    "tgi": _TGI,
    "triton": _TRITON,
    "ollama": Route("ollama", "chat", stream="true"),
    "llamacpp": Route("llamacpp", "text_completion"),
    "torchserve": _TORCHSERVE,
    "tfserving": _INFER,
    "opaque": UNKNOWN,
}

DIALECTS: Final = tuple(_DIALECTS)
"""The names of all dialects, as a setting may give them."""

_WANTED: Final = frozenset(
    {
        "model",
        "stream",
        "n",
        "echo",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "n_predict",
    }
)
_LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens", "n_predict")

_VERBS: Final = frozenset(
    {"predict", "classify", "regress", "generateContent", "streamGenerateContent"}
)


def _index() -> Mapping[tuple[int, str], list[tuple[str, ...]]]:
    """Return the patterns by their length and last segment, `*` where that is free."""
    index: dict[tuple[int, str], list[tuple[str, ...]]] = {}
    for text in _ROUTES:
        pattern = tuple(text.split("/"))
        last = "*" if pattern[-1] == "?" else pattern[-1]
        index.setdefault((len(pattern), last), []).append(pattern)
    return index


_PATTERNS: Final = _index()
_SEGMENTS_MAX: Final = max(length for length, _ in _PATTERNS)
_ENCODED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def route(method: bytes, target: bytes) -> Route:
    """Return what the first line of a request tells; only POST generates anything."""
    if method != b"POST":
        return QUIET
    path = _path(target)
    return of_path(path) if len(path) <= PATH_BYTES_MAX else of_path.__wrapped__(path)


@lru_cache(maxsize=PATHS_MAX)
def of_path(path: bytes) -> Route:
    """Return what the path of a POST tells; it comes alone, as a query may hold secrets."""
    segments = _segments(path)
    if not segments:
        return _ROOT
    for size in range(min(len(segments), _SEGMENTS_MAX), 0, -1):
        tail = segments[-size:]
        for pattern in (*_PATTERNS.get((size, tail[-1]), ()), *_PATTERNS.get((size, "*"), ())):
            if all(ours in (theirs, "*", "?") for ours, theirs in zip(pattern, tail, strict=True)):
                return _named(_ROUTES["/".join(pattern)], pattern, tail)
    return UNKNOWN


def read(
    route: Route, body: bytes, *, content_type: bytes | None = None, override: str | None = None
) -> Call:
    """Return what the request asks for; `body` is its first part, of at most 256 KiB.

    `override` is the dialect that a setting names: it wins over the route, but for quiet ones.
    """
    chosen = None if route.quiet else _DIALECTS.get(override or "")
    if chosen is not None:
        same = override == route.dialect
        route = route._replace(guessed=False) if same else chosen._replace(model=route.model)
    # `curl -d` says that its JSON is a form; a form that it is says nothing here either way.
    parts = content_type is not None and content_type.lower().startswith(b"multipart/")
    if route.quiet or parts:
        found, silent = Sniffed({}, complete=False), route.quiet
    else:
        found, silent = sniff(body[:BODY_BYTES_MAX], _WANTED), not body
    values = found.values
    model = values.get("model")
    return Call(
        dialect=route.dialect,
        operation=route.operation,
        model=model if isinstance(model, str) and model else route.model,
        stream=_streaming(route, found, silent=silent),
        choices=_whole_number(values["n"], CHOICES_ASKED_MAX) or 1 if "n" in values else 1,
        output_tokens_max=_limit(values),
        echo=values.get("echo") is True and route.operation == "text_completion",
        guessed=route.guessed,
    )


def _streaming(route: Route, found: Sniffed, *, silent: bool) -> Streaming:
    """Return whether a stream is asked for; a key that may still come leaves it unknown."""
    if route.fixed:
        return route.stream
    if "stream" not in found.values:
        return route.stream if found.complete or silent else "unknown"
    value = found.values["stream"]
    if value is None:
        return route.stream
    if value is True:
        return "true"
    return "false" if value is False else "unknown"


def _limit(values: Mapping[str, object]) -> int | None:
    """Return the first limit that is one, of the names that it goes by."""
    for key in _LIMITS:
        if key in values:
            limit = _whole_number(values[key], TOKENS_MAX)
            if limit is not None:
                return limit
    return None


def _whole_number(value: object, maximum: int) -> int | None:
    return value if type(value) is int and 1 <= value <= maximum else None


def plain_path(target: bytes) -> bytes:
    """Return the path of a target with one slash before each of its segments and none at its end.

    So it is one text for all the spellings that `route` reads alike.
    """
    return b"/" + b"/".join(part for part in _path(target).split(b"/") if part)


def _path(target: bytes) -> bytes:
    """Return a target without query, fragment and authority."""
    path = target.partition(b"?")[0].partition(b"#")[0]
    if path.startswith(b"/") or b"://" not in path:
        return path
    return path.partition(b"://")[2].partition(b"/")[2]


def _segments(path: bytes) -> list[str]:
    """Return a path in its parts, without empty ones.

    A `model:verb` in the last place becomes two parts, `model` and `:verb`.
    """
    segments = [part for part in path.decode("latin-1").split("/") if part]
    name, _, verb = segments[-1].rpartition(":") if segments else ("", "", "")
    return [*segments[:-1], name, f":{verb}"] if name and verb in _VERBS else segments


def _named(route: Route, pattern: tuple[str, ...], tail: list[str]) -> Route:
    if "*" not in pattern:
        return route
    return route._replace(model=_unquote(tail[pattern.index("*")]) or None)


def _unquote(text: str) -> str:
    """Return a path segment without percent-encoding; what is no encoding stays as it is."""
    plain = _ENCODED.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode("latin-1"))
    return plain.decode("utf-8", "replace")
