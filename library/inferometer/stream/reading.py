"""Readers of strangers' JSON that never raise: documents, counts, durations, text.

A server may send anything: bombs of depth or digits, NaN, a list where a number belongs. Whatever
cannot be read is an event (`Skipped`, `Rejected`) or unknown (None), never an exception and never
zero. What the members mean is for each dialect to say, not for this module.
"""

from json import JSONDecoder
from typing import Final

from inferometer.stream.events import (
    TOKENS_MAX,
    Event,
    Kind,
    Named,
    Output,
    Phase,
    Rejected,
    Reported,
    Skipped,
    Usage,
)
from inferometer.stream.shortening import UnbalancedError, shortened

Message = dict[str, object]
"""A decoded JSON object. A key that comes twice has its last value."""

DONE: Final = b"[DONE]"
"""What OpenAI's dialects end a stream with, and some servers send in every dialect."""

AT_ONCE_BYTES_MAX: Final = 64 << 10
"""A longer document loses its long lists and texts before it is decoded, since nobody else has the
interpreter meanwhile: vectors take 16 ns for each byte. It bounds memory, too: an empty list is 3
bytes of JSON and 64 bytes of memory."""

DIGITS_MAX: Final = 20
"""Longer integers are read as floats, so that no count can be one; Python refuses 4,301 digits."""

SECONDS_MAX: Final = 1e6
"""A request that claims to have lasted eleven days is a fault of the server."""

EMPTY: Final[Message] = {}
"""Stands for an object that is absent; never written to."""


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= DIGITS_MAX else float(digits)


# Raw control characters inside strings are let through: they do not change what a frame says.
_FAST: Final = JSONDecoder(strict=False)
_CAREFUL: Final = JSONDecoder(strict=False, parse_int=_integer)
_AROUND: Final = "\ufeff \t\r\n"


def read(data: bytes) -> Message | Skipped | None:
    """Return the JSON object that the frame `data` holds, or `Skipped` where it holds none.

    None means that there is nothing to read: white space only, or the `[DONE]` of OpenAI. Bytes
    that are no UTF-8 count as replacement characters, as in an event stream.
    """
    if data.strip() in (b"", DONE):
        return None
    value = _document(data)
    if type(value) is dict or type(value) is Skipped:
        return value
    return Skipped("malformed")


def whole(body: bytes) -> Message | Skipped:
    """Return the JSON object of a body that was not streamed, or `Skipped` for what is no JSON.

    A list of one object stands for the object (TGI's `/`); other lists and scalars are answers
    that say nothing about themselves, such as bare vectors: an empty object.
    """
    value = _document(body)
    if type(value) is list and len(value) == 1:
        value = value[0]
    return value if type(value) is dict or type(value) is Skipped else EMPTY


def _document(data: bytes) -> object:
    """Return the value of a JSON text, `Skipped` for what is none; see `AT_ONCE_BYTES_MAX`."""
    if len(data) > AT_ONCE_BYTES_MAX:
        try:
            data = shortened(data)
        except UnbalancedError:
            return Skipped("malformed")
        if len(data) > AT_ONCE_BYTES_MAX:
            return Skipped("too_large")
    return _value(data.decode("utf-8", "replace"))


def _value(text: str) -> object:
    """Return the value of a JSON text, `Skipped` if there is none."""
    try:
        value, end = _FAST.raw_decode(text)
    except (ValueError, RecursionError):
        return _careful(text)
    rest = text[end:].strip(_AROUND)
    return Skipped("malformed") if rest else value


def _careful(text: str) -> object:
    """Return the value of a JSON text that may be hostile, `Skipped` if there is none."""
    try:
        value: object = _CAREFUL.decode(text.strip(_AROUND))
    except (ValueError, RecursionError):
        return Skipped("malformed")
    return value


def count(value: object) -> int | None:
    """Return a number of tokens, or None for what cannot be one.

    A count is an integer from 0 to `TOKENS_MAX`: no bool, no float, no text.
    """
    return value if type(value) is int and 0 <= value <= TOKENS_MAX else None


_NOTHING: Final = (None, None, None, None)


def usage(
    input_tokens: object = None,
    output_tokens: object = None,
    *,
    cached: object = None,
    reasoning: object = None,
    final: bool = True,
) -> list[Event]:
    """Return the `Usage` of four values as they stand in JSON, and `Rejected` if one is no count.

    An absent value (None) is unknown, not rejected. Nothing known means no `Usage` at all.
    """
    stated = (input_tokens, output_tokens, cached, reasoning)
    if stated == _NOTHING:
        return []
    given, made, hits, thought = [None if value is None else count(value) for value in stated]
    known = (given, made, hits, thought)
    events: list[Event] = [] if known == _NOTHING else [Usage(*known, final)]
    if known != stated:
        events.append(Rejected())
    return events


def reported(times: Message, phases: tuple[tuple[str, Phase], ...], unit: float) -> list[Event]:
    """Return the phases that an engine timed: `phases` pairs its member names with ours.

    `unit` is what one of its numbers is worth in seconds. No finite, plausible number, no event.
    """
    if not times:
        return []
    return [
        Reported(phase, value)
        for name, phase in phases
        if (value := _seconds(times.get(name), unit)) is not None
    ]


def _seconds(value: object, unit: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN compares false; comparing an integer, unlike converting it, cannot overflow.
    return value * unit if 0 <= value <= SECONDS_MAX / unit else None


def text(value: object) -> bool:
    """Tell whether `value` is generated payload: a string that is not empty."""
    return type(value) is str and value != ""


def named(model: object) -> list[Event]:
    """Return the model an answer names, if it names one. Callers say it once for an answer."""
    return [Named(model)] if isinstance(model, str) and model else []


def mapping(value: object) -> Message:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else EMPTY


def items(value: object) -> list[Message]:
    """Return the objects of a list, and nothing for whatever is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def length(value: object) -> int:
    """Return how many items a list has; 0 for whatever is no list."""
    return len(value) if isinstance(value, list) else 0


def choice(value: object) -> int:
    """Return the index of a choice; what is no index belongs to the first choice."""
    return value if type(value) is int and value >= 0 else 0


# One object for all tokens of a stream: most events of a stream are the same `Output`.
_FIRST: Final[dict[Kind, Output]] = {
    "text": Output("text"),
    "reasoning": Output("reasoning"),
    "tool": Output("tool"),
    "refusal": Output("refusal"),
    "audio": Output("audio"),
}


def output(kind: Kind, index: int = 0, tokens: int | None = None) -> Output:
    """Return an `Output`, the shared one where its choice is the first and its tokens unknown.

    `tokens` of 0 is unknown too: an output that brought no token tells no size of an arrival.
    """
    if index == 0 and not tokens:
        return _FIRST[kind]
    return Output(kind, index, tokens or None)
