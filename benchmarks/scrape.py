"""Scraping under load: by how much a large `/metrics`, read every second, delays chunks."""

import gzip
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.errors import MissingError
from benchmarks.native import load, upstream
from benchmarks.numbers import differences, show, spread
from benchmarks.proxies import Proxy, Site, lineup
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, Run, site
from benchmarks.rounds import measure as measure_run

MODELS = 26
"""With all their series, some 1.2 MB."""
FIELDS = {
    "Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
"""As Prometheus asks."""


def fetch(port: int) -> bytes:
    """Return the body of `/metrics`, as it came over the wire inflated."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics", headers=FIELDS)
        answer = connection.getresponse()
        body = answer.read()
        return gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body
    finally:
        connection.close()


@contextmanager
def _scraping(port: int) -> Iterator[list[float]]:
    """Scrape once a second while the block runs; yield how many milliseconds each took."""
    over, took = threading.Event(), list[float]()

    def scrape() -> None:
        while not over.wait(1.0):
            start = time.perf_counter()
            fetch(port)
            took.append(1000 * (time.perf_counter() - start))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def measure(bench: Bench) -> list[Section]:
    """Run 64 streams with and without scrapes in turn."""
    names = [part for n in range(MODELS) for part in ("--models", f"bench-7b-{n:03d}")]
    with (
        site(bench, "--series-max", "20000", *names) as place,
        upstream(place.cores, place.upstream, interval_us=10_000),
        lineup(place, ["ours"]) as (proxies, missing),
    ):
        if missing:
            raise MissingError(missing[0])
        ours = proxies[1]
        size = _fill(place, ours)
        calm, scraped, took = _rounds(bench, place, ours)
    added = spread(
        differences([r.load.latency.p99 for r in scraped], [r.load.latency.p99 for r in calm])
    )
    rows = [
        ("no scrape", *_cells(calm)),
        ("a scrape every second", *_cells(scraped)),
    ]
    about = (
        f"64 streams x 10 ms while `/metrics` of {size / 1e6:.2f} MB is read every second as "
        "Prometheus reads it (OpenMetrics, gzip), next to the same load without scrapes. A scrape "
        f"took {show(spread(took), 0)} ms."
    )
    return [
        Section(
            title="Scrape under load",
            about=about,
            columns=("run", "chunk p50, µs", "p99, µs", "p99.9, µs", "CPU per event, µs"),
            rows=rows,
            targets=[
                Target(
                    "chunk p99 with a scrape every second, over the base",
                    None if added is None else added.median / 1000,
                    "ms",
                    goal=0.5,
                )
            ],
        )
    ]


def _fill(place: Site, ours: Proxy) -> int:
    """Let every model have its series, streamed and not; return the size of the exposition."""
    assert ours.admin is not None
    for mode in ("stream", "plain"):
        load(
            place.cores, ours.port, mode=mode, concurrency=13, requests=130, tokens=4, models=MODELS
        )
    time.sleep(0.3)
    return len(fetch(ours.admin))


def _rounds(bench: Bench, place: Site, ours: Proxy) -> tuple[list[Run], list[Run], list[float]]:
    assert ours.admin is not None
    ask = {
        "concurrency": 64,
        "ramp_ms": 1000,
        "warmup_ms": 1000,
        "duration_ms": bench.seconds(5),
        "models": MODELS,
    }
    calm, scraped, all_took = list[Run](), list[Run](), list[float]()
    for _ in range(bench.rounds):
        calm.append(measure_run(place, ours, ask))
        with _scraping(ours.admin) as took:
            scraped.append(measure_run(place, ours, ask))
        all_took += took
    return calm, scraped, all_took


def _cells(runs: list[Run]) -> tuple[str, ...]:
    latencies = [run.load.latency for run in runs]
    return (
        show(spread(one.p50 for one in latencies), 0),
        show(spread(one.p99 for one in latencies), 0),
        show(spread(one.p999 for one in latencies), 0),
        show(spread(1e6 * run.cpu_s / run.load.events for run in runs), 1),
    )
