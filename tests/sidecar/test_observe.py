"""The measuring plane by itself, on marks with made-up moments."""

import dataclasses
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics import exposition
from inferometer.metrics.build import Registry
from inferometer.sidecar import cli
from inferometer.sidecar.cli import make_stages
from inferometer.sidecar.fields import NO_FIELDS, Fields
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import (
    Answered,
    Delay,
    Finish,
    Lag,
    Lost,
    RequestEnd,
    Ring,
    Stall,
    Started,
    Tapped,
    Upgraded,
)
from inferometer.stream.decode import Decoder
from inferometer.stream.dialect import Call
from support.marks import DONE, JSON, MS, SSE, USAGE, Plane, chunk
from support.sidecar import wait_until


def stream(plane: Plane, *, first_ms: int = 50) -> Tapped:
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    plane.say(
        tapped,
        (20, chunk("")),
        (first_ms, chunk("a")),
        (first_ms + 30, chunk("b")),
        (first_ms + 70, chunk("c", finish='"stop"')),
        (first_ms + 80, USAGE + DONE),
    )
    return tapped


def test_a_stream_is_measured_by_the_moments_of_its_bytes() -> None:
    plane = Plane()
    plane.end(stream(plane), 200)
    got = plane.samples()
    labels = {"model": "m", "operation": "chat", "stream": "true"}
    assert got.value("gen_ai_server_time_to_first_token_seconds_sum", **labels) == 0.05
    assert got.value("inferometer_time_to_first_byte_seconds_sum", **labels) == 0.02
    assert got.value("inferometer_time_to_first_output_seconds_sum", **labels) == 0.05
    assert got.value("inferometer_inter_chunk_latency_seconds_count", **labels) == 2
    itl = "inferometer_inter_token_latency_seconds"
    assert got.value(f"{itl}_count", weights="uniform", **labels) is None
    assert got.value(f"{itl}_sum", weights="exact", **labels) == pytest.approx(0.07)
    tpot = got.value("gen_ai_server_time_per_output_token_seconds_sum", **labels)
    assert tpot == pytest.approx(0.035)
    duration = got.value("gen_ai_server_request_duration_seconds_sum", result="ok", **labels)
    assert duration == pytest.approx(0.12)
    assert got.value("inferometer_requests_total", outcome="success", **labels) == 1
    assert got.value("inferometer_tokens_total", direction="output", usage_source="server") == 3
    assert got.value("inferometer_tokens_total", direction="input", usage_source="server") == 7
    assert got.value("inferometer_finish_reasons_total", finish="stop") == 1
    assert got.value("inferometer_request_read_seconds_sum", model="m") == 0.002
    head = got.value("inferometer_sidecar_overhead_seconds_sum", stage="head")
    assert head == pytest.approx(0.002)
    assert got.value("inferometer_responses_total", code="200") == 1


def test_an_exemplar_shows_the_trace_of_the_request() -> None:
    plane = Plane()
    plane.end(stream(plane), 200)
    page = b"".join(exposition.write(plane.registry, openmetrics=True)).decode()
    assert '# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7"}' in page


