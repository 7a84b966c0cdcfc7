from math import inf

import pytest

from inferometer.live import point, reading
from inferometer.live.point import Material, Point
from inferometer.live.reading import Change, Key

EDGES = (0.1, 0.5, 1.0, inf)


def cumulative(*counts: float) -> dict[float, float]:
    return {le: sum(counts[: at + 1]) for at, le in enumerate(EDGES)}


def made(
    counters: dict[Key, float] | None = None,
    histograms: dict[Key, dict[float, float]] | None = None,
    gauges: dict[Key, float] | None = None,
) -> Point:
    change = Change(10.0, counters or {}, histograms or {})
    material = Material(tick=change, window=change, slo_window=change, gauges=gauges)
    return point.make(material, time_ms=5, answering=1, targets=1)


def test_without_any_reading_everything_is_unknown_and_nothing_is_zero() -> None:
    got = point.make(Material(), time_ms=7, answering=0, targets=2)
    assert (got.time_ms, got.answering, got.targets) == (7, 0, 2)
    assert got.ttft.p50 is got.ttft.p99 is got.itl.p50 is got.cost.head.p50 is None
    assert got.output_rate is got.input_rate is got.requests_rate is got.stalls is None
    assert got.waiting is got.streaming is got.abandoned is None
    assert got.outcomes is None
    assert got.cost.cores is got.cost.memory_bytes is got.cost.ring_fill is None
    assert got.slos == {}
    assert got.heat == ()


def test_an_idle_sidecar_has_true_zeros_for_rates_and_no_quantiles() -> None:
    got = made()
    assert (got.output_rate, got.requests_rate, got.outcomes, got.stalls) == (0.0, 0.0, {}, 0)
    assert got.ttft.p50 is None
    assert got.ttft.count == 0


def test_quantiles_are_those_of_the_window() -> None:
    got = made(histograms={(reading.ITL,): cumulative(50, 50, 0, 0)})
    assert got.itl.count == 100
    assert got.itl.p50 == pytest.approx(0.1)
    assert got.itl.p90 == pytest.approx(0.42)


def test_clients_that_give_up_never_make_the_wait_look_shorter() -> None:
    answered: dict[Key, dict[float, float]] = {(reading.TTFT,): cumulative(90, 0, 10, 0)}
    storm = {**answered, (reading.TTFT_CENSORED,): cumulative(0, 100, 0, 0)}
    before, after = made(histograms=answered).ttft, made(histograms=storm).ttft
    assert before.p90 is not None
    assert after.p90 is not None
    assert after.p90 > before.p90
    assert after.count == 200


def test_a_quantile_beyond_all_answers_is_unknown() -> None:
    got = made(histograms={(reading.TTFT_CENSORED,): cumulative(0, 5, 0, 0)})
    assert got.ttft.p50 is None
    assert got.abandoned == 5


def test_token_rates_add_up_all_sources_and_are_per_second() -> None:
    got = made(
        {
            (reading.TOKENS, "output", "server"): 100,
            (reading.TOKENS, "output", "chunks"): 20,
            (reading.TOKENS, "input", "server"): 900,
        }
    )
    assert (got.output_rate, got.input_rate) == (12.0, 90.0)


def test_where_answers_tell_no_tokens_the_rate_is_unknown() -> None:
    got = made({(reading.REQUESTS, "success"): 3, (reading.TOKENS, "output", "server"): 0})
    assert got.output_rate is None


def test_verdicts_are_grouped_by_slo_with_promise_limits_and_reasons() -> None:
    got = made(
        {
            (reading.VERDICTS, "chat", "good", "none"): 90,
            (reading.VERDICTS, "chat", "bad", "ttft"): 6,
            (reading.VERDICTS, "chat", "bad", "gap"): 0,
            (reading.VERDICTS, "chat", "excluded", "unmeasured"): 2,
            (reading.VERDICTS, "chat", "excluded", "client_cancel"): 1,
        },
        gauges={
            (reading.OBJECTIVE, "chat"): 0.99,
            (reading.OBJECTIVE, "idle"): 0.9,
            (reading.THRESHOLD, "chat", "ttft"): 0.8,
        },
    )
    chat = got.slos["chat"]
    assert (chat.good, chat.bad, chat.excluded, chat.unmeasured) == (90, 6, 3, 2)
    assert (chat.objective, chat.limits, chat.reasons) == (0.99, {"ttft": 0.8}, {"ttft": 6})
    assert (got.slos["idle"].good, got.slos["idle"].bad) == (0, 0)


