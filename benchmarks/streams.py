"""Streams: CPU per event against nginx, added latency, added time to first token."""

from benchmarks.numbers import middle, show, spread
from benchmarks.proxies import SLOW
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, Rounds, Run, interleave, site

COLUMNS = (
    "proxy",
    "CPU per event, µs",
    "CPU / nginx",
    "added p50, µs",
    "added p99, µs",
    "added p99.9, µs",
    "first token added p50, µs",
    "p99, µs",
    "errors / bytes altered",
)

TOKENS = 211
"""Tokens of an answer: the mean of the public trace of 19,366 conversations that the demo replays
a part of. Shorter answers weigh the start and the end of a request more."""


def row(rounds: Rounds, name: str, version: str) -> tuple[str, ...]:
    """Write what one proxy did."""
    if name == "direct":
        latency = [
            show(spread(rounds.quantile(name, "latency", q)), 0) for q in ("p50", "p99", "p999")
        ]
        first = [show(spread(rounds.quantile(name, "first_added", q)), 0) for q in ("p50", "p99")]
        return ("direct (absolute)", "-", "-", *latency, *first, rounds.wrong(name))
    added = [show(rounds.added(name, "latency", q), 0) for q in ("p50", "p99", "p999")]
    first = [show(rounds.added(name, "first_added", q), 0) for q in ("p50", "p99")]
    return (
        version,
        show(spread(rounds.cpu_us(name, "events")), 1),
        show(rounds.ratio(name, "events")),
        *added,
        *first,
        rounds.wrong(name),
    )


def measure(bench: Bench) -> list[Section]:
    """Measure both loads of the targets, one lone stream and as fast as possible."""
    return [
        _paced(bench, 64, 10_000),
        _paced(bench, 256, 20_000),
        _paced(bench, 1, 10_000),
        _fast(bench),
    ]


def _paced(bench: Bench, streams: int, interval_us: int) -> Section:
    names = ["nginx", "ours", *(peer for peer in bench.peers if peer not in SLOW or streams == 64)]
    ask = {
        "concurrency": streams,
        "tokens": TOKENS,
        "ramp_ms": 1000,
        "warmup_ms": 1000,
        "duration_ms": bench.seconds(8),
    }
    with site(bench) as place:
        rounds = interleave(
            place, names, rounds=bench.rounds, serve={"interval_us": interval_us}, ask=ask
        )
    title = f"Streams: {streams} x {interval_us // 1000} ms"
    return Section(
        title=title,
        about=f"Streams at a time: {streams}, an event of about 215 B every {interval_us // 1000} "
        f"ms in each, {TOKENS} of them an answer, all metrics and verdicts on. Latency is added to "
        "that of the direct way.",
        columns=COLUMNS,
        rows=[row(rounds, proxy.name, proxy.version) for proxy in rounds.proxies],
        targets=_targets(rounds, streams, f"{streams} x {interval_us // 1000} ms"),
        notes=rounds.notes,
    )


def _targets(rounds: Rounds, streams: int, load: str) -> list[Target]:
    def added(duration: str, quantile: str) -> float | None:
        found = rounds.added("ours", duration, quantile)
        return None if found is None else found.median / 1000

    if streams == 1:
        return []
    cpu = Target(
        f"CPU per event / nginx, {load}", middle(rounds.ratio("ours", "events")), "", 2.0, 1.5
    )
    if streams == 64:
        return [
            cpu,
            Target(
                f"added latency p50, {load}", added("latency", "p50"), "ms", goal=0.05, digits=3
            ),
            Target(f"added latency p99, {load}", added("latency", "p99"), "ms", goal=0.3),
            Target(f"added first token p50, {load}", added("first_added", "p50"), "ms", goal=0.4),
            Target(f"added first token p99, {load}", added("first_added", "p99"), "ms", goal=1.0),
        ]
    return [
        cpu,
        Target(f"added latency p99, {load}", added("latency", "p99"), "ms", goal=0.5),
        Target(f"added latency p99.9, {load}", added("latency", "p999"), "ms", goal=2.0),
    ]


def _fast(bench: Bench) -> Section:
    names = ["nginx", "ours", *(peer for peer in bench.peers if peer not in SLOW)]
    ask = {"concurrency": 16, "tokens": 1000, "duration_ms": bench.seconds(2)}
    with site(bench) as place:
        rounds = interleave(
            place, names, rounds=bench.rounds, serve={"interval_us": 0, "prefill_us": 0}, ask=ask
        )
    rows = [
        (
            proxy.version,
            show(spread(_rate(run) for run in rounds.runs[proxy.name]), 0),
            show(spread(rounds.cpu_us(proxy.name, "events")), 1) if proxy.pid else "-",
            show(rounds.ratio(proxy.name, "events")) if proxy.pid else "-",
            rounds.wrong(proxy.name),
        )
        for proxy in rounds.proxies
    ]
    return Section(
        title="Streams: as fast as possible",
        about="16 streams whose server writes one event after the other without a pause.",
        columns=(
            "proxy",
            "thousand events/s",
            "CPU per event, µs",
            "CPU / nginx",
            "errors / bytes altered",
        ),
        rows=rows,
        notes=rounds.notes,
    )


def _rate(run: Run) -> float:
    return run.load.events / run.load.wall_s / 1000
