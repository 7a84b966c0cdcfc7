"""Requests that are not streamed: small JSON answers, and uploads of 4 MB."""

from benchmarks.native import Options
from benchmarks.numbers import middle, show, spread
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, Rounds, interleave, site

COLUMNS = (
    "proxy",
    "CPU per request, µs",
    "CPU / nginx",
    "request p50, µs",
    "p99, µs",
    "errors / bytes altered",
)
BODY_BYTES = 4_000_000


def measure_plain(bench: Bench) -> list[Section]:
    """Measure chat completions of 2 kB, 16 at a time."""
    ask: Options = {"mode": "plain", "concurrency": 16, "duration_ms": bench.seconds(2)}
    rounds = _rounds(bench, ask)
    return [
        Section(
            title="Plain requests: 2 kB JSON",
            about="16 clients on kept connections, each asks again when it has its answer.",
            columns=COLUMNS,
            rows=_rows(rounds),
            targets=[
                Target(
                    "CPU per 2 kB JSON request / nginx",
                    middle(rounds.ratio("ours", "finished")),
                    gate=5.0,
                    goal=3.0,
                )
            ],
            notes=rounds.notes,
        )
    ]


def measure_bodies(bench: Bench) -> list[Section]:
    """Measure uploads of 4 MB, 4 at a time, each checked by its checksum."""
    ask: Options = {
        "mode": "upload",
        "concurrency": 4,
        "body_bytes": BODY_BYTES,
        "duration_ms": bench.seconds(2),
    }
    rounds = _rounds(bench, ask)
    return [
        Section(
            title="Request bodies: 4 MB",
            about="4 clients upload 4 MB each; nothing buffers whole bodies "
            "(nginx: `proxy_request_buffering off`).",
            columns=COLUMNS,
            rows=_rows(rounds),
            targets=[
                Target(
                    "CPU per 4 MB request body / nginx",
                    middle(rounds.ratio("ours", "finished")),
                    gate=6.0,
                    goal=2.5,
                )
            ],
            notes=rounds.notes,
        )
    ]


def _rounds(bench: Bench, ask: Options) -> Rounds:
    names = ["nginx", "ours", *bench.peers]
    with site(bench) as place:
        return interleave(place, names, rounds=bench.rounds, serve={}, ask=ask)


def _rows(rounds: Rounds) -> list[tuple[str, ...]]:
    return [
        (
            proxy.version,
            show(spread(rounds.cpu_us(proxy.name, "finished")), 1) if proxy.pid else "-",
            show(rounds.ratio(proxy.name, "finished")) if proxy.pid else "-",
            show(spread(rounds.quantile(proxy.name, "request", "p50")), 0),
            show(spread(rounds.quantile(proxy.name, "request", "p99")), 0),
            rounds.wrong(proxy.name),
        )
        for proxy in rounds.proxies
    ]
