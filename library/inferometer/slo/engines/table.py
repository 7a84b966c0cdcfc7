"""Questions about all engines: which pages show a metric, what it is called now, what is near."""

from collections.abc import Iterator
from decimal import Decimal
from difflib import get_close_matches
from typing import Final

from inferometer.slo.engines import dcgm_exporter, sglang, tgi, triton, vllm
from inferometer.slo.engines.page import Alias, Kind, Page

PAGES: Final = (
    *vllm.PAGES,
    *sglang.PAGES,
    *tgi.PAGES,
    *triton.PAGES,
    *dcgm_exporter.PAGES,
)
"""Every page, the versions of an engine from old to new."""
ALIASES: Final[tuple[Alias, ...]] = (*vllm.ALIASES, *sglang.ALIASES)
PREFIXES: Final = {
    module.PREFIX: module.ENGINE for module in (vllm, sglang, tgi, triton, dcgm_exporter)
}
SAME: Final = 0.9
"""Likeness from which a name is a slip of the pen."""
_PARTS: Final = ("_bucket", "_count", "_sum")
_NAME_CHARS_MAX: Final = 200


def engine_of(metric: str) -> str:
    """Return the engine whose metrics are called so; empty if none."""
    return next((name for prefix, name in PREFIXES.items() if metric.startswith(prefix)), "")


def pages_with(metric: str) -> tuple[Page, ...]:
    """Return the pages that show a metric, from old to new."""
    return tuple(page for page in PAGES if metric in page.metrics)


def base(series: str) -> str:
    """Return the metric that a series belongs to: `x` of `x_bucket`, where `x` is a histogram."""
    for part in _PARTS:
        metric = series.removesuffix(part)
        if metric != series and any(
            page.metrics[metric].kind in ("histogram", "summary") for page in pages_with(metric)
        ):
            return metric
    return series


def kinds(metric: str) -> frozenset[Kind]:
    """Return what a metric is, in any version."""
    return frozenset(page.metrics[metric].kind for page in pages_with(metric))


def newest(engine: str) -> Page:
    """Return the last page of an engine."""
    return [page for page in PAGES if page.engine == engine][-1]


def alias(metric: str) -> Alias | None:
    """Return what became of a metric that got another name."""
    return next((one for one in ALIASES if one.old == metric), None)


def near(metric: str, engine: str) -> str:
    """Return the name that was probably meant; empty if none is nearly the same."""
    known = sorted({name for page in PAGES if page.engine == engine for name in page.metrics})
    return "".join(get_close_matches(metric[:_NAME_CHARS_MAX], known, n=1, cutoff=SAME))


def neighbours(edges: tuple[Decimal, ...], wanted: Decimal) -> Iterator[Decimal]:
    """Yield the edge below and the one above, as far as they exist."""
    below = [edge for edge in edges if edge < wanted]
    above = [edge for edge in edges if edge > wanted]
    if below:
        yield max(below)
    if above:
        yield min(above)
