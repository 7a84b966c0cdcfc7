import math
from collections.abc import Iterator
from threading import Event, Thread

import pytest
from prometheus_client.metrics_core import Metric as TheirMetric
from prometheus_client.registry import Collector

from inferometer.metrics.build import SAMPLES_MAX, SERIES_PER_NAME, Registry
from inferometer.metrics.catalog import METRICS, VERDICT_PAIRS
from inferometer.metrics.cells import Counter, Exemplar, Gauge, Histogram
from inferometer.metrics.exposition import write
from inferometer.metrics.labels import Names, clean
from support.samples import Samples, promtool_complaints

FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds"
READ = "inferometer_request_read_seconds"
READ_SERIES = 17 + 3
STALL = "inferometer_client_stall_seconds_total"
IN_FLIGHT = "inferometer_requests_in_flight"
REJECTED = "inferometer_sidecar_usage_rejected_total"
OVERFLOW = "inferometer_sidecar_label_overflow_total"


def page(registry: Registry) -> Samples:
    return Samples(b"".join(write(registry, openmetrics=False)).decode())


def test_the_same_values_give_the_same_cell() -> None:
    registry = Registry()
    assert registry.counter(REJECTED) is registry.counter(REJECTED)
    one = registry.histogram(READ, "sidecar", "a")
    assert registry.histogram(READ, "sidecar", "a") is one
    assert registry.histogram(READ, "sidecar", "b") is not one


def test_each_kind_of_cell_shows_what_was_counted() -> None:
    registry = Registry()
    registry.counter(STALL, "sidecar", "a").add(1.5)
    registry.gauge(IN_FLIGHT, "sidecar", "a", "waiting").set(3)
    registry.histogram(READ, "sidecar", "a").add(0.02, 4)
    shown = page(registry)
    assert shown.value(STALL, model="a") == 1.5
    assert shown.value(IN_FLIGHT, state="waiting") == 3
    assert shown.value(f"{READ}_bucket", le="0.01") == 0
    assert shown.value(f"{READ}_bucket", le="0.02") == 4
    assert shown.value(f"{READ}_bucket", le="+Inf") == 4
    assert shown.value(f"{READ}_count") == 4
    assert shown.value(f"{READ}_sum") == pytest.approx(0.08)


def test_what_was_never_counted_is_absent_and_what_exists_from_the_start_is_zero() -> None:
    registry = Registry()
    for verdict, reason in VERDICT_PAIRS:
        registry.counter("inferometer_slo_requests_total", "sidecar", "chat", verdict, reason)
    shown = page(registry)
    assert shown.value(STALL) is None
    found = shown.find("inferometer_slo_requests_total", slo="chat")
    assert [value for _, value in found] == [0.0] * len(VERDICT_PAIRS)


def test_declared_limits_are_edges_of_every_histogram_of_the_ladder() -> None:
    registry = Registry(extra_edges={"FIRST": [0.3, 0.5], "GAP": [3.0]})
    cell = registry.histogram(FIRST_TOKEN, "sidecar", "a", "chat", "true")
    cell.add(0.3)
    assert 0.3 in cell.edges
    assert len(cell.edges) == 21
    assert page(registry).value(f"{FIRST_TOKEN}_bucket", le="0.3") == 1


def test_a_ninth_limit_ends_the_start() -> None:
    with pytest.raises(ValueError, match="9 limits are no edges of GAP"):
        Registry(extra_edges={"GAP": [3.1 + n for n in range(9)]})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("no_such_metric", ()),
        (STALL, ("sidecar",)),
        (STALL, ("sidecar", "a", "b")),
        (STALL, ("moon", "a")),
        (STALL, ("sidecar", "")),
        (STALL, ("sidecar", "a\nb")),
        (STALL, ("sidecar", "x" * 129)),
        (STALL, ("sidecar", "\ud800")),
        (READ, ("sidecar", "a")),
        (IN_FLIGHT, ("sidecar", "a", "waiting")),
    ],
)
@pytest.mark.req("FO-03")
def test_only_names_kinds_and_values_of_the_catalogue_become_counters(
    name: str, values: tuple[str, ...]
) -> None:
    registry = Registry()
    with pytest.raises(ValueError, match=r"."):
        registry.counter(name, *values)
    assert len(page(registry).find(name)) == 0


def test_a_counter_is_neither_gauge_nor_histogram() -> None:
    registry = Registry()
    for _ in range(2):  # before and after there is such a counter
        with pytest.raises(ValueError, match="of another kind"):
            registry.gauge(REJECTED)
        with pytest.raises(ValueError, match="of another kind"):
            registry.histogram(REJECTED)
        registry.counter(REJECTED)
    registry.histogram(READ, "sidecar", "a")
    with pytest.raises(ValueError, match="of another kind"):
        registry.counter(READ, "sidecar", "a")


