"""Rules of following one exchange to its end: what is late, lost, broken or named last."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from inferometer.sidecar.fields import Fields
from inferometer.sidecar.tap import Answered, Lost, Mark, RequestBody, RequestEnd, Started, Tapped
from support.marks import ASK, DONE, MS, SSE, USAGE, Plane, chunk

LIMITS = """
apiVersion: inferometer/v1
kind: SLO
metadata: {name: d}
classes:
  - name: c
    match: {stream: true}
    objective: 99
    good: {ttft: 300ms, itl: {within: 400ms, share: 50, max: 450ms}, e2e: 500ms}
"""
STOP = chunk("", finish='"stop"')
OVER = USAGE + DONE


def watched(plane: Plane, marks: Sequence[tuple[int, Mark]], *, looks_ms: Sequence[int]) -> Tapped:
    """Play a stream; `looks_ms` are the moments at which the plane looks, 20 ms after them."""
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    left = list(marks)
    for look_ms in looks_ms:
        while left and left[0][0] <= look_ms:
            plane.say(tapped, left.pop(0))
        plane.tick(look_ms + 20)
    plane.say(tapped, *left)
    return tapped


def test_a_terminator_that_comes_late_makes_no_request_late(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path, LIMITS)
    marks = [(100, chunk("a")), (400, chunk("b", finish='"stop"')), (3000, OVER)]
    tapped = watched(plane, marks, looks_ms=[300, 600, 1000, 2000, 2900])
    plane.end(tapped, 3000)
    assert plane.verdicts("d-c") == {("good", "none"): 1}
    samples = plane.samples()
    assert samples.total("gen_ai_server_request_duration_seconds_sum") == pytest.approx(0.4)
    assert samples.total("inferometer_longest_gap_seconds_sum") == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        ([(450, chunk("b", finish='"stop"') + OVER)], ("good", "none")),
        ([(450, chunk("b")), (900, OVER)], ("good", "none")),
        ([(450, chunk("b")), (700, STOP), (2000, OVER)], ("good", "none")),
        ([(450, chunk("b")), (1450, STOP + OVER)], ("bad", "e2e")),
        ([(450, chunk("b")), (501, chunk("c")), (502, STOP + OVER)], ("bad", "e2e")),
        ([(551, chunk("b")), (552, STOP + OVER)], ("bad", "e2e")),
        ([(1200, OVER)], ("bad", "e2e")),
        ([(40, chunk("b")), (1200, STOP + OVER)], ("bad", "e2e")),
    ],
)
def test_whenever_somebody_looks_the_verdict_and_the_longest_gap_are_the_same(
    tmp_path: Path, end: list[tuple[int, Mark]], verdict: tuple[str, str]
) -> None:
    told = []
    looks: list[Sequence[int]] = [(), range(100, 2200, 250), range(10, 2200, 30)]
    for looks_ms in looks:
        plane = Plane()
        plane.promise(tmp_path, LIMITS)
        marks: list[tuple[int, Mark]] = [(100, chunk("a")), *end]
        marks.sort(key=lambda one: one[0])
        plane.end(watched(plane, marks, looks_ms=looks_ms), end[-1][0])
        assert plane.verdicts("d-c") == {verdict: 1}, looks_ms
        told.append(plane.samples().total("inferometer_longest_gap_seconds_sum"))
    assert len(set(told)) == 1


@pytest.mark.parametrize("looks_ms", [(), (500, 1500)])
def test_a_client_that_leaves_a_hang_has_seen_a_violation(
    tmp_path: Path, looks_ms: tuple[int, ...]
) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = watched(plane, [(50, chunk("a"))], looks_ms=looks_ms)
    plane.end(tapped, 1900, "client_left")
    assert plane.verdicts("chat-fast") == {("bad", "gap"): 1}
    assert plane.samples().total("inferometer_longest_gap_seconds_sum") == pytest.approx(1.85)


def test_a_silence_in_which_parts_were_dropped_proves_nothing(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    marks: list[tuple[int, Mark]] = [(50, chunk("a")), (1900, Lost()), (1900, STOP + DONE)]
    plane.end(watched(plane, marks, looks_ms=[]), 1900)
    assert plane.verdicts("chat-fast") == {("excluded", "unmeasured"): 1}
    assert plane.samples().find("inferometer_longest_gap_seconds_count") == []


def test_a_model_that_is_named_last_has_one_label_in_all_that_is_counted() -> None:
    plane = Plane()
    tapped = plane.begin(ask=b'{"prompt":"x","stream":true}', target=b"/completion")
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    last = b'"stop":true,"tokens_predicted":2,"tokens_evaluated":7,"model":"late"'
    plane.say(
        tapped,
        (50, b'data: {"content":"a","stop":false}\n\n'),
        (70, b'data: {"content":"b","stop":false}\n\n'),
        (90, b'data: {"content":"",' + last + b"}\n\n"),
    )
    plane.end(tapped, 90)
    models = {labels["model"] for _, labels, n in plane.samples() if "model" in labels and n}
    assert models == {"unknown"}


def test_a_number_of_chunks_is_no_number_of_tokens_of_a_request() -> None:
    plane = Plane()
    marks = [(50, chunk("a")), (60, chunk("b", finish='"stop"') + DONE)]
    plane.end(watched(plane, marks, looks_ms=[]), 60)
    samples = plane.samples()
    assert samples.find("inferometer_request_output_tokens_count") == []
    assert samples.value("inferometer_tokens_total", usage_source="chunks") == 2


def test_what_follows_a_lost_part_of_a_request_body_is_not_spliced_to_what_came_before() -> None:
    plane = Plane()
    tapped = plane.ring.admit()
    assert tapped is not None
    plane.ring.mark(tapped, 0, Started(1.5, b"POST", b"/v1/chat/completions", Fields(b"")))
    plane.say(
        tapped,
        (0, RequestBody(b'{"metadata":{"a":1')),
        (1, Lost()),
        (1, RequestBody(b'},"model":"wrong","stream":true}')),
    )
    plane.ring.mark(tapped, 2 * MS, RequestEnd(99))
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    plane.say(tapped, (50, chunk("a", finish='"stop"') + DONE))
    plane.end(tapped, 60)
    samples = plane.samples()
    name = "inferometer_requests_total"
    assert samples.value(name, model="unknown", stream="unknown", outcome="success") == 1
    ttft = "gen_ai_server_time_to_first_token_seconds_count"
    assert samples.total(ttft) == 1, "the answer was read whole"


class _Unreadable(Fields):
    __slots__ = ()

    def values(self, name: bytes) -> list[bytes]:
        raise ValueError(name)


@pytest.mark.req("FO-01")
def test_an_exchange_that_cannot_be_watched_costs_no_other_its_measuring() -> None:
    plane = Plane()
    before = plane.begin()
    broken = plane.ring.admit()
    assert broken is not None
    head = Started(1.5, b"POST", b"/v1/chat/completions", _Unreadable(b"traceparent: x\r\n"))
    plane.ring.mark(broken, 0, head)
    plane.ring.offer(broken, 0, RequestBody(ASK), len(ASK))
    after = plane.begin()
    for tapped in (before, broken, after):
        plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
        plane.say(tapped, (50, chunk("a", finish='"stop"') + DONE))
    plane.tick(300)
    assert plane.observer.desk.internal_errors["registry"] == 1
    assert broken.muted, "the relay copies nothing more of it"
    for tapped in (before, broken, after):
        plane.end(tapped, 400)
    assert plane.samples().total("inferometer_requests_total", outcome="success") == 2
    plane.tick(5000)
    assert plane.samples().total("inferometer_requests_in_flight") == 0
