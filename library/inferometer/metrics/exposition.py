"""How metrics are written for a scraper: Prometheus text 0.0.4 and OpenMetrics 1.0.

The text of all lines of a cell is made once, with places for the numbers, so that a scrape only
fills them in. It is written in slices of a fraction of a millisecond: whoever sends them can let
other threads run in between. Reading the expositions of strangers is in `reader`.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf, isfinite, isnan
from typing import Final, NamedTuple, Protocol

from inferometer.metrics.cells import Cell, Counter, Gauge, Histogram, Shown
from inferometer.metrics.metric import Metric

SLICE_LINES: Final = 160
"""Lines of a slice: some 0.05 ms of work, which leaves time for a callback."""

EXEMPLAR_CHARS_MAX: Final = 128
"""Label names and values of an exemplar together (OpenMetrics 1.0, "Exemplars")."""

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_VALUE_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_QUALITY: Final = re.compile(r"[01](?:\.[0-9]{0,3})?")


class Family(NamedTuple):
    """A metric and the cells of its children."""

    metric: Metric
    cells: tuple[Cell, ...]


class Source(Protocol):
    """Has families to show; a registry."""

    def families(self) -> Iterable[Family]:
        """Return the families that have children, in the order in which they are written."""
        ...


def write(source: Source, *, openmetrics: bool) -> Iterator[bytes]:
    """Return the exposition of `source` in slices; it is read while it is written."""
    texts: list[bytes] = []
    lines = 0
    for metric, cells in source.families():
        texts.append(_head(metric, openmetrics=openmetrics))
        for cell in cells:
            texts.append(_openmetrics_lines(cell) if openmetrics else _lines(cell))
            lines += len(cell.counts) + 2 if isinstance(cell, Histogram) else 1
            if lines >= SLICE_LINES:
                yield b"".join(texts)
                texts.clear()
                lines = 0
    if openmetrics:
        texts.append(b"# EOF\n")
    yield b"".join(texts)


def template(metric: Metric, values: tuple[str, ...], edges: tuple[float, ...] = ()) -> bytes:
    """Return the lines of a child with places for its numbers.

    For a histogram these are `%d` for each bucket and +Inf, `%d` for the count and `%b` for the
    sum; for others the number is appended. Formatting bytes takes half the time of text.
    """
    pairs = [
        f'{name}="{value.translate(_VALUE_ESCAPES)}"'
        for name, value in zip(metric.labels, values, strict=True)
    ]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    if metric.kind != "histogram":
        return f"{metric.name}{labels} ".encode()
    buckets = [
        f"{metric.name}_bucket{{{','.join([*pairs, le])}}}"
        for le in (f'le="{number(edge)}"' for edge in (*edges, inf))
    ]
    before = [text.replace("%", "%%") for text in (*buckets, f"{metric.name}_count{labels}")]
    total = f"{metric.name}_sum{labels}".replace("%", "%%")
    return "".join([*(f"{text} %d\n" for text in before), f"{total} %b\n"]).encode()


def number(value: float) -> str:
    """Return a number as both formats write it: `1`, `0.25`, `NaN`, `+Inf`."""
    if isfinite(value):
        return repr(value)
    if isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def wants_openmetrics(accept: str) -> bool:
    """Return whether a scraper that sends this `Accept` prefers OpenMetrics.

    Anything that cannot be read, and no preference, means the text format.
    """
    qualities = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for entry in accept.split(",", 32)[:32]:
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        if kind in qualities:
            qualities[kind] = max(qualities[kind], _quality(parameters))
    wanted, other = qualities.values()
    return wanted > 0 and wanted >= other


def _quality(parameters: list[str]) -> float:
    """Return the `q` of a media range, 1 if it has none, 0 if it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0


def _head(metric: Metric, *, openmetrics: bool) -> bytes:
    text = metric.help.translate(_HELP_ESCAPES)
    if not openmetrics:
        return f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.kind}\n".encode()
    name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
    has_unit = metric.unit and name.endswith(f"_{metric.unit}")
    unit = f"# UNIT {name} {metric.unit}\n" if has_unit else ""
    text = text.replace('"', r"\"")
    return f"# TYPE {name} {metric.kind}\n{unit}# HELP {name} {text}\n".encode()


def _lines(cell: Cell) -> bytes:
    if isinstance(cell, Histogram):
        total = number(cell.sum).encode()
        counts = list(accumulate(cell.counts.copy()))
        return cell.template % (*counts, counts[-1], total)
    return b"%b%b\n" % (cell.template, number(cell.value).encode())


def _openmetrics_lines(cell: Cell) -> bytes:
    text = _lines(cell)
    if isinstance(cell, Counter):
        return b"%b%b\n" % (text[:-1], _exemplar(cell.exemplar)) if cell.exemplar else text
    if isinstance(cell, Gauge) or cell.exemplars is None:
        return text
    lines = text.split(b"\n")
    for index, shown in enumerate(cell.exemplars):
        lines[index] += _exemplar(shown)
    return b"\n".join(lines)


def _exemplar(shown: Shown | None) -> bytes:
    """Return what stands behind a sample; nothing if there is no exemplar or it is too long."""
    if shown is None:
        return b""
    trace_id, span_id, wall_s = shown.exemplar
    if len("trace_id") + len(trace_id) + len("span_id") + len(span_id) > EXEMPLAR_CHARS_MAX:
        return b""
    trace_id, span_id = (text.translate(_VALUE_ESCAPES) for text in (trace_id, span_id))
    labels = f'trace_id="{trace_id}",span_id="{span_id}"'
    return f" # {{{labels}}} {number(shown.value)} {wall_s:.3f}".encode()
