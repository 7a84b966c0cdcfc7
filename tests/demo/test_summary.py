from math import inf
from typing import Any

import pytest

from inferometer.demo import limits, summary
from inferometer.demo.summary import Facts
from inferometer.live import reading
from inferometer.live.reading import Reading

TRUTH: dict[str, Any] = {
    "ends": {"success": 90, "client_left": 5, "aborted": 1},
    "verdicts": {"good": 90, "bad": 1, "excluded": 5},
    "first_token": {"count": 95, "mean": 0.15, "p50": 0.14, "p99": 0.9},
    "gaps": {"count": 900, "mean": 0.02, "p50": 0.02, "p99": 0.04},
    "lateness": {"count": 9, "mean": 0.0001, "p50": 0.0001, "p99": 0.0002},
    "input_tokens": 9000,
    "output_tokens": 990,
}
BEGAN = Reading(0.0, {}, {(reading.CPU,): 0.45})
MEASURED = Reading(
    1.0,
    {(reading.RSS,): 4e7},
    {
        (f"{reading.TTFT}_sum",): 14.25,
        (reading.REQUESTS, "success"): 90,
        (reading.REQUESTS, "client_cancel"): 5,
        (reading.REQUESTS, "truncated"): 1,
        (reading.TOKENS, "input", "server"): 9000,
        (reading.TOKENS, "output", "server"): 991,
        (reading.VERDICTS, limits.SLO, "good", "none"): 90,
        (reading.VERDICTS, limits.SLO, "bad", "ttft"): 0,
        (reading.VERDICTS, limits.SLO, "bad", "error"): 1,
        (reading.VERDICTS, limits.SLO, "excluded", "client_cancel"): 5,
        (reading.CPU,): 0.5,
    },
    {
        (reading.TTFT,): {0.1: 0, 0.25: 94, 1.0: 95, inf: 95},
        (reading.OVERHEAD, "head"): {0.00025: 96, inf: 96},
    },
)


def facts(measured: Reading = MEASURED, **changed: object) -> Facts:
    return Facts(BEGAN, measured, {**TRUTH, **changed}, {"complete": 90, "left": 6}, 20.4)


def row(name: str, made: Facts) -> list[str]:
    """Return the cells of a line of the summary."""
    (line,) = (line for line in summary.lines(made) if line.startswith(name))
    return [cell.strip() for cell in line[len(name) :].split("  ") if cell.strip()]


def test_the_summary_tells_how_long_it_was_and_what_the_clients_saw() -> None:
    first = next(iter(summary.lines(facts())))
    assert first == "inferometer demo: 20 s; the clients saw: 90 complete, 6 left"


def test_means_are_compared_exactly_and_quantiles_by_their_bucket() -> None:
    assert row("time to first token, mean", facts()) == ["150.0 ms", "150.0 ms", "+0.00 ms"]
    told = row("time to first token, p50", facts())
    assert told == ["175.8 ms (100 to 250)", "140.0 ms", "in the same bucket"]


def test_a_quantile_in_another_bucket_is_told_apart() -> None:
    far = {**TRUTH["first_token"], "p50": 0.5}
    assert row("time to first token, p50", facts(first_token=far))[2] == "-324.20 ms"


def test_counts_are_compared_one_by_one() -> None:
    assert row("output tokens", facts()) == ["991", "990", "+1"]
    assert row("input tokens", facts()) == ["9,000", "9,000", "none"]
    assert row("requests: truncated", facts()) == ["1", "1", "none"]
    assert row("first tokens", facts()) == ["95", "95", "none"]
    assert not any("rejected" in line for line in summary.lines(facts()))


def test_verdicts_are_compared_with_the_servers_own() -> None:
    assert row("SLO demo-chat: bad", facts()) == ["1", "1", "none"]
    assert row("goodput (promised 95%)", facts()) == ["98.90%", "98.90%"]


def test_the_cost_of_the_sidecar_is_told() -> None:
    assert row("added to a request", facts()) == ["0.125 ms", "0.247 ms"]
    assert row("CPU per output token", facts()) == ["0.050 ms"]
    assert row("memory", facts()) == ["40 MB"]
    assert row("events dropped", facts()) == ["0"]


def test_what_was_not_measured_is_no_data() -> None:
    nothing = facts(Reading(1.0), verdicts={}, ends={})
    assert row("time to first token, mean", nothing)[0] == "no data"
    assert row("inter-token latency, p99", nothing)[0] == "no data"
    assert row("output tokens", nothing)[0] == "no data"
    assert row("goodput (promised 95%)", nothing) == ["no data", "no data"]
    assert row("memory", nothing) == ["no data"]
    assert row("CPU per output token", nothing) == ["no data"]


@pytest.mark.parametrize(("late_s", "told"), [(0.001, 0), (0.03, 1), (None, 0)])
def test_a_busy_machine_is_named_as_the_cause_of_differences(
    late_s: float | None, told: int
) -> None:
    text = "\n".join(summary.lines(facts(lateness={"p99": late_s})))
    assert text.count("This machine is busy") == told


def test_an_empty_run_is_told_too() -> None:
    made = Facts(BEGAN, Reading(1.0), {**TRUTH, "ends": {}}, {}, 1.0)
    assert "the clients saw: nothing" in next(iter(summary.lines(made)))
