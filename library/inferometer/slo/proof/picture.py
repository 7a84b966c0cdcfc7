"""The picture of a proof: how soon each SLO pages, and what each pair of windows does meanwhile.

Above stands one curve for each promise, from the share of bad requests to the minutes until
somebody is paged. Below is a panel for each: the error, the burn of each pair as a multiple of its
limit, and when it fires. Pure: the same proofs give the same bytes.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from inferometer.slo.model import (
    Minute,
    Series,
    Traffic,
    counted,
    first_minute,
    holds,
    of_severity,
    sliced,
)
from inferometer.slo.proof import svg
from inferometer.slo.proof.expected import firing
from inferometer.slo.proof.figures import figures, percent, span
from inferometer.slo.proof.prove import Case, Proof
from inferometer.slo.proof.scenarios import OUTAGE_MIN
from inferometer.slo.proof.standins import GAUGE
from inferometer.slo.proof.svg import Scale, element, label, line
from inferometer.slo.windows import (
    CLIFF,
    DAY_S,
    DRAIN,
    FAST,
    MEDIUM,
    MINUTE_S,
    SHORTEST,
    SLOW,
    Limits,
    Pair,
    limits,
)

WIDTH: Final = 960.0
PANELS_MAX: Final = 24
"""More promises than that make no picture that anybody looks at."""

_LEFT: Final = 64.0
_RIGHT: Final = 730.0
_ASIDE: Final = 752.0
_TOP: Final = 84.0
_OVERVIEW: Final = 250.0
_PANEL: Final = 272.0
_BURN: Final = 120.0
_STRIP: Final = 22.0

_LOWEST: Final = 0.0001
_STEPS: Final = 160
_HOURS_MIN: Final = 365
_BEFORE_MIN: Final = 20
_AFTER_MIN: Final = 60
_PAIRS: Final = (FAST, CLIFF, MEDIUM, SLOW, DRAIN)
_COLOUR: Final = {FAST: 1, CLIFF: 4, MEDIUM: 0, SLOW: 2, DRAIN: 5}
_PERCENTS: Final = ("0.01", "0.1", "1", "10", "100")
_MINUTES: Final = (1, 3, 10, 30, 60, 180, 360)
_BURNS: Final = ("0.1", "1", "10", "100")


def picture(proofs: Sequence[Proof], *, witness: str, panels_max: int = PANELS_MAX) -> str:
    """Return the picture as SVG. `witness` is what confirmed it, empty if nothing did."""
    kept = proofs[:panels_max]
    by = f"confirmed by {witness}" if witness else "unconfirmed: there was no promtool"
    if any(not proof.agrees for proof in proofs):
        by = f"{witness} DISAGREES"
    parts = [
        label(_LEFT, 34, "SLO proof: when is somebody told?", class_="title"),
        label(_LEFT, 54, f"computed from the rules' arithmetic, {by}", class_="dim"),
        *_overview(kept),
    ]
    top = _TOP + _OVERVIEW + 76
    for proof in kept:
        parts += _panel(proof, top)
        top += _PANEL
    if len(proofs) > len(kept):
        parts.append(label(_LEFT, top, f"and {len(proofs) - len(kept)} more", class_="dim"))
    return svg.page(WIDTH, top + 20, "SLO proof", parts)


def names(case: Case, most: int = 1) -> str:
    """Return the SLOs of a promise, the first by name."""
    rest = len(case.slos) - most
    known = ", ".join(map(str, case.slos[:most]))
    return f"{known} and {rest} more" if rest > 0 else known


def _promised(case: Case) -> str:
    promise = case.subject.promise
    objective = f"{(100 * promise.objective).normalize():f}"
    return f"{objective} % of {case.subject.weight}s in {promise.window_s // DAY_S}d"


def _overview(proofs: Sequence[Proof]) -> Iterator[str]:
    across = Scale(100 * _LOWEST, 100, _LEFT, _RIGHT, logarithmic=True)
    up = Scale(1, 360, _TOP + _OVERVIEW, _TOP, logarithmic=True)
    for mark in _PERCENTS:
        x = across(float(mark))
        yield line((x, _TOP), (x, _TOP + _OVERVIEW))
        yield label(x, _TOP + _OVERVIEW + 16, f"{mark} %", class_="dim", text_anchor="middle")
    for minutes in _MINUTES:
        yield line((_LEFT, up(minutes)), (_RIGHT, up(minutes)))
        yield label(_LEFT - 8, up(minutes) + 4, span(minutes), class_="dim", text_anchor="end")
    middle = (_LEFT + _RIGHT) / 2
    axis = "share of bad requests, from one minute to the next and then for good"
    yield label(middle, _TOP + _OVERVIEW + 34, axis, class_="dim", text_anchor="middle")
    yield label(_LEFT, _TOP - 8, "time until somebody is paged", class_="dim")
    drawn: list[list[svg.Point]] = []
    for number, proof in enumerate(proofs):
        points = [_at(across(100 * share), up(minute)) for share, minute in curve(proof.case)]
        if points:
            yield svg.curve(points, number, dashed=points in drawn)
        drawn.append(points)
        # Where curves end in the same point their names would cover each other.
        y = _TOP + 12 + 30 * number
        if y < _TOP + _OVERVIEW:
            square = {"x": _ASIDE, "y": y - 9, "width": 10.0, "height": 10.0}
            yield element("rect", fill=f"var(--c{number % svg.COLOURS})", **square)
            yield label(_ASIDE + 16, y, _cut(names(proof.case)))
            yield label(_ASIDE + 16, y + 14, _promised(proof.case), class_="dim")


def _at(x: float, y: float) -> svg.Point:
    """Return a point as it is drawn, so that curves that look the same are the same."""
    return round(x, 1), round(y, 1)


def _cut(text: str, chars_max: int = 30) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def curve(case: Case) -> Iterator[tuple[float, int]]:
    """Yield shares of bad requests with the minutes until somebody is paged, where anybody is."""
    if not case.subject.page:
        return
    pages = of_severity("critical")
    for step in range(_STEPS + 1):
        share = Decimal(repr(round(_LOWEST ** (1 - step / _STEPS), 8)))
        minute = first_minute(pages, case.subject.promise, _lasting(case, share))
        if minute is not None:
            yield float(share), minute


def _lasting(case: Case, share: Decimal) -> Traffic:
    return _recorded(case, [(share, _HOURS_MIN)])


def _recorded(case: Case, phases: Sequence[tuple[Decimal, int]]) -> Traffic:
    """Return what rules record when shares are bad for some minutes, after it was fine for ever."""
    rate = 1 if case.subject.kind == GAUGE else case.rate
    minutes = [
        Minute(rate, rate * share, rate * share) for share, count in phases for _ in range(count)
    ]
    fine = Minute(rate, 0, 0)
    if case.subject.slice is None:
        return counted(minutes, before=fine)
    return sliced(minutes, case.subject.slice, before=fine)


def _panel(proof: Proof, top: float) -> Iterator[str]:
    case = proof.case
    seen = _recorded(case, [(Decimal(1), OUTAGE_MIN), (Decimal(0), _AFTER_MIN)])
    across = Scale(-_BEFORE_MIN, OUTAGE_MIN + _AFTER_MIN, _LEFT, _RIGHT)
    yield label(_LEFT, top, f"{_cut(names(case), 60)}: {_promised(case)}", class_="name")
    yield from _strip(across, top + 14)
    burn_top = top + 14 + _STRIP + 10
    up = Scale(0.1, 100, burn_top + _BURN, burn_top, logarithmic=True)
    yield from _grid(across, up)
    wanted = [pair for pair in _PAIRS if case.subject.wants(pair)]
    drawn: list[list[svg.Point]] = []
    for pair in wanted:
        limit = limits(pair, case.subject.promise)
        points = [
            _at(across(k + 1), up(level(pair, limit, seen, k)))
            for k in range(-_BEFORE_MIN - 1, seen.evaluations)
        ]
        yield svg.curve(points, _COLOUR[pair], dashed=points in drawn)
        drawn.append(points)
    yield from _firing(case, seen, across, burn_top + _BURN + 22)
    yield from _called(proof, across, (top + 14, burn_top + _BURN))
    yield from _beside(wanted, burn_top)


def _strip(across: Scale, top: float) -> Iterator[str]:
    """Yield the share that is bad: nothing, then all, then nothing."""
    start, end = across(0), across(OUTAGE_MIN)
    box = {"x": _LEFT, "y": top, "width": _RIGHT - _LEFT, "height": _STRIP}
    yield element("rect", fill="var(--wash)", **box)
    bad = {**box, "x": start, "width": end - start}
    yield element("rect", fill="var(--alarm)", fill_opacity="0.25", **bad)
    middle = (start + end) / 2
    yield label(middle, top + 15, "100 % bad", text_anchor="middle")
    yield label(_LEFT - 8, top + 15, "error", class_="dim", text_anchor="end")


def _grid(across: Scale, up: Scale) -> Iterator[str]:
    for burn in _BURNS:
        y = up(float(burn))
        yield line((_LEFT, y), (_RIGHT, y), "limit" if burn == "1" else "grid")
        yield label(_LEFT - 8, y + 4, f"{burn} x", class_="dim", text_anchor="end")
    for minutes in range(-_BEFORE_MIN, OUTAGE_MIN + _AFTER_MIN + 1, 20):
        x = across(minutes)
        yield line((x, up(0.1)), (x, up(0.1) + 4))
        text = f"{minutes} min" if minutes else "0"
        yield label(x, up(0.1) + 16, text, class_="dim", text_anchor="middle")


def level(pair: Pair, limit: Limits, seen: Traffic, evaluation: int) -> float:
    """Return the burn of a pair as a multiple of its limit: of its two windows the lower one."""
    return min(
        _share(seen, pair.long, evaluation) / float(limit.long),
        _share(seen, pair.short, evaluation) / float(limit.short),
    )


def _share(seen: Traffic, window: str, evaluation: int) -> float:
    def value(series: Series) -> float:
        if window == SHORTEST:
            return float(series.at(evaluation))
        return float(series.total(window, evaluation))

    total = value(seen.total)
    return value(seen.bad) / total if total else 0.0


def _firing(case: Case, seen: Traffic, across: Scale, top: float) -> Iterator[str]:
    """Yield a bar for each pair while it fires."""
    row = 0
    for pair in _PAIRS:
        held = (holds(pair, case.subject.promise, seen, k) for k in range(seen.evaluations))
        fires = list(firing(held, keep_min=pair.keep_firing_for_s // MINUTE_S))
        if not case.subject.wants(pair) or True not in fires:
            continue
        start = across(fires.index(True) + 1)
        end = across(len(fires) - fires[::-1].index(True))
        box = {"x": start, "y": top + 9.0 * row, "width": end - start, "height": 6.0}
        yield element("rect", fill=f"var(--c{_COLOUR[pair]})", **box)
        row += 1
    if row:
        yield label(_LEFT - 8, top + 9, "fires", class_="dim", text_anchor="end")


def _called(proof: Proof, across: Scale, between: tuple[float, float]) -> Iterator[str]:
    page = figures(proof).outage
    if page is None:
        return
    x = across(page.minutes)
    yield line((x, between[0]), (x, between[1]), "alarm")
    words = f"page at {span(page.minutes)}, {percent(page.spent)} of budget spent"
    yield label(across(OUTAGE_MIN) + 8, between[0] + 15, words, class_="called")


def _beside(wanted: Sequence[Pair], top: float) -> Iterator[str]:
    yield label(_ASIDE, top + 2, "burn, as a multiple of the limit", class_="dim")
    for row, pair in enumerate(wanted, start=1):
        y = top + 4 + 20 * row
        yield element(
            "rect",
            x=_ASIDE,
            y=y - 9,
            width=10.0,
            height=10.0,
            fill=f"var(--c{_COLOUR[pair]})",
        )
        kind = "page" if pair.severity == "critical" else "ticket"
        yield label(_ASIDE + 16, y, f"{pair.name}: {pair.long} and {pair.short}, {kind}")
