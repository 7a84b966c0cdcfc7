"""Reads what calls itself the answer of a Prometheus, within limits and believing nothing.

Bytes become typed records, or a `PrometheusError`. The format is that of the HTTP API v1. What a
stranger wrote is shown in messages only as `shown` shows it. Pure.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from inferometer.documents import shown
from inferometer.prom.errors import PrometheusError

SERIES_MAX: Final = 20_000
SAMPLES_MAX: Final = 1_000_000
"""Samples of all series of one answer; each costs some 100 bytes."""
NOTES_MAX: Final = 20
"""Warnings that are kept of one answer."""
TIME_MAX_S: Final = 1e11
"""A later moment is milliseconds that somebody took for seconds."""

T = TypeVar("T")
Labels = tuple[tuple[str, str], ...]
"""Names and values in the order of the names, without `__name__` unless it was selected."""


class Sample(NamedTuple):
    """One value. It may be NaN or infinite: see `answer.answer`."""

    at_s: float
    value: float


class Series(NamedTuple):
    """A series: one sample for a moment, several for a time, in the order of time."""

    labels: Mapping[str, str]
    samples: tuple[Sample, ...]

    @property
    def last(self) -> Sample:
        """Return the newest sample."""
        return self.samples[-1]


class Result(NamedTuple):
    """What a query gave, and what Prometheus remarked: with warnings it may not be whole."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


class Envelope(NamedTuple):
    """The data of a successful answer before it is typed."""

    data: Any
    warnings: tuple[str, ...]
    infos: tuple[str, ...]


def envelope(body: bytes) -> Envelope:
    """Return what is inside of an answer. Raises PrometheusError for whatever is none."""
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse("is no JSON")
    if not isinstance(found, dict):
        _refuse("is no JSON object")
    if found.get("status") == "error":
        kind, text = found.get("errorType"), found.get("error")
        message = f"refuses the query: {shown(str(kind))[1:-1]}: {shown(str(text))}"
        raise PrometheusError(message, reason="query_error")
    if found.get("status") != "success":
        _refuse("has no status")
    return Envelope(found.get("data"), _notes(found, "warnings"), _notes(found, "infos"))


def vector(envelope: Envelope) -> Result:
    """Return the series of an instant query; a scalar becomes one without labels."""
    kind, result = _typed(envelope.data)
    if kind == "scalar":
        return _result(envelope, [Series({}, (_sample(result),))])
    if kind != "vector":
        _refuse(f"is of type {shown(str(kind))}, asked for was a vector")
    found = [Series(_labels(one), (_sample(_part(one, "value")),)) for one in _many(result)]
    return _result(envelope, found)


def matrix(envelope: Envelope, *, samples_max: int = SAMPLES_MAX) -> Result:
    """Return the series of a range query, with at most so many samples in all."""
    kind, result = _typed(envelope.data)
    if kind != "matrix":
        _refuse(f"is of type {shown(str(kind))}, asked for was a matrix")
    found, left = [], samples_max
    for one in _many(result):
        pairs = _listed(_part(one, "values"), "values", left)
        samples = tuple(map(_sample, pairs))
        if any(a.at_s >= b.at_s for a, b in pairwise(samples)):
            _refuse("has samples that are not in the order of time")
        left -= len(samples)
        if samples:
            found.append(Series(_labels(one), samples))
    return _result(envelope, found)


def texts(envelope: Envelope) -> tuple[str, ...]:
    """Return a list of strings, such as the values of a label; null is an empty one."""
    found = _listed(envelope.data if envelope.data is not None else [], "data", SAMPLES_MAX)
    if not all(isinstance(one, str) for one in found):
        _refuse("holds what is no text")
    return tuple(found)


def mapping(envelope: Envelope) -> Mapping[str, Any]:
    """Return an object."""
    if not isinstance(envelope.data, dict):
        _refuse("holds no object")
    return envelope.data


def entries(found: object, read: Callable[[Mapping[str, Any]], T | None]) -> tuple[T, ...]:
    """Return what `read` makes of each object of a list; None leaves it out."""
    objects = _listed(found, "a list", SERIES_MAX)
    made = (read(one) for one in objects if isinstance(one, dict))
    return tuple(one for one in made if one is not None)


def _result(envelope: Envelope, series: Sequence[Series]) -> Result:
    seen = {tuple(sorted(one.labels.items())) for one in series}
    if len(seen) != len(series):
        message = "its answer has the same series twice"
        raise PrometheusError(message, reason="ambiguous")
    return Result(tuple(series), envelope.warnings, envelope.infos)


def _typed(data: object) -> tuple[object, object]:
    if not isinstance(data, dict):
        _refuse("holds no data")
    return data.get("resultType"), data.get("result")


def _many(result: object) -> list[Mapping[str, Any]]:
    found = _listed(result, "result", SERIES_MAX)
    if not all(isinstance(one, dict) for one in found):
        _refuse("has a series that is no object")
    return found


def _listed(found: object, what: str, most: int) -> list[Any]:
    if not isinstance(found, list):
        _refuse(f"has no list as {what}")
    if len(found) > most:
        message = f"its answer has more than {most} entries as {what}"
        raise PrometheusError(message, reason="bad_answer", hint="ask for less at once")
    return found


def _part(one: Mapping[str, Any], name: str) -> object:
    if name not in one and ("histogram" in one or "histograms" in one):
        _refuse("holds native histograms, asked for were numbers")
    return one.get(name)


def _labels(one: Mapping[str, Any]) -> Mapping[str, str]:
    found = one.get("metric")
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        _refuse("has a series without labels")
    return found


def _sample(pair: object) -> Sample:
    match pair:
        case [int() | float() as at_s, str() as text] if not isinstance(at_s, bool):
            value = _number(text)
            if 0 <= at_s <= TIME_MAX_S and value is not None:  # so no infinity, and no huge int
                return Sample(float(at_s), value)
        case _:
            pass
    return _refuse("has a sample that is not a moment and a number")


def _number(text: str) -> float | None:
    """Read a float as Go writes it: no underscores, blanks or words but three."""
    if text in ("NaN", "+Inf", "-Inf", "Inf"):
        return float(text)
    if not text.isascii() or not text or text.strip("0123456789+-.eE"):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _notes(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    notes = found.get(name)
    if not isinstance(notes, list):
        return ()
    return tuple(shown(str(note)) for note in notes[:NOTES_MAX])


def _no_constant(text: str) -> NoReturn:
    message = f"{text} is no JSON"
    raise ValueError(message)


def _refuse(what: str) -> NoReturn:
    message = f"its answer {what}"
    raise PrometheusError(message, reason="bad_answer")
