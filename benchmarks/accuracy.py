"""What the sidecar measures, compared with the scripted server's own record.

Histograms hold no single values, so probes go one after the other under a model name of their
own, two tokens each, with the load of other streams beside them: the growth of a histogram's sum
over one probe is what was measured of that probe.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import MissingError
from benchmarks.native import build, load, options, upstream
from benchmarks.proxies import Proxy, Site, lineup
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, site
from benchmarks.scrape import fetch

MODEL = "probe"
STREAMS = 64
FIRST = "gen_ai_server_time_to_first_token_seconds"
GAP = "inferometer_inter_chunk_latency_seconds"
TOKENS = "inferometer_tokens_total"
COUNTED_WITHIN_S = 2.0
SHARES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Sums:
    """What the exposition says of the probes so far."""

    firsts: int
    first_s: float
    gaps: int
    gap_s: float
    tokens: int
    client_first_s: float = 0.0
    """The first token as the client of this probe saw it."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the server did for one probe."""

    first_s: float
    gap_s: float
    tokens: int


def measure(bench: Bench) -> list[Section]:
    """Send probes one by one and compare each."""
    probes = 60 if bench.quick else 200
    with site(bench) as place:
        record = place.folder / "server.txt"
        serve = {"interval_us": 10_000, "prefill_us": 20_000, "jitter_us": 20_000}
        with (
            upstream(place.cores, place.upstream, record=str(record), **serve),
            lineup(place, ["ours"]) as (proxies, missing),
        ):
            if missing:
                raise MissingError(missing[0])
            with _beside(place, proxies[1]):
                measured = [_probe(place, proxies[1], n) for n in range(probes)]
        truths = _truths(record)
    pairs = [(one, truths[f"{MODEL}{n}x0"]) for n, one in enumerate(measured)]
    firsts = sorted(abs(one.first_s - truth.first_s) * 1000 for one, truth in pairs)
    paired = [(one, truth) for one, truth in pairs if one.gaps == 1]
    gaps = sorted(abs(one.gap_s - truth.gap_s) * 1000 for one, truth in paired)
    outside = sorted(1000 * _outside(one, truth) for one, truth in pairs)
    wrong = sum(one.tokens != truth.tokens for one, truth in pairs)
    rows = [
        ("time to first token", *(f"{_at(firsts, q):.3f}" for q in SHARES)),
        (
            "of that neither server nor client saw",
            *(f"{_at(outside, q):.3f}" for q in SHARES),
        ),
        ("gap between chunks", *(f"{_at(gaps, q):.3f}" for q in SHARES)),
    ]
    return [
        Section(
            title="Accuracy of measuring",
            about=f"{probes} probes beside {STREAMS} other streams: what `/metrics` says of each, "
            "less what the scripted server itself wrote down. The errors hold the way to the "
            "server and back, and whatever delayed the bytes there."
            " The second row takes off what the client saw as well.",
            columns=("error, ms", "p50", "p90", "p99", "max"),
            rows=rows,
            targets=[
                Target("error of first token, p99", _at(firsts, 0.99), "ms", gate=2, goal=1),
                Target("error of gaps, p99", _at(gaps, 0.99), "ms", gate=2, goal=1),
                Target("probes with wrong token counts", wrong, gate=0, goal=0, digits=0),
            ],
            notes=[f"{len(pairs) - len(paired)} probes had both tokens in one read, hence no gap."],
        )
    ]


def _outside(one: Sums, truth: Truth) -> float:
    """Return by how much a first token is earlier than the server's or later than the client's.

    That is what is left of an error when delays that users see as well are taken off.
    """
    return max(0.0, truth.first_s - one.first_s, one.first_s - one.client_first_s)


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))]


@contextmanager
def _beside(place: Site, ours: Proxy) -> Iterator[None]:
    """Keep the other streams going while the block runs."""
    values = {"port": ours.port, "concurrency": STREAMS, "duration_ms": 600_000, "ramp_ms": 500}
    argv = [*place.cores.for_rest, str(build("load")), *options(values)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _probe(place: Site, ours: Proxy, number: int) -> Sums:
    """Send one probe and return by how much the sums have grown."""
    assert ours.admin is not None
    before = _sums(fetch(ours.admin).decode())
    seen = load(place.cores, ours.port, requests=1, tokens=2, model=MODEL, user=f"{MODEL}{number}x")
    seen.check(MODEL)
    deadline = time.monotonic() + COUNTED_WITHIN_S
    while time.monotonic() < deadline:
        after = _sums(fetch(ours.admin).decode())
        if after.firsts > before.firsts and after.tokens > before.tokens:
            break
        time.sleep(0.02)
    return Sums(
        after.firsts - before.firsts,
        after.first_s - before.first_s,
        after.gaps - before.gaps,
        after.gap_s - before.gap_s,
        after.tokens - before.tokens,
        (seen.first.p50 or 0.0) / 1e6,
    )


def _sums(text: str) -> Sums:
    def total(name: str, *needed: str) -> float:
        found = 0.0
        for line in re.findall(rf"(?m)^{name}\{{.*$", text):
            if f'model="{MODEL}"' in line and all(one in line for one in needed):
                found += float(line.partition("} ")[2].split()[0])
        return found

    return Sums(
        int(total(FIRST + "_count")),
        total(FIRST + "_sum"),
        int(total(GAP + "_count")),
        total(GAP + "_sum"),
        int(total(TOKENS, 'direction="output"')),
    )


def _truths(record: Path) -> dict[str, Truth]:
    truths = {}
    for line in record.read_text().splitlines():
        name, end, _, received, first, last, _, tokens = line.split()
        if end == "complete":
            truths[name] = Truth(
                (int(first) - int(received)) / 1e9, (int(last) - int(first)) / 1e9, int(tokens)
            )
    return truths
