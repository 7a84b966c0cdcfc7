"""Whether a class of a document can ever get a request, or an earlier one takes them all."""

from collections.abc import Iterator
from typing import Final

from inferometer.slo.document import Class
from inferometer.slo.match import glob
from inferometer.stream.dialect import Operation
from inferometer.stream.request import of_path

NO_TOKENS: Final[frozenset[Operation]] = frozenset({"embeddings", "rerank", "audio", "image"})
"""Operations whose answers hold no output tokens."""

# A text that no pattern spells out: only a `*` takes it, so it stands for any text.
_ANYTHING: Final = "\0"


def hides(earlier: Class, later: Class) -> bool:
    """Tell whether `earlier` takes every request that `later` would take.

    One class is compared with one: whether several together leave nothing is not looked at.
    """
    ours, theirs = earlier.match, later.match
    streams = set(_streams(later))
    return (
        streams <= set(_streams(earlier))
        and _covers(ours.model, theirs.model)
        and _covers(ours.tenant, theirs.tenant)
        and (_covers(ours.route, theirs.route) if ours.route else not _names_quiet(later))
        and (ours.header is None or _covers_header(earlier, later))
    )


def operations(one: Class) -> set[Operation] | None:
    """Return the operations of the routes that a class names; None where they may be any."""
    if not one.match.route or any("*" in pattern for pattern in one.match.route):
        return None
    return {of_path(path.encode("utf-8", "replace")).operation for path in one.match.route}


def _streams(one: Class) -> Iterator[str]:
    """Yield what the request may say about streaming, where something of the class applies."""
    for stream in ("true", "false", "unknown"):
        wanted = one.match.stream
        fits = wanted is None or stream == ("true" if wanted else "false")
        if fits and one.good.applies(streamed=stream != "false"):
            yield stream


def _covers(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Tell whether one list of patterns takes whatever the other takes; an empty one takes all."""
    if not ours or not theirs:
        return not ours
    return all(
        any(glob(wide, narrow.replace("*", _ANYTHING)) for wide in ours) for narrow in theirs
    )


def _names_quiet(one: Class) -> bool:
    """Tell whether a class names routes that generate nothing: only who names them gets them."""
    found = operations(one)
    return bool(one.match.route) and (found is None or "other" in found)


def _covers_header(earlier: Class, later: Class) -> bool:
    ours, theirs = earlier.match.header, later.match.header
    if ours is None or theirs is None:
        return ours is None
    return ours[0] == theirs[0] and _covers(ours[1], theirs[1])