def test_a_class_of_slices_is_one_row_with_the_requests_behind_them() -> None:
    got = made(
        {
            (reading.VERDICTS, "reserved--requests", "good", "none"): 8,
            (reading.VERDICTS, "reserved--requests", "bad", "tpot"): 2,
            (reading.VERDICTS, "reserved--requests", "excluded", "unmeasured"): 1,
            (reading.VERDICTS, "gone--requests", "good", "none"): 3,
            (reading.VERDICTS, "request_header", "good", "none"): 4,
        },
        gauges={
            (reading.OBJECTIVE, "reserved"): 0.99,
            (reading.THRESHOLD, "reserved", "tpot"): 0.02,
        },
    )
    assert list(got.slos) == ["gone", "request_header", "reserved"]
    reserved = got.slos["reserved"]
    assert (reserved.good, reserved.bad, reserved.excluded, reserved.unmeasured) == (8, 2, 1, 1)
    assert (reserved.objective, reserved.limits) == (0.99, {"tpot": 0.02})
    assert (reserved.weight, got.slos["request_header"].weight) == ("slice", "request")
    assert reserved.reasons == {"tpot": 2}
    assert (got.slos["gone"].good, got.slos["gone"].objective) == (3, None)


def test_a_class_of_tokens_is_told_from_one_of_requests_before_it_has_judged_any() -> None:
    got = made(
        {
            (reading.VERDICTS, "bulk", "good", "none"): 0,
            (reading.VERDICT_TOKENS, "bulk"): 0,
            (reading.VERDICTS, "chat", "good", "none"): 0,
        },
        gauges={(reading.OBJECTIVE, "bulk"): 0.95, (reading.OBJECTIVE, "chat"): 0.9},
    )
    assert {name: slo.weight for name, slo in got.slos.items()} == {
        "bulk": "token",
        "chat": "request",
    }


def test_a_class_that_came_to_slices_shows_what_it_counted_before() -> None:
    """Of two sidecars that are shown together, one has been restarted with the new document."""
    got = made(
        {
            (reading.VERDICTS, "chat", "good", "none"): 5,
            (reading.VERDICTS, "chat--requests", "good", "none"): 2,
        },
        gauges={(reading.OBJECTIVE, "chat"): 0.9},
    )
    assert {name: slo.good for name, slo in got.slos.items()} == {"chat": 7}


def test_the_cost_is_read_by_stage_and_cpu_per_second() -> None:
    got = made(
        {(reading.CPU,): 2.5},
        {(reading.OVERHEAD, "head"): cumulative(10, 0, 0, 0)},
        {(reading.RSS,): 5e7, (reading.RING_FILL,): 0.25},
    )
    assert got.cost.cores == 0.25
    assert got.cost.head.p50 == pytest.approx(0.05)
    assert got.cost.chunk.p50 is None
    assert (got.cost.memory_bytes, got.cost.ring_fill) == (5e7, 0.25)


def test_gauges_and_quality_are_passed_on() -> None:
    got = made(
        {
            (reading.USAGE, "server"): 3,
            (reading.DROPPED, "events"): 1,
            (reading.UNPARSED, "type"): 0,
        },
        gauges={
            (reading.IN_FLIGHT, "waiting"): 2,
            (reading.IN_FLIGHT, "streaming"): 5,
            (reading.WAITING_AGE,): 0.4,
        },
    )
    assert (got.waiting, got.streaming, got.oldest_wait_s) == (2, 5, 0.4)
    assert got.quality.usage == {"server": 3}
    assert got.quality.dropped == {"events": 1}
    assert got.quality.unparsed == {}


def test_the_heat_map_shows_each_bucket_by_itself() -> None:
    got = made(histograms={(reading.TTFT,): cumulative(1, 2, 0, 4)})
    assert got.heat_edges == EDGES
    assert got.heat == (1, 2, 0, 4)
