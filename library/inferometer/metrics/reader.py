"""Reads the expositions of strangers: Prometheus text and OpenMetrics, within limits.

Whatever the bytes are, the answer is a `Page` or an `ExpositionError`. Lines that cannot be read
are left out and counted, since one bad line tells nothing about the others. Numbers stay as they
are written, NaN and infinities included: what they mean is for the caller to say.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from inferometer.errors import WorldError

BYTES_MAX: Final = 8 << 20
LINE_BYTES_MAX: Final = 64 << 10
LINES_MAX: Final = 200_000
LABELS_MAX: Final = 64
"""Limits of a page; a sidecar at its largest bound writes 20,000 lines."""

Reason = Literal["too_large", "not_prometheus"]


class ExpositionError(WorldError):
    """The bytes are no exposition, or more than is read. `reason` is for a metric's label."""

    def __init__(self, message: str, *, reason: Reason) -> None:
        """Keep the reason."""
        self.reason = reason
        super().__init__(message)


class Sample(NamedTuple):
    """One line: the name as written, with `_bucket` or `_total`, the labels, the number."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Page:
    """A whole exposition. `kinds` are the types by family; `skipped` counts unreadable lines."""

    samples: list[Sample] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    skipped: int = 0


_TYPE: Final = re.compile(r"# +TYPE +(\S+) +([a-z]+)\s*")
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
# After the value may come a timestamp and an exemplar; neither is looked at. Possessive matching
# (`*+`) keeps the time linear in the length of a line, whatever it holds.
_SAMPLE: Final = re.compile(
    rf"({_NAME})?[ \t]*+(?:\{{((?:[^\"}}]++|{_QUOTED})*+)\}})?[ \t]*+([^\s#]++)(?:\s.*)?"
)
_LABEL: Final = re.compile(rf"\s*+(?:({_NAME}|{_QUOTED})\s*+=\s*+)?({_QUOTED})\s*+(,|$)")
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", '"': '"', "\\": "\\"}
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_SPECIAL: Final = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_NUMBER_CHARS_MAX: Final = 400


def parse(data: bytes, *, bytes_max: int = BYTES_MAX) -> Page:
    """Return what an exposition says.

    Raises ExpositionError if it is larger than the limits, or if its first line is neither a
    comment nor a sample: an HTML page, JSON. An empty one has no samples.
    """
    if len(data) > bytes_max:
        message = f"an exposition of {len(data)} bytes, at most {bytes_max} are read"
        raise ExpositionError(message, reason="too_large")
    samples: list[Sample] = []
    kinds: dict[str, str] = {}
    skipped = 0
    if data.count(b"\n") > LINES_MAX:
        message = f"an exposition of more than {LINES_MAX} lines"
        raise ExpositionError(message, reason="too_large")
    for line in data.split(b"\n"):
        text = line.decode("utf-8", "replace").strip() if len(line) <= LINE_BYTES_MAX else "?"
        if text.startswith("#"):
            match = _TYPE.fullmatch(text)
            if match:
                kinds[match[1]] = match[2]
        elif text:
            sample = _sample(text)
            if sample is not None:
                samples.append(sample)
            elif not samples and not kinds:
                message = "the first line is neither a comment nor a sample"
                raise ExpositionError(message, reason="not_prometheus")
            else:
                skipped += 1
    return Page(samples, kinds, skipped)


def _sample(line: str) -> Sample | None:
    """Return what a line says, or None if it cannot be read."""
    match = _SAMPLE.fullmatch(line)
    if not match:
        return None
    name, inside, word = match.groups()
    value = _number(word)
    labels = {} if inside is None else _labels(inside)
    if value is None or labels is None:
        return None
    if name is None:  # names beyond the old alphabet stand in quotes among the labels
        name = labels.pop("", None)
    return Sample(name, labels, value) if name and "" not in labels else None


def _labels(inside: str) -> dict[str, str] | None:
    """Return labels; under "" a name without a value. None if it cannot be read."""
    inside = inside.strip()
    labels: dict[str, str] = {}
    position = 0
    while position < len(inside):
        match = _LABEL.match(inside, position)
        if not match or len(labels) == LABELS_MAX:
            return None
        name, text = match[1] or "", _unquote(match[2])
        if name.startswith('"'):
            name = _unquote(name)
        if name in labels:
            return None
        labels[name] = text
        position = match.end()
    return labels


def _unquote(quoted: str) -> str:
    text = quoted[1:-1]
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), text)


def _number(word: str) -> float | None:
    if len(word) > _NUMBER_CHARS_MAX:
        return None
    if _NUMBER.fullmatch(word) or _SPECIAL.fullmatch(word):
        return float(word)
    return None
