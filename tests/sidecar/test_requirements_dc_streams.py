"""DC-04 to DC-06: however a stream travels, the client gets it and the numbers stay the same."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support import engine_frames
from support.pair import Pair, running_pair, unique, unique_case
from support.samples import Samples
from support.script import LAST_CHUNK, Script, Step, chunk, head, plain, request, script
from support.sidecar import Outcomes
from support.speakers import CHAT, LLAMACPP, OLLAMA_CHAT, SPEAKERS, TGI, TRITON, Speaker
from support.turns import Encoding, Frame, Manner, Turn, dumps, play, sse, truth

TURN = Turn(words=("Hello", " wor", "ld, ", "grüße", " 🙂", '"q"\\', "\u2028", " end"))

COUNTS = (
    "gen_ai_server_time_to_first_token_seconds_count",
    "inferometer_time_to_first_output_seconds_count",
    "inferometer_inter_chunk_latency_seconds_count",
    "inferometer_longest_gap_seconds_count",
)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as both:
        yield both


def counts(samples: Samples) -> dict[str, float]:
    found = {name: samples.total(name) for name in COUNTS}
    for labels, value in samples.find("inferometer_tokens_total"):
        key = f"{labels['direction']} {labels['usage_source']}"
        found[key] = found.get(key, 0.0) + value
    return found


def measured(pair: Pair, ask: bytes, steps: Script, outcome: str = "success") -> dict[str, float]:
    """Play one exchange with its twin; return what it added to the counts."""
    outcomes = Outcomes(pair.sidecar)
    before = counts(pair.sidecar.scrape())
    assert pair.ask_in_step(ask, steps).end == "complete"
    after = counts(outcomes.wait({outcome: 1}))
    return {k: v - before.get(k, 0.0) for k, v in after.items() if v != before.get(k, 0.0)}


def of_name(speaker: Speaker) -> str:
    return speaker.name


IN_STEP = Manner(in_step=True)


@pytest.mark.req("DC-04")
@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_cutting_the_bytes_elsewhere_changes_nothing(pair: Pair, speaker: Speaker) -> None:
    found = []
    for cut_bytes in (None, 1, 7, 33):
        manner = Manner(in_step=True, cut_bytes=cut_bytes)
        ask = speaker.ask(TURN, case=unique_case())
        found.append(measured(pair, ask, speaker.script(TURN, manner)))
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0]["gen_ai_server_time_to_first_token_seconds_count"] == 1
    assert found[0]["inferometer_inter_chunk_latency_seconds_count"] == len(TURN.words) - 1


@pytest.mark.req("DC-04")
@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_an_encoded_stream_is_measured_like_a_plain_one(pair: Pair, encoding: Encoding) -> None:
    found = []
    for manner in (IN_STEP, replace(IN_STEP, encoding=encoding)):
        ask = CHAT.ask(TURN, case=unique_case())
        found.append(measured(pair, ask, CHAT.script(TURN, manner)))
    assert found[0] == found[1]


def spelled(data: bytes, *, first: bool) -> dict[str, bytes]:
    """The same events in every spelling that the event stream grammar knows."""
    return {
        "plain": data,
        "crlf": data.replace(b"\n", b"\r\n"),
        "cr": data.replace(b"\n", b"\r"),
        "no space": data.replace(b"data: ", b"data:"),
        "byte order mark": b"\xef\xbb\xbf" * first + data,
        "comments": b": c\n\n" + data.replace(b"data: ", b": c\nid: 1\nretry: 5\nx\ndata: "),
        "data in lines": data.replace(b'{"id"', b'{\ndata: "id"'),
    }


@pytest.mark.req("DC-04")
@pytest.mark.parametrize("spelling", spelled(b"", first=True))
@pytest.mark.parametrize("cut_bytes", [None, 1])
def test_every_spelling_of_the_event_stream_grammar_is_read(
    pair: Pair, spelling: str, cut_bytes: int | None
) -> None:
    frames = [
        Frame(spelled(f.data, first=not i)[spelling], f.said)
        for i, f in enumerate(CHAT.frames(TURN))
    ]
    steps = play(frames, CHAT.content_type, replace(IN_STEP, cut_bytes=cut_bytes))
    found = measured(pair, CHAT.ask(TURN, case=unique_case()), steps)
    assert found["output server"] == TURN.output_tokens
    assert found["inferometer_inter_chunk_latency_seconds_count"] == len(TURN.words) - 1


@pytest.mark.req("DC-04")
def test_a_last_event_without_its_blank_line_counts_at_a_clean_end(pair: Pair) -> None:
    frames = TGI.frames(TURN)
    frames[-1] = Frame(frames[-1].data.rstrip(b"\n"), frames[-1].said)
    steps = play(frames, TGI.content_type, IN_STEP)
    found = measured(pair, TGI.ask(TURN, case=unique_case()), steps)
    assert found["output server"] == TURN.output_tokens


@pytest.mark.req("DC-04")
def test_events_that_come_at_once_make_no_false_gap(pair: Pair) -> None:
    steps = CHAT.script(TURN, Manner(together=100))
    found = measured(pair, CHAT.ask(TURN, case=unique_case()), steps)
    assert found["output server"] == TURN.output_tokens
    assert "inferometer_inter_chunk_latency_seconds_count" not in found


@pytest.mark.req("DC-04")
def test_an_event_above_the_limit_flows_on_unmeasured_and_is_counted(pair: Pair) -> None:
    turn = Turn(words=("a", "x" * (1 << 21), "b"))
    name = "inferometer_sidecar_unparsed_total"
    before = pair.sidecar.scrape().total(name, reason="too_large")
    measured(pair, CHAT.ask(turn, case=unique_case()), CHAT.script(turn, IN_STEP))
    pair.sidecar.wait_samples(lambda s: s.total(name, reason="too_large") == before + 1)


def undisturbed(times_s: list[float]) -> float:
    """Return the lower quartile: what is held back is late each time, a busy machine's at times."""
    return sorted(times_s)[len(times_s) // 4]


@pytest.mark.req("DC-05")
@pytest.mark.alone
def test_each_write_reaches_the_client_by_itself_and_soon(pair: Pair) -> None:
    """The server sends a piece only when the client has all before it: nothing may be held back.

    A delayed acknowledgement would cost 40 ms.
    """
    frames = [Frame(b"%03d" % i) for i in range(60)]
    steps = play(frames, "text/event-stream", IN_STEP)
    target = unique()
    answer = pair.ask_in_step(request("GET", target), steps)
    assert [piece.data for piece in answer.pieces] == [frame.data for frame in frames]
    sent = [s.moment_ns for s in pair.exchange(target).sent if isinstance(s.step.what, bytes)]
    delays_s = [
        (piece.moment_ns - moment_ns) / 1e9
        for piece, moment_ns in zip(answer.pieces, sent[1:], strict=False)
    ]
    assert undisturbed(delays_s) < 0.035, delays_s


@pytest.mark.req("DC-05")
@pytest.mark.alone
def test_small_writes_wait_for_no_acknowledgement(pair: Pair) -> None:
    """With Nagle on, the second of two small writes waits for a delayed ACK, 40 ms and more."""
    steps = []
    for i in range(30):
        steps += [Step(0.05, chunk(b"a%02d" % i)), Step(0.002, chunk(b"b%02d" % i))]
    target = pair.plan(script(head(200, ("Transfer-Encoding", "chunked")), *steps, LAST_CHUNK))
    with pair.sidecar.wire() as wire:

        def acknowledge_late(_: int = 0) -> None:
            wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

        acknowledge_late()
        wire.send(request("GET", target))
        pieces = wire.read_answer(progress=acknowledge_late).pieces
    came = [next(p.moment_ns for p in pieces if b"b%02d" % i in p.data) for i in range(30)]
    sent = [s.moment_ns for s in pair.exchange(target).sent if s.step.delay_s == 0.002]
    waits_s = [(b - a) / 1e9 for a, b in zip(sent, came, strict=True)]
    # The kernel acknowledges the first ones of a connection at once, whatever it was told.
    assert undisturbed(waits_s[-10:]) < 0.035, waits_s


@pytest.mark.req("DC-05")
@pytest.mark.alone
def test_gaps_are_those_of_the_server(pair: Pair) -> None:
    turn = Turn(words=("w",) * 5)
    waits = ((2, 0.15), (3, 0.35), (4, 0.06), (5, 0.06))
    name = "inferometer_inter_chunk_latency_seconds"
    before = pair.sidecar.settle()
    case = unique_case()
    steps = CHAT.script(turn, replace(IN_STEP, waits_s=waits))
    measured(pair, CHAT.ask(turn, case=case), steps)
    after = pair.sidecar.scrape()
    gaps_s = truth(pair.exchange(f"{CHAT.target}?case={case}")).gaps_s()
    total = after.total(f"{name}_sum") - before.total(f"{name}_sum")
    assert total == pytest.approx(sum(gaps_s), abs=0.1)
    assert after.total(f"{name}_count") - before.total(f"{name}_count") == len(gaps_s)


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_an_error_inside_a_good_status_is_an_error(pair: Pair, speaker: Speaker) -> None:
    turn = Turn(words=("a", "b"), ending="error")
    steps = speaker.script(turn, IN_STEP)
    found = measured(pair, speaker.ask(turn, case=unique_case()), steps, "stream_error")
    assert found["gen_ai_server_time_to_first_token_seconds_count"] == 1


@pytest.mark.req("DC-06")
def test_a_terminator_after_nothing_is_an_error(pair: Pair) -> None:
    steps = play([Frame(b"data: [DONE]\n\n")], CHAT.content_type)
    found = measured(pair, CHAT.ask(TURN, case=unique_case()), steps, "stream_error")
    assert found == {}


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("speaker", [OLLAMA_CHAT, TRITON, LLAMACPP, TGI], ids=of_name)
def test_other_streams_than_openais_pass_and_are_measured(pair: Pair, speaker: Speaker) -> None:
    steps = speaker.script(TURN, IN_STEP)
    found = measured(pair, speaker.ask(TURN, case=unique_case()), steps)
    assert found[f"output {speaker.source}"] == TURN.output_tokens


@pytest.mark.req("DC-06")
@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/v2/models/m/infer", "application/octet-stream", bytes(range(256)) * 20),
        ("/predictions/m", "text/plain", b"word " * 100),
        ("/v1/chat/completions", "application/vnd.amazon.eventstream", b"\x00\x00\x00\x40" * 50),
        ("/v1/chat/completions", "text/html", b"<html>"),
        ("/anything", "application/grpc", b"\x00" * 50),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_unknown_passes_and_is_measured_as_bytes(
    pair: Pair, target: str, content_type: str, body: bytes
) -> None:
    steps = play([Frame(body)], content_type)
    name = "inferometer_body_bytes_total"
    before = pair.sidecar.settle().total(name, direction="response")
    ask = request("POST", unique(target), body=b"\x80\x04")
    assert measured(pair, ask, steps) == {}
    assert pair.sidecar.scrape().total(name, direction="response") - before == len(body)


@pytest.mark.req("DC-06")
def test_raw_chunks_are_measured_as_bytes(pair: Pair) -> None:
    steps = play(engine_frames.torchserve(TURN), "text/plain", IN_STEP)
    assert measured(pair, request("POST", unique("/predictions/m"), body=b"{}"), steps) == {}


@pytest.mark.req("DC-06")
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": -5},
        {"prompt_tokens": 10**9, "completion_tokens": 10**300},
        {"prompt_tokens": "7", "completion_tokens": [8]},
        {"prompt_tokens": 1.5, "completion_tokens": True},
    ],
)
def test_usage_that_cannot_be_true_is_ignored_and_counted(
    pair: Pair, usage: dict[str, object]
) -> None:
    frames = CHAT.frames(Turn(words=("a", "b"), usage=False))
    last = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
    frames.insert(-1, Frame(sse(last)))
    rejected = "inferometer_sidecar_usage_rejected_total"
    before = pair.sidecar.settle().total(rejected)
    steps = play(frames, CHAT.content_type, IN_STEP)
    found = measured(pair, CHAT.ask(TURN, case=unique_case()), steps)
    assert "output server" not in found
    assert "input server" not in found
    assert pair.sidecar.scrape().total(rejected) > before


@pytest.mark.req("DC-06")
def test_usage_that_is_absent_is_not_zero(pair: Pair) -> None:
    turn = Turn(words=("a", "b", "c"), usage=False)
    found = measured(pair, CHAT.ask(turn, case=unique_case()), CHAT.script(turn, IN_STEP))
    assert found["output chunks"] == 3
    assert not any(key.startswith("input") for key in found)


@pytest.mark.req("DC-06")
@pytest.mark.parametrize(
    ("status", "fields", "outcome"),
    [
        (400, [], "client_error"),
        (404, [], "client_error"),
        (408, [], "timeout"),
        (429, [], "rejected"),
        (500, [], "upstream_error"),
        (503, [], "upstream_error"),
        (503, [("Retry-After", "1")], "rejected"),
        (504, [], "timeout"),
        (302, [], "success"),
    ],
)
def test_every_status_has_its_outcome(
    pair: Pair, status: int, fields: list[tuple[str, str]], outcome: str
) -> None:
    steps = script(plain(dumps({"error": {"message": "no"}}), *fields, status=status))
    assert measured(pair, CHAT.ask(TURN, case=unique_case()), steps, outcome) == {}
