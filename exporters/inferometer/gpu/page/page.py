"""A page of `/metrics` while it is made: series by family, each once, and not too many.

The text before a value is made once for a series and kept in its `Labels`, since nearly all of a
page's cost is text that does not change. Pure: no clock, no thread.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate, starmap
from math import inf, isfinite
from typing import Final

from inferometer.metrics.catalog import METRICS
from inferometer.metrics.exposition import number
from inferometer.metrics.labels import clean

SERIES_MAX: Final = 20_000
"""Series of a page; beyond it whole families are left out, least important first."""
LABELS_MAX: Final = 12
"""Labels of a series: storage and dashboards suffer from more."""
PREFIXES_MAX: Final = 1024
"""Texts that one set of labels keeps: far more than there are families, far less than codes."""
_INTEGER_MAX: Final = 1e15

_VALUE_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def pair(name: str, value: str) -> str:
    """Return a label as it stands in braces; the value comes from outside and is cleaned."""
    return f'{name}="{clean(value).translate(_VALUE_ESCAPES)}"'


class Labels:
    """Values of labels that many families share, with the text of each series once it is made."""

    __slots__ = ("_pairs", "_prefixes", "count", "text")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take labels in their order; those without a value, and beyond the limit, are left out."""
        self._pairs = [(name, value) for name, value in pairs if value][:LABELS_MAX]
        self.text = ",".join(starmap(pair, self._pairs))
        self.count = len(self._pairs)
        self._prefixes: dict[tuple[str, str], str] = {}

    def with_room(self) -> "Labels":
        """Return these without the last one if there is no room for one more."""
        return Labels(self._pairs[: LABELS_MAX - 1])

    def prefix(self, name: str, extra: str = "") -> str:
        """Return the text of a series up to its value; `extra` are further labels, as text."""
        key = (name, extra)
        found = self._prefixes.get(key)
        if found is None:
            inside = ",".join(filter(None, (self.text, extra)))
            found = f"{name}{{{inside}}} " if inside else f"{name} "
            if len(self._prefixes) >= PREFIXES_MAX:
                self._prefixes.clear()
            self._prefixes[key] = found
        return found


NONE: Final = Labels(())
"""For series without labels in common."""


class Head:
    """What a page says of a family: its type and help."""

    __slots__ = ("text",)

    def __init__(self, name: str, kind: str, help_: str) -> None:
        """Write the two lines."""
        text = help_.translate(_HELP_ESCAPES)
        self.text = f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def catalogued(name: str) -> Head:
    """Return the head of a family of the catalogue."""
    metric = METRICS[name]
    return Head(name, metric.kind, metric.help)


class Dropped:
    """How many series were left out, since the start."""

    __slots__ = ("duplicate", "limit")

    def __init__(self) -> None:
        """Start with none."""
        self.duplicate = 0
        self.limit = 0


class Templates:
    """The text of histograms with places for their numbers, kept from page to page."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        """Begin with none."""
        self._texts: dict[tuple[str, str], str] = {}

    def of(self, name: str, labels: str, edges: tuple[float, ...]) -> str:
        """Return the lines of a histogram: `%d` for counts, `%s` for the sum."""
        found = self._texts.get((name, labels))
        if found is None:
            if len(self._texts) >= PREFIXES_MAX:
                self._texts.clear()
            found = self._texts[name, labels] = _histogram(name, labels, edges)
        return found


def _histogram(name: str, labels: str, edges: tuple[float, ...]) -> str:
    labels = labels.replace("%", "%%")
    before = f"{labels}," if labels else ""
    braces = f"{{{labels}}}" if labels else ""
    les = (number(float(edge)) for edge in (*edges, inf))
    buckets = [f'{name}_bucket{{{before}le="{le}"}} %d\n' for le in les]
    return "".join((*buckets, f"{name}_sum{braces} %s\n{name}_count{braces} %d\n"))


class Page:
    """Takes the series of one generation in any order."""

    __slots__ = ("_dropped", "_families", "_seen", "_sizes", "_templates")

    def __init__(self, dropped: Dropped, templates: Templates | None = None) -> None:
        """Begin an empty page; what it leaves out is counted in `dropped`."""
        self._templates = templates or Templates()
        self._families: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._seen: set[str] = set()
        self._dropped = dropped

    def put(self, name: str, prefix: str, value: float) -> None:
        """Add a series of the family `name`; a value that is no number is unknown: no series."""
        if not isfinite(value):
            return
        if prefix in self._seen:
            self._dropped.duplicate += 1
            return
        self._seen.add(prefix)
        lines = self._families.get(name)
        if lines is None:
            lines = self._families[name] = []
        if value == (whole := int(value)) and -_INTEGER_MAX < value < _INTEGER_MAX:
            lines.append(f"{prefix}{whole}\n")
        else:
            lines.append(f"{prefix}{value:.15g}\n")

    def put_histogram(
        self, name: str, labels: str, edges: tuple[float, ...], found: tuple[Iterable[int], float]
    ) -> None:
        """Add a histogram: counts of each bucket by itself with one more above, and the sum."""
        if not self._take(f"{name}{{{labels}}}"):
            return
        counts = tuple(accumulate(found[0]))
        assert len(counts) == len(edges) + 1, (name, edges)
        text = self._templates.of(name, labels, edges)
        lines = text % (*counts, number(found[1]), counts[-1])
        self._families.setdefault(name, []).append(lines)
        self._sizes[name] = self._sizes.get(name, 0) + len(counts) + 2

    def text(self, heads: Mapping[str, Head], importance: Mapping[str, int]) -> bytes:
        """Return the page: families in the order of `heads`."""
        self._shorten(importance)
        parts: list[str] = []
        for name, head in heads.items():
            lines = self._families.get(name)
            if lines:
                parts.append(head.text)
                parts += lines
        return "".join(parts).encode()

    def _take(self, prefix: str) -> bool:
        if prefix in self._seen:
            self._dropped.duplicate += 1
            return False
        self._seen.add(prefix)
        return True

    def _size(self, name: str) -> int:
        return self._sizes.get(name, len(self._families[name]))

    def _shorten(self, importance: Mapping[str, int]) -> None:
        """Leave out whole families until the page is short enough."""
        left = sum(map(self._size, self._families))
        if left <= SERIES_MAX:
            return
        last = len(importance)
        for name in sorted(self._families, key=lambda n: importance.get(n, last), reverse=True):
            size = self._size(name)
            self._dropped.limit += size
            left -= size
            del self._families[name]
            if left <= SERIES_MAX:
                return