def test_two_threads_that_miss_a_cell_at_once_make_one() -> None:
    registry = Registry()
    first = registry._make(REJECTED, (), "counter")
    assert registry._make(REJECTED, (), "counter") is first


def test_an_operating_system_that_cannot_be_read_costs_its_own_metrics_only() -> None:
    class Unreadable(Collector):
        def collect(self) -> list[TheirMetric]:
            raise ValueError

    told: list[str] = []
    registry = Registry(process=Unreadable(), on_error=lambda name, _: told.append(name))
    registry.counter(REJECTED).add()
    assert page(registry).value(REJECTED) == 1
    assert page(registry).value("process_open_fds") is None
    assert told == ["process", "process"]


def test_series_are_counted_as_prometheus_will_store_them() -> None:
    registry = Registry()
    registry.counter(STALL, "sidecar", "a")
    registry.histogram(READ, "sidecar", "a")
    assert registry.series == 1 + READ_SERIES
    registry.counter("inferometer_slo_unmatched_total", "sidecar", "doc")
    assert registry.series == 1 + READ_SERIES


@pytest.mark.req("FO-05")
def test_what_does_not_fit_is_not_shown_and_counted() -> None:
    registry = Registry(series_max=4 * READ_SERIES)  # a quarter is kept for series without a model
    for n in range(10):
        registry.histogram(READ, "sidecar", f"m{n}").add(1)
    shown = page(registry)
    assert shown.labels(f"{READ}_count", "model") == {"m0", "m1", "m2"}
    assert registry.overflow == 7
    assert registry.series <= registry.series_max
    registry.counter(REJECTED).add()
    assert page(registry).value(REJECTED) == 1


@pytest.mark.req("FO-05")
def test_a_reserved_name_has_room_after_a_flood() -> None:
    registry = Registry(series_max=400)
    assert registry.reserve("mine", 100)
    n = 0
    while registry.fits(READ_SERIES):
        registry.histogram(READ, "sidecar", f"flood-{n}").add(1)
        n += 1
    registry.histogram(READ, "sidecar", "too late").add(1)
    registry.histogram(READ, "sidecar", "mine").add(1)
    assert page(registry).value(f"{READ}_count", model="mine") == 1
    assert page(registry).value(f"{READ}_count", model="too late") is None
    assert registry.overflow == 1


def test_room_that_is_not_there_cannot_be_reserved() -> None:
    registry = Registry(series_max=1000)
    assert not registry.reserve("big", 2000)
    assert not registry.fits(1)
    assert registry.histogram(READ, "sidecar", "big") is registry.histogram(READ, "sidecar", "big")


@pytest.mark.req("FO-05")
def test_a_flood_of_models_keeps_series_within_the_bound_and_the_rest_is_other() -> None:
    registry = Registry()
    registry.reserve("other")
    registry.reserve("unknown", 150)
    names = Names(fits=registry.fits)
    for n in range(5000):
        model = names.take(f"flood-{n}", proven=True)
        registry.histogram(READ, "sidecar", model).add(0.1)
        for metric in METRICS.values():
            if metric.ladder and metric.labels[:4] == ("vantage", "model", "operation", "stream"):
                extra = [domain.values[0] for domain in metric.domains[4:]]
                registry.histogram(metric.name, "sidecar", model, "chat", "true", *extra).add(1)
    shown = page(registry)
    assert registry.series <= registry.series_max
    assert registry.overflow == 0
    assert names.overflow > 4900
    assert shown.total(f"{READ}_count") == 5000
    assert shown.value(f"{READ}_count", model="other") == names.overflow


def test_a_callback_is_read_at_each_scrape() -> None:
    registry = Registry()
    depth = {"waiting": 1.0}
    registry.callback(IN_FLIGHT, lambda: [(("sidecar", "a", s), n) for s, n in depth.items()])
    assert page(registry).value(IN_FLIGHT, state="waiting") == 1
    depth["waiting"] = 2
    assert page(registry).value(IN_FLIGHT, state="waiting") == 2