def test_every_verdict_series_exists_from_the_start(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    found = plane.samples().find("inferometer_slo_requests_total", slo="chat-fast")
    assert len(found) == 13
    assert {value for _, value in found} == {0}
    assert plane.samples().value("inferometer_slo_objective_ratio", slo="chat-fast") == 0.99
    threshold = "inferometer_slo_threshold_seconds"
    assert plane.samples().value(threshold, slo="chat-fast", objective="gap") == 0.2


def test_a_good_stream_is_good_once(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    plane.end(stream(plane), 200)
    assert plane.verdicts("chat-fast") == {("good", "none"): 1}


def test_a_stream_that_hangs_is_bad_at_its_deadline_and_never_revised(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin()
    plane.tick(90)
    assert plane.verdicts("chat-fast") == {}
    plane.tick(400)
    assert plane.verdicts("chat-fast") == {("bad", "ttft"): 1}
    assert plane.samples().value("inferometer_waiting_over_slo", slo="chat-fast") == 1
    plane.end(tapped, 500, "client_left", 0)
    plane.tick(2000)
    assert plane.verdicts("chat-fast") == {("bad", "ttft"): 1}
    assert plane.samples().value("inferometer_waiting_over_slo", slo="chat-fast") == 0


def test_a_silence_inside_a_stream_is_bad_before_it_ends(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    plane.say(tapped, (50, chunk("a")))
    plane.tick(100)
    assert plane.verdicts("chat-fast") == {}
    plane.tick(1000)
    assert plane.verdicts("chat-fast") == {}, "it may be the wait for the terminator"
    plane.tick(1300)
    assert plane.verdicts("chat-fast") == {("bad", "gap"): 1}


def test_a_silence_while_the_client_does_not_read_is_not_the_servers(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    plane.say(tapped, (50, chunk("a")))
    plane.tick(60)
    tapped.paused = True
    plane.tick(900)
    tapped.paused = False
    plane.say(tapped, (900, Stall(840 * MS)), (910, chunk("b", finish='"stop"') + DONE))
    plane.end(tapped, 910)
    assert plane.verdicts("chat-fast").get(("bad", "gap")) is None
    stall = plane.samples().value("inferometer_client_stall_seconds_total", model="m")
    assert stall == pytest.approx(0.84)


def test_a_hang_that_ends_with_the_stream_is_a_gap_too(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    plane.say(tapped, (50, chunk("a")), (1050, chunk("", finish='"stop"') + DONE))
    plane.end(tapped, 1050)
    assert plane.verdicts("chat-fast") == {("bad", "gap"): 1}
    assert plane.samples().total("inferometer_longest_gap_seconds_sum") == pytest.approx(1)


def test_a_request_that_no_class_takes_is_counted(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin(ask=b'{"model":"m"}')
    plane.end(tapped, 10, "connect_failed", 502)
    assert plane.samples().value("inferometer_slo_unmatched_total", document="chat") == 1
    plane.end(plane.begin(ask=b"", target=b"/health"), 10)
    assert plane.samples().value("inferometer_slo_unmatched_total", document="chat") == 1


def test_the_tenant_is_matched_by_its_header_and_never_a_label(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.ring.admit()
    assert tapped is not None
    fields = Fields.of([*JSON, (b"x-tenant", b"gold")])
    plane.ring.mark(tapped, 0, Started(1.5, b"POST", b"/v1/chat/completions", fields))
    plane.ring.mark(tapped, 0, RequestEnd(0))
    plane.end(tapped, 10, "connect_failed", 502)
    assert plane.verdicts("chat-gold") == {("bad", "error"): 1}
    assert plane.verdicts("chat-fast") == {}


def test_what_is_in_flight_is_told_by_state() -> None:
    plane = Plane()
    waiting, streaming = plane.begin(), plane.begin()
    plane.ring.mark(streaming, 10 * MS, Answered(200, SSE))
    plane.say(streaming, (50, chunk("a")))
    plane.tick(300)
    got = plane.samples()
    flight = "inferometer_requests_in_flight"
    assert got.total(flight, state="streaming") == 1
    assert got.total(flight, state="waiting") == 1
    age_s = got.value("inferometer_waiting_age_max_seconds")
    assert age_s == pytest.approx(0.3)
    plane.end(waiting, 310, "client_left", 0)
    plane.end(streaming, 320)
    plane.tick(5000)
    got = plane.samples()
    assert got.total(flight) == 0
    assert got.value("inferometer_waiting_age_max_seconds") == 0


def test_a_tunnel_is_counted_as_bytes_and_nothing_else() -> None:
    plane = Plane()
    tapped = plane.begin(ask=b"", target=b"/ws")
    plane.ring.mark(tapped, 10 * MS, Answered(101, NO_FIELDS))
    plane.ring.mark(tapped, 10 * MS, Upgraded())
    plane.tick(300)
    assert plane.samples().total("inferometer_requests_in_flight") == 0
    assert tapped.muted
    plane.end(tapped, 500, status=101)
    got = plane.samples()
    assert got.total("inferometer_requests_total", operation="other", outcome="success") == 1
    assert got.total("inferometer_sidecar_unparsed_total", reason="tunnel") == 1
    assert got.total("inferometer_body_bytes_total", direction="response") == 99
    assert got.find("gen_ai_server_request_duration_seconds_count") == []


def test_an_opaque_answer_is_muted_after_its_first_bytes() -> None:
    plane = Plane()
    tapped = plane.begin(target=b"/v1/chat/completions")
    plane.ring.mark(tapped, 10 * MS, Answered(200, Fields(b"content-type: image/png\r\n")))
    plane.say(tapped, (20, b"\x89PNG"))
    plane.tick(25)
    assert tapped.muted
    plane.end(tapped, 60)
    got = plane.samples()
    assert got.total("inferometer_sidecar_unparsed_total", reason="type") == 1
    assert got.total("inferometer_time_to_first_byte_seconds_sum") == 0.02
    assert got.total("gen_ai_server_request_duration_seconds_sum") == pytest.approx(0.06)


def test_an_opaque_answer_to_a_stream_is_unmeasured_and_never_bad_by_absence(
    tmp_path: Path,
) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, Fields(b"content-type: image/png\r\n")))
    plane.say(tapped, (20, b"x"))
    plane.tick(900)
    plane.end(tapped, 1000)
    assert plane.verdicts("chat-fast") == {("excluded", "unmeasured"): 1}


def test_samples_of_the_relay_reach_their_histograms() -> None:
    plane = Plane()
    tapped = plane.begin()
    plane.say(tapped, (5, Delay(40_000)))
    plane.ring.offer(Tapped(), 5, Lag(2 * MS), 0)
    plane.tick(300)
    got = plane.samples()
    chunk_s = got.value("inferometer_sidecar_overhead_seconds_sum", stage="chunk")
    assert chunk_s == pytest.approx(0.00004)
    assert got.value("inferometer_sidecar_event_loop_lag_seconds_sum") == pytest.approx(0.002)


def test_dropped_parts_make_a_stream_partial() -> None:
    plane = Plane(ring=Ring(entries_max=2))
    tapped = stream(plane)
    plane.end(tapped, 300)
    got = plane.samples()
    assert plane.ring.dropped > 0
    assert got.total("inferometer_requests_total", outcome="success") == 1
    assert got.find("gen_ai_server_time_per_output_token_seconds_count") == []


class _Plain(Decoder):
    """A decoder whose reads are never compared, so that each token goes the long way."""

    @property
    def usual(self) -> None:
        return None


def _measure(plane: Plane, steps: list[tuple[int, str]]) -> str:
    tapped = plane.begin()
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    at_ms = 20
    for wait_ms, what in steps:
        at_ms += wait_ms
        if what == "stall":
            plane.say(tapped, (at_ms, Stall(min(wait_ms, 5) * MS)))
        elif what == "lost":
            plane.say(tapped, (at_ms, Lost()))
        elif what == "cut":
            whole = chunk("cut")
            plane.say(tapped, (at_ms, whole[:30]), (at_ms + 1, whole[30:]))
        else:
            plane.say(
                tapped, (at_ms, {"usage": USAGE, "two": chunk("a") * 2}.get(what, chunk(what)))
            )
        plane.tick(at_ms)
    plane.end(tapped, at_ms + 5)
    page = plane.samples()
    measured = (s for s in page if not s[0].startswith(("inferometer_sidecar_", "process_")))
    return "\n".join(sorted(f"{name} {sorted(labels.items())} {n}" for name, labels, n in measured))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 30, 60, 250, 1500]),
            st.sampled_from(
                ["a", "b", "caf\u00e9", "x" * 40, "", "usage", "two", "cut", "stall", "lost"]
            ),
        ),
        max_size=12,
    )
)
def test_the_short_way_of_a_token_measures_what_the_long_way_does(
    steps: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    short, registry = Plane(), Registry()
    stages = dataclasses.replace(
        make_stages(registry, Settings(tenant_header="x-tenant")),
        make_decoder=lambda call, answered: _Plain(
            call, status=answered.status, content_type=answered.fields.values(b"content-type")[-1]
        ),
    )
    long = Plane(stages=stages, registry=registry)
    folder = tmp_path_factory.mktemp("slo")
    for plane in (short, long):
        plane.promise(folder)
    assert _measure(short, steps) == _measure(long, steps)


class _BrokenError(Exception):
    pass


def _break(*_: object, **__: object) -> Call:
    raise _BrokenError


@pytest.mark.req("FO-01")
def test_a_stage_that_raises_costs_only_the_measuring_of_its_exchange() -> None:
    registry = Registry()
    stages = dataclasses.replace(make_stages(registry, Settings()), read_call=_break)
    plane = Plane(stages=stages, registry=registry)
    plane.end(stream(plane), 300)
    assert plane.observer.desk.internal_errors["parser"] == 1
    assert plane.samples().total("inferometer_requests_total", outcome="success") == 1


def test_an_observer_on_its_thread_drains_the_ring_and_stops() -> None:
    plane = Plane()
    plane.observer.start()
    tapped = stream(plane)
    plane.ring.mark(tapped, 200 * MS, Finish("complete", 200, 1, 1, lost=False))
    name = "inferometer_requests_total"
    wait_until(lambda: plane.samples().total(name, outcome="success") == 1)
    plane.observer.stop()
    assert len(plane.ring) == 0
    wait_until(lambda: "measure" not in {thread.name for thread in threading.enumerate()})


def test_a_stream_that_cannot_be_read_misses_no_promise(tmp_path: Path) -> None:
    plane = Plane()
    plane.promise(tmp_path)
    tapped = plane.begin(target=b"/v2/models/m/generate_stream", ask=b'{"stream":true}')
    event = b'data: {"model_name":"m","OUTPUT_0":"x"}\n\n'
    plane.ring.mark(tapped, 10 * MS, Answered(200, SSE))
    plane.say(tapped, (20, event))
    plane.tick(5_000)
    plane.end(tapped, 10_000)
    got = plane.samples()
    assert got.total("inferometer_slo_requests_total", verdict="bad") == 0
    assert got.total("inferometer_slo_requests_total", reason="unmeasured") > 0


def test_all_answers_that_are_read_whole_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "BODIES_BYTES_MAX", 3)
    stages = make_stages(Registry(), Settings())
    call = Call("openai_chat", "chat", None, "false")
    one, other = (stages.make_decoder(call, Answered(200, JSON)) for _ in range(2))
    one.feed(b"{}")
    other.feed(b"{}")
    assert (one.opaque, other.opaque) == (None, "too_large")
