"""Verdicts on the measuring plane, with made-up moments: when they count, and as what."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from inferometer.sidecar.tap import Answered, Tapped
from support.marks import DONE, JSON, MS, SSE, Plane, chunk, usage

HEAD = "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: d}\nclasses:\n"
LATE = ("bad", "ttft")
GOOD = ("good", "none")
CLAMPED = "inferometer_slo_header_clamped_total"


def promised(folder: Path, *classes: str) -> Plane:
    plane = Plane()
    entries = (f"  - {{name: {'ab'[n]}, objective: 99, {one}}}\n" for n, one in enumerate(classes))
    plane.promise(folder, HEAD + "".join(entries))
    return plane


def begin(plane: Plane, *more: tuple[bytes, bytes]) -> Tapped:
    tapped = plane.begin(more=more)
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    return tapped


def answer(plane: Plane, tapped: Tapped, moments_ms: Iterable[int], *, tokens: int | None) -> None:
    *before, last = moments_ms
    plane.say(tapped, *((ms, chunk("a")) for ms in before))
    told = b"" if tokens is None else usage(tokens)
    plane.say(tapped, (last, chunk("b", finish='"stop"') + told + DONE))
    plane.end(tapped, last + 1)


# Fluidity.


@pytest.mark.parametrize(
    ("moments_ms", "tokens", "told"),
    [
        ((100, 150, 200, 250), 4, GOOD),
        ((100, 151, 201, 251), 4, ("bad", "fluidity")),
        ((80, 151, 201, 251), 4, ("bad", "fluidity")),
        ((79, 120, 200, 250), 4, GOOD),
        ((79, 120, 201, 251), 4, ("bad", "fluidity")),
        ((100, 200, 300, 400), 8, GOOD),  # two tokens each, a slack of 50 from the first pair
        ((100, 251, 351, 451), 8, ("bad", "fluidity")),
        ((100, 150), None, ("excluded", "unmeasured")),
    ],
)
def test_a_stream_is_fluid_if_its_tokens_come_when_a_reader_needs_them(
    tmp_path: Path, moments_ms: tuple[int, ...], tokens: int | None, told: tuple[str, str]
) -> None:
    plane = promised(tmp_path, "good: {fluidity: {first: 100ms, each: 50ms, min: 1}}")
    answer(plane, begin(plane), moments_ms, tokens=tokens)
    assert plane.verdicts("d-a") == {told: 1}


def test_fluidity_waits_for_the_end_whatever_is_late(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {fluidity: {first: 100ms, each: 50ms, min: 0.5}}")
    tapped = begin(plane)
    plane.say(tapped, (900, chunk("a")))
    plane.tick(2_000)
    assert plane.verdicts("d-a") == {}
    answer(plane, tapped, (2_050, 2_100), tokens=3)
    assert plane.verdicts("d-a") == {("bad", "fluidity"): 1}


@pytest.mark.parametrize(("late", "told"), [(4, GOOD), (5, ("bad", "fluidity"))])
def test_a_long_stream_is_judged_though_its_tokens_take_the_short_way(
    tmp_path: Path, late: int, told: tuple[str, str]
) -> None:
    plane = promised(tmp_path, "good: {fluidity: {first: 100ms, each: 20ms, min: 0.99}}")
    moments = [100]
    for n in range(399):  # each late one starts again from no slack
        moments.append(moments[-1] + (20 if n % 80 or n // 80 >= late else 21))
    answer(plane, begin(plane), moments, tokens=400)
    assert plane.verdicts("d-a") == {told: 1}


# Deadlines in headers.


def test_a_hang_is_bad_at_the_deadline_that_the_request_asked_for(tmp_path: Path) -> None:
    plane = promised(
        tmp_path, "good: {ttft: 100ms}, headers: {ttft: x-slo-ttft-ms, clamp: [0.5, 4]}"
    )
    begin(plane)
    patient = begin(plane, (b"X-Slo-Ttft-Ms", b"300"))
    begin(plane, (b"x-slo-ttft-ms", b"50"))
    plane.tick(60 + 20)
    assert plane.verdicts("d-a") == {LATE: 1}
    plane.tick(350 + 20)
    assert plane.verdicts("d-a") == {LATE: 3}
    assert plane.samples().value("inferometer_waiting_over_slo", slo="d-a") == 3
    plane.end(patient, 400, "client_left", 0)
    assert plane.verdicts("d-a") == {LATE: 3}
    assert plane.samples().value(CLAMPED, slo="d-a") == 0


def test_an_answer_within_the_deadline_asked_for_is_good(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {ttft: 100ms}, headers: {ttft: x-slo-ttft-ms}")
    for asked, count in ((b"300", 1), (b"200", 2), (b"199", 2), (b"8000", 3)):
        answer(plane, begin(plane, (b"x-slo-ttft-ms", asked)), (200, 210), tokens=2)
        assert plane.verdicts("d-a").get(GOOD) == count
    assert plane.verdicts("d-a") == {GOOD: 3, LATE: 1}
    assert plane.samples().value(CLAMPED, slo="d-a") == 1
    assert plane.verdicts("request_header") == {}


def test_the_deadlines_of_requests_without_a_class_for_them_count_apart(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {ttft: 1s}")
    answer(plane, begin(plane, (b"x-slo-ttft-ms", b"150")), (200, 210), tokens=2)
    answer(plane, begin(plane, (b"x-slo-tpot-ms", b"10")), (200, 210), tokens=2)
    answer(plane, begin(plane), (200, 210), tokens=2)
    assert plane.verdicts("d-a") == {GOOD: 3}
    assert plane.verdicts("request_header") == {LATE: 1, GOOD: 1}
    waiting = begin(plane, (b"x-slo-ttft-ms", b"150"))
    plane.tick(5_000)
    assert plane.samples().value("inferometer_waiting_over_slo", slo="request_header") == 1
    plane.end(waiting, 5_001, "client_left", 0)


# Tokens.


def test_a_class_weighed_by_tokens_counts_both(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {ttft: 100ms}, weight: token", "good: {ttft: 100ms}")
    answer(plane, begin(plane), (50, 60), tokens=40)
    answer(plane, begin(plane), (150, 160), tokens=2_000)
    answer(plane, begin(plane), (50, 60), tokens=None)
    unmeasured = ("excluded", "unmeasured")
    assert plane.verdicts("d-a") == {GOOD: 1, LATE: 1, unmeasured: 1}
    assert plane.verdicts("d-a", of="tokens") == {GOOD: 40, LATE: 2_000}
    assert plane.verdicts("d-b", of="tokens") == {}


def test_an_outage_costs_tokens_at_once(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {ttft: 100ms}, weight: token")
    answer(plane, begin(plane), (50, 60), tokens=40)
    hanging, late = begin(plane), begin(plane)
    plane.tick(1_500)
    assert plane.verdicts("d-a", of="tokens") == {GOOD: 40, LATE: 80}
    answer(plane, late, (1_600, 1_700), tokens=2_000)
    assert plane.verdicts("d-a", of="tokens") == {GOOD: 40, LATE: 2_040}
    plane.end(hanging, 3_000, "client_left", 0)
    assert plane.verdicts("d-a", of="tokens") == {GOOD: 40, LATE: 2_040}
    assert plane.verdicts("d-a") == {GOOD: 1, LATE: 2}
    plane.end(plane.begin(), 20, "connect_failed", 502)
    assert plane.verdicts("d-a", of="tokens")["bad", "error"] == 40


def test_an_answer_that_is_not_streamed_weighs_its_tokens_too(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {e2e: 9s}, weight: token")
    tapped = plane.begin(ask=b'{"model":"m"}')
    plane.ring.mark(tapped, 10 * MS, Answered(200, JSON))
    body = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":'
    plane.say(tapped, (20, body + b'{"prompt_tokens":1,"completion_tokens":17}}'))
    plane.end(tapped, 21)
    assert plane.verdicts("d-a", of="tokens") == {GOOD: 17}


# Slices, and reloads.


def test_a_sliced_class_is_judged_like_any_other_and_counted_for_the_rules(tmp_path: Path) -> None:
    plane = promised(
        tmp_path, "good: {ttft: 100ms}, weight: slice, slice: {length: 5m, good_share: 50}"
    )
    answer(plane, begin(plane), (50, 60), tokens=2)
    answer(plane, begin(plane), (150, 160), tokens=2)
    assert plane.verdicts("d-a--requests") == {GOOD: 1, LATE: 1}
    assert plane.verdicts("d-a") == {}


def test_a_request_under_way_keeps_its_judge_over_a_reload(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {ttft: 100ms}, weight: token")
    answer(plane, begin(plane), (50, 60), tokens=40)
    late, gone = begin(plane), begin(plane)
    plane.tick(1_000)
    plane.promise(
        tmp_path, f"{HEAD}  - {{name: a, objective: 90, good: {{ttft: 9s}}, weight: token}}\n"
    )
    answer(plane, late, (1_100, 1_200), tokens=500)
    assert plane.verdicts("d-a", of="tokens") == {GOOD: 40, LATE: 540}
    plane.promise(tmp_path, f"{HEAD}  - {{name: c, objective: 90, good: {{ttft: 9s}}}}\n")
    plane.end(gone, 2_000, "client_left", 0)
    assert plane.verdicts("d-a") == {GOOD: 1, LATE: 2}
    answer(plane, begin(plane), (5_000, 5_010), tokens=9)
    assert plane.verdicts("d-c") == {GOOD: 1}


@pytest.mark.parametrize(("target", "count"), [(b"/v1/chat/completions", 1), (b"/health", 0)])
def test_a_request_that_no_class_takes_is_counted_where_one_should(
    tmp_path: Path, target: bytes, count: int
) -> None:
    plane = promised(tmp_path, "match: {model: other}, good: {e2e: 9s}")
    plane.end(plane.begin(target=target), 10)
    assert plane.samples().value("inferometer_slo_unmatched_total", document="d") == count


def test_what_a_class_promised_is_gone_with_it_and_what_it_counted_stays(tmp_path: Path) -> None:
    plane = promised(tmp_path, "good: {ttft: 100ms}")
    begin(plane)
    plane.tick(1_000)
    gauges = (
        "inferometer_slo_objective_ratio",
        "inferometer_slo_threshold_seconds",
        "inferometer_waiting_over_slo",
    )
    assert {len(plane.samples().find(name, slo="d-a")) for name in gauges} == {1}
    assert plane.samples().value("inferometer_waiting_over_slo", slo="d-a") == 1
    plane.promise(tmp_path, f"{HEAD}  - {{name: c, objective: 90, good: {{ttft: 9s}}}}\n")
    page = plane.samples()
    for name in gauges:
        assert page.find(name, slo="d-a") == [], name
        assert len(page.find(name, slo="d-c")) == 1, name
    assert plane.verdicts("d-a") == {LATE: 1}
    plane.observer.desk.bench.replace(())
    assert all(plane.samples().find(name) == [] for name in gauges)


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ([], 0),
        ([(b"X-SLO-TTFT-MS", b"250")], 0),
        ([(b"X-SLO-TTFT-MS", b"soon")], 1),
        ([(b"x-llm-d-slo-ttft-ms", b"-1"), (b"x-slo-tpot-ms", b"9" * 20)], 2),
        ([(b"x-slo-tpot-ms", b"20"), (b"x-slo-tpot-ms", b"30")], 1),
        ([(b"X-Mine", b"0")], 1),
        ([(b"X-Other", b"soon")], 0),
    ],
)
def test_a_deadline_that_cannot_be_read_is_counted(
    tmp_path: Path, more: list[tuple[bytes, bytes]], count: int
) -> None:
    rejected = "inferometer_sidecar_slo_header_rejected_total"
    assert Plane().samples().value(rejected) is None, "nobody looks"
    opts_in = "headers: {ttft: x-slo-ttft-ms, tpot: x-mine, clamp: [0.5, 4]}"
    plane = promised(tmp_path, f"good: {{ttft: 100ms, tpot: 9ms}}, {opts_in}", "good: {e2e: 9s}")
    plane.end(begin(plane, *more), 10)
    assert plane.samples().value(rejected) == count