def test_a_callback_that_raises_costs_its_own_family_only() -> None:
    told: list[tuple[str, str]] = []
    registry = Registry(on_error=lambda name, error: told.append((name, type(error).__name__)))
    registry.counter(REJECTED).add()

    def broken() -> Iterator[tuple[tuple[str, ...], float]]:
        yield ("sidecar", "a", "waiting"), 1
        message = "no"
        raise RuntimeError(message)

    registry.callback(IN_FLIGHT, broken)
    shown = page(registry)
    assert shown.value(IN_FLIGHT) is None
    assert shown.value(REJECTED) == 1
    assert told == [(IN_FLIGHT, "RuntimeError")]


@pytest.mark.req("FO-03")
def test_a_callback_with_values_outside_the_catalogue_is_a_fault_of_ours() -> None:
    told: list[str] = []
    registry = Registry(on_error=lambda name, _: told.append(name))
    registry.callback(IN_FLIGHT, lambda: [(("sidecar", "a", "asleep"), 1)])
    assert page(registry).value(IN_FLIGHT) is None
    assert told == [IN_FLIGHT]


def test_without_anybody_to_tell_a_failing_callback_is_absent() -> None:
    registry = Registry()
    registry.callback(IN_FLIGHT, lambda: [((), 1)])
    assert page(registry).value(IN_FLIGHT) is None


def test_a_callback_adds_a_bounded_number_of_samples() -> None:
    registry = Registry()
    registry.callback(
        "inferometer_waiting_over_slo", lambda: [((f"slo-{n}",), n) for n in range(5000)]
    )
    assert len(page(registry).find("inferometer_waiting_over_slo")) == SAMPLES_MAX


def test_a_metric_has_one_source() -> None:
    registry = Registry()
    registry.callback(IN_FLIGHT, list)
    with pytest.raises(ValueError, match="is counted already"):
        registry.callback(IN_FLIGHT, list)
    with pytest.raises(ValueError, match="is no metric that can be counted here"):
        registry.gauge(IN_FLIGHT, "sidecar", "a", "waiting")
    registry.counter(REJECTED)
    with pytest.raises(ValueError, match="is counted already"):
        registry.callback(REJECTED, list)
    with pytest.raises(ValueError, match="of another kind"):
        registry.callback(READ, list)


def test_the_operating_system_tells_of_this_process() -> None:
    shown = page(Registry())
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        value = shown.value(name)
        assert value is not None
        assert value > 0


def test_the_bound_on_one_name_holds_for_all_metrics_of_one_kind_of_request() -> None:
    registry = Registry(series_max=20_000)
    before = registry.series
    for name, metric in METRICS.items():
        if "model" not in metric.labels or not metric.counts_in_series_max:
            continue
        if metric.source == "rules":  # no program of ours exports it
            continue
        values = ["m" if d.name == "model" else d.values[0] for d in metric.domains]
        if metric.kind == "histogram":
            registry.histogram(name, *values)
        elif metric.kind == "counter":
            registry.counter(name, *values)
        else:
            registry.gauge(name, *values)
    assert registry.series - before <= SERIES_PER_NAME


def test_a_scrape_sees_count_and_buckets_agree_while_others_write() -> None:
    registry = Registry()
    stop = Event()

    def count() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            cell = registry.histogram(READ, "sidecar", f"m{n % 60}")
            cell.add(n % 100)
            if n % 100 == 0:
                stop.wait(0.0001)  # the other thread shall run as well

    writer = Thread(target=count)
    writer.start()
    try:
        texts = [b"".join(write(registry, openmetrics=False)).decode() for _ in range(10)]
    finally:
        stop.set()
        writer.join()
    for shown in map(Samples, texts):
        counts = {labels["model"]: value for labels, value in shown.find(f"{READ}_count")}
        whole = shown.find(f"{READ}_bucket", le="+Inf")
        assert {labels["model"]: value for labels, value in whole} == counts != {}


def test_a_page_with_everything_is_clean_for_promtool() -> None:
    registry = Registry(series_max=20_000, extra_edges={"FIRST": [0.3]})
    exemplar = Exemplar("a" * 32, "b" * 16, 1.0)
    kinds: set[type] = set()
    for name, metric in METRICS.items():
        if metric.source in ("rules", "process"):
            continue
        values = [domain.values[0] if domain.values else clean("x") for domain in metric.domains]
        if metric.kind == "histogram":
            registry.histogram(name, *values).add(0.5, 2, exemplar)
            kinds.add(Histogram)
        elif metric.kind == "counter":
            registry.counter(name, *values).add(2, exemplar)
            kinds.add(Counter)
        else:
            registry.gauge(name, *values).set(-math.inf)
            kinds.add(Gauge)
    assert len(kinds) == 3
    text = b"".join(write(registry, openmetrics=False)).decode()
    assert promtool_complaints(text) == ""
