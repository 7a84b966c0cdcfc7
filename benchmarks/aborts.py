"""Clients that leave: how long until the server sees that its connection was closed."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.native import load, upstream
from benchmarks.numbers import spread
from benchmarks.proxies import Proxy, Site, lineup
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, site

REQUESTS = 40
PHASES = ("before the head", "in prefill", "in decode")
SEEN_WITHIN_S = 3.0
"""How much longer than the leaving itself the server waits for the news."""


def measure(bench: Bench) -> list[Section]:
    """Let clients leave before the answer's head, after it in prefill, and in decode."""
    found: dict[str, dict[str, list[float | None]]] = {}
    names: dict[str, str] = {}
    missing: list[str] = []
    for phase in PHASES:
        with site(bench) as place:
            record = place.folder / "server.txt"
            with (
                upstream(place.cores, place.upstream, record=str(record), **_serve(phase)),
                lineup(place, ["nginx", "ours", *bench.peers]) as (proxies, missing),
            ):
                for proxy in proxies:
                    names[proxy.name] = proxy.version
                    waits = _waits(place, proxy, phase, record)
                    found.setdefault(proxy.name, {})[phase] = waits
    rows = [
        (names[name], *(cell for phase in PHASES for cell in _cells(phases.get(phase, []))))
        for name, phases in found.items()
    ]
    columns = [cell for phase in PHASES for cell in (f"{phase}, p50 / max, ms", "not passed on")]
    return [
        Section(
            title="Client aborts",
            about=f"{REQUESTS} streams, 8 at a time, whose client closes its connection; the time "
            "until the server sees its own connection closed. An abort that the server has not "
            "seen when its answer was over, or after 2 s, is not passed on.",
            columns=("proxy", *columns),
            rows=rows,
            targets=_targets(found.get("ours", {})),
            notes=missing,
        )
    ]


def _serve(phase: str) -> dict[str, str | int]:
    waiting = {"prefill_us": int(SEEN_WITHIN_S * 1e6), "interval_us": 20_000}
    if phase == "in decode":
        return {"prefill_us": 20_000, "interval_us": 20_000}
    return {**waiting, "late_head": int(phase == "before the head")}


def _waits(place: Site, proxy: Proxy, phase: str, record: Path) -> list[float | None]:
    """Return the milliseconds of each abort, None for one that was not passed on."""
    left = place.folder / f"{proxy.name}.txt"
    skip = len(record.read_text().splitlines())
    how = {"abort_tokens": 5} if phase == "in decode" else {"abort_us": 100_000}
    load(
        place.cores,
        proxy.port,
        mode="abort",
        concurrency=8,
        requests=REQUESTS,
        tokens=150,
        record=str(left),
        **how,
    )
    # One more request that ends well, later than any abort could still be seen in time.
    load(place.cores, proxy.port, requests=1, tokens=2, user="last")
    closed: dict[str, int | None] = {}
    for line in record.read_text().splitlines()[skip:]:
        name, end, _, _, _, _, moment, _ = line.split()
        if end != "complete":
            closed[name] = int(moment) if end == "closed" else None
    waits: list[float | None] = []
    for line in left.read_text().splitlines():
        name, moment = line.split()
        if name not in closed:
            continue  # the server never got it, or not its name: nothing is known
        seen = closed[name]
        wait_ms = None if seen is None else (seen - int(moment)) / 1e6
        waits.append(wait_ms if wait_ms is None or wait_ms < 2000 else None)
    return waits


def _cells(waits: list[float | None]) -> tuple[str, str]:
    if not waits:
        return "not known", "not known"
    found = spread(waits)
    lost = sum(wait is None for wait in waits)
    times = "-" if found is None else f"{found.median:.1f} / {found.greatest:.1f}"
    return times, f"{lost} of {len(waits)}"


def _targets(ours: Mapping[str, list[float | None]]) -> list[Target]:
    """Judge the slowest abort of each phase; one that was not passed on leaves it unknown."""
    targets = []
    for phase in PHASES:
        waits = ours.get(phase, [])
        known = [wait for wait in waits if wait is not None]
        worst = max(known) if known and len(known) == len(waits) else None
        name = f"client abort to upstream closed, {phase}, slowest"
        targets.append(Target(name, worst, "ms", gate=500, goal=50, digits=1))
    return targets
