from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.live import point, reading
from inferometer.live.reading import (
    EDGES_MAX,
    KEYS_MAX,
    Change,
    Reading,
    change,
    densities,
    merge_changes,
    merge_gauges,
    read,
)
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.reader import Sample


def sample(name: str, value: float, **labels: str) -> Sample:
    return Sample(name, labels, value)


def test_every_metric_that_is_read_is_in_the_catalogue_with_the_labels_that_are_kept() -> None:
    known = {**reading.HISTOGRAMS, **reading.COUNTERS, **reading.GAUGES}
    for name, kept in known.items():
        family = name.removesuffix("_sum")
        if not family.startswith("process_"):
            assert set(kept) <= set(METRICS[family].labels), family


def test_labels_that_the_page_does_not_tell_apart_are_summed() -> None:
    got = read(
        [
            sample(reading.REQUESTS, 3, model="a", outcome="success", vantage="sidecar"),
            sample(reading.REQUESTS, 4, model="b", outcome="success", vantage="sidecar"),
            sample(reading.REQUESTS, 1, model="b", outcome="timeout", vantage="sidecar"),
        ],
        moment_s=1,
    )
    assert got.counters == {(reading.REQUESTS, "success"): 7, (reading.REQUESTS, "timeout"): 1}


def test_what_library_hooks_count_is_left_out_so_that_no_request_counts_twice() -> None:
    got = read(
        [sample(reading.REQUESTS, 3, outcome="success", vantage="server")],
        moment_s=1,
    )
    assert got == Reading(1)


def test_buckets_of_several_models_are_added_edge_by_edge() -> None:
    name = f"{reading.TTFT}_bucket"
    got = read(
        [
            sample(name, 1, model="a", le="0.1"),
            sample(name, 2, model="a", le="+Inf"),
            sample(name, 5, model="b", le="0.1"),
            sample(name, 5, model="b", le="+Inf"),
            sample(name, 5, model="b", le="broken"),
            sample(name, 5, model="b"),
        ],
        moment_s=1,
    )
    assert got.histograms == {(reading.TTFT,): {0.1: 6, inf: 7}}


def test_nan_and_unknown_metrics_say_nothing() -> None:
    strange = [
        sample(reading.RSS, nan),
        sample("go_goroutines", 1),
        sample(reading.TTFT, 1),
        sample("x_bucket", 1, le="1"),
    ]
    assert read(strange, moment_s=1) == Reading(1)


def test_gauges_are_summed_or_the_largest_is_taken_as_their_meaning_asks() -> None:
    one = read(
        [
            sample(reading.IN_FLIGHT, 2, state="waiting", model="a"),
            sample(reading.IN_FLIGHT, 3, state="waiting", model="b"),
            sample(reading.WAITING_AGE, 1.5),
        ],
        moment_s=1,
    )
    other = read([sample(reading.WAITING_AGE, 0.5), sample(reading.RSS, 7)], moment_s=1)
    assert merge_gauges([one, other]) == {
        (reading.IN_FLIGHT, "waiting"): 5,
        (reading.WAITING_AGE,): 1.5,
        (reading.RSS,): 7,
    }


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (reading.REQUESTS, "outcome"),
        (reading.OBJECTIVE, "slo"),
        (f"{reading.OVERHEAD}_bucket", "stage"),
    ],
)
def test_a_reading_is_bounded_in_series(name: str, label: str) -> None:
    many = [sample(name, 1, le="1.0", **{label: str(at)}) for at in range(KEYS_MAX + 5)]
    got = read(many, moment_s=1)
    assert len(got.counters) + len(got.gauges) + len(got.histograms) == KEYS_MAX


def test_a_reading_is_bounded_in_edges() -> None:
    many = [sample(f"{reading.TTFT}_bucket", 1, le=str(at)) for at in range(EDGES_MAX + 5)]
    assert len(read(many, moment_s=1).histograms[(reading.TTFT,)]) == EDGES_MAX


def test_a_change_is_the_difference_and_a_series_that_was_absent_began_at_zero() -> None:
    before = Reading(1.0, {}, {("a",): 2}, {("h",): {1.0: 1, inf: 2}})
    after = Reading(3.0, {}, {("a",): 5, ("b",): 4}, {("h",): {1.0: 2, inf: 4}, ("i",): {inf: 1}})
    assert change(before, after) == Change(
        2.0, {("a",): 3, ("b",): 4}, {("h",): {1.0: 1, inf: 2}, ("i",): {inf: 1}}
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Reading(1, {(reading.STARTED,): 10}), Reading(2, {(reading.STARTED,): 11})),
        (Reading(1, {}, {("a",): 2}), Reading(2, {}, {("a",): 1})),
        (Reading(1, {}, {}, {("h",): {inf: 2}}), Reading(2, {}, {}, {("h",): {inf: 1}})),
        (Reading(2), Reading(2)),
    ],
    ids=["another start time", "a counter went back", "a bucket went back", "no time passed"],
)
def test_across_a_restart_nothing_is_known(before: Reading, after: Reading) -> None:
    assert change(before, after) is None


def test_changes_of_several_sidecars_add_up_on_their_common_edges() -> None:
    one = Change(1.0, {("a",): 1}, {("h",): {0.5: 1, 0.8: 2, inf: 3}})
    other = Change(3.0, {("a",): 2, ("b",): 5}, {("h",): {0.5: 10, inf: 20}, ("i",): {inf: 1}})
    assert merge_changes([one, other]) == Change(
        3.0, {("a",): 3, ("b",): 5}, {("h",): {0.5: 11, inf: 23}, ("i",): {inf: 1}}, (one, other)
    )
    assert merge_changes([]) is None


def test_the_rate_of_several_sidecars_is_the_sum_of_their_rates() -> None:
    old = Change(10.0, {(reading.TOKENS, "output", "server"): 1000, (reading.CPU,): 5}, {})
    young = Change(1.0, {(reading.TOKENS, "output", "events"): 20}, {})
    both = merge_changes([old, young])
    assert both is not None
    assert both.rate(reading.TOKENS, "output") == pytest.approx(120)
    assert both.rate(reading.TOKENS) == pytest.approx(120)
    assert both.rate(reading.CPU) == pytest.approx(0.5)
    assert both.rate(reading.REQUESTS) == 0


def test_a_point_of_several_sidecars_shows_the_sum_of_their_rates() -> None:
    key = (reading.TOKENS, "output", "server")
    ended = (reading.REQUESTS, "success")
    old = Change(10.0, {key: 1000.0, ended: 10.0, (reading.CPU,): 2.0}, {})
    young = Change(1.0, {key: 0.0, ended: 0.0, (reading.CPU,): 0.5}, {})
    window = merge_changes([old, young])
    shown = point.make(point.Material(window=window), time_ms=0, answering=2, targets=2)
    assert shown.output_rate == pytest.approx(100)
    assert shown.requests_rate == pytest.approx(1)
    assert shown.cost.cores == pytest.approx(0.7)


@given(st.dictionaries(st.floats(0, 100), st.integers(0, 50), min_size=1))
def test_densities_never_are_negative_and_add_up_to_the_highest_count(
    cells: dict[float, int],
) -> None:
    counts = densities({le: float(n) for le, n in cells.items()})
    assert min(counts) >= 0
    assert sum(counts) >= cells[max(cells)]


def test_densities_of_ascending_counts_are_their_steps() -> None:
    assert densities({inf: 6.0, 0.1: 1.0, 0.5: 4.0}) == [1.0, 3.0, 2.0]
