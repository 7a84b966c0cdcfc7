"""Usage injection on the wire: what the server gets, what the client gets, what is measured."""

import json
from collections.abc import Iterator

import pytest

from support.client import Answer
from support.pair import Pair, running_pair
from support.script import LAST_CHUNK, Action, Script, chunk, head, request, script
from support.sidecar import Outcomes, wait_until

CHAT = "/v1/chat/completions"
ASK = b'{"model":"m", "stream":true,"messages":[{"role":"user","content":"canary"}]}'
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"
SSE = (b"Content-Type", b"text/event-stream")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def stream(*events: bytes) -> Script:
    return script(head(200, SSE, CHUNKED), *map(chunk, events), LAST_CHUNK)


def ask(pair: Pair, steps: Script, body: bytes = ASK) -> tuple[str, Answer]:
    target = pair.plan(steps, CHAT)
    with pair.sidecar.wire() as wire:
        json_type = (b"Content-Type", b"application/json")
        gzip = (b"Accept-Encoding", b"gzip")
        return target, wire.ask(request("POST", target, json_type, gzip, body=body))


@pytest.fixture(scope="module")
def strip() -> Iterator[Pair]:
    with running_pair("--usage-injection", "inject_strip") as both:
        yield both


@pytest.fixture(scope="module")
def keep() -> Iterator[Pair]:
    with running_pair("--usage-injection", "inject") as both:
        yield both


def injected(pair: Pair) -> dict[tuple[str, str], float]:
    found = pair.sidecar.scrape().find("inferometer_sidecar_injected_total")
    return {(labels["mode"], labels["result"]): value for labels, value in found}


def test_the_server_is_asked_and_the_client_never_knows(strip: Pair) -> None:
    outcomes = Outcomes(strip.sidecar)
    before = injected(strip).get(("inject_strip", "stripped"), 0)
    target, answer = ask(strip, stream(TEXT, TEXT, STOP + USAGE, DONE))
    got = strip.exchange(target)
    assert json.loads(bytes(got.body)) == {
        **json.loads(ASK),
        "stream_options": {"include_usage": True},
    }
    assert bytes(got.body).endswith(ASK[1:])
    assert got.value(b"accept-encoding") == b"identity"
    assert answer.body == TEXT + TEXT + STOP + DONE
    assert answer.end == "complete"
    samples = outcomes.wait({"success": 1})
    tokens = samples.find("inferometer_tokens_total", model="m", direction="output")
    assert [(one["usage_source"], value) for one, value in tokens] == [("server", 4)]
    counted = ("inject_strip", "stripped")
    wait_until(lambda: injected(strip)[counted] == before + 1, what="its count")


def test_an_event_that_comes_in_two_reads_is_taken_out_too(strip: Pair) -> None:
    _, answer = ask(strip, stream(TEXT, USAGE[:20], USAGE[20:] + DONE))
    assert answer.body == TEXT + DONE


@pytest.mark.parametrize(
    "body",
    [
        ASK.replace(b"true", b"false"),
        ASK.replace(b"{", b'{"stream_options":{"include_usage":false},', 1),
        b'{"model":"m"}',
        b"not json, at all",
    ],
)
def test_who_has_decided_already_or_does_not_stream_is_left_alone(strip: Pair, body: bytes) -> None:
    target, answer = ask(strip, stream(TEXT, USAGE, DONE), body)
    assert bytes(strip.exchange(target).body) == body
    assert answer.body == TEXT + USAGE + DONE


def test_an_answer_without_chunks_is_filtered_too(strip: Pair) -> None:
    steps = script(head(200, SSE), TEXT, USAGE, DONE, Action.CLOSE)
    _, answer = ask(strip, steps)
    assert answer.body == TEXT + DONE


def test_an_answer_of_stated_length_keeps_its_event(strip: Pair) -> None:
    body = TEXT + USAGE + DONE
    length = (b"Content-Length", b"%d" % len(body))
    _, answer = ask(strip, script(head(200, SSE, length), body))
    assert answer.body == body
    wait_until(lambda: ("inject_strip", "kept") in injected(strip), what="its count")


def test_a_stream_that_breaks_off_does_not_look_complete(strip: Pair) -> None:
    steps = script(head(200, SSE, CHUNKED), chunk(TEXT), chunk(USAGE[:20]), Action.CLOSE)
    _, answer = ask(strip, steps)
    assert answer.end in ("short", "reset")


def test_trailers_of_a_filtered_answer_go_with_their_announcement(strip: Pair) -> None:
    steps = script(
        head(200, SSE, CHUNKED, (b"Trailer", b"x-sum")),
        chunk(TEXT),
        chunk(USAGE + DONE),
        b"0\r\nx-sum: 1\r\n\r\n",
    )
    _, answer = ask(strip, steps)
    assert answer.body == TEXT + DONE
    assert answer.trailers == []
    assert b"trailer" not in [name.lower() for name, _ in answer.head.fields]


def test_without_stripping_the_client_gets_the_event(keep: Pair) -> None:
    target, answer = ask(keep, stream(TEXT, USAGE, DONE))
    assert b"include_usage" in bytes(keep.exchange(target).body)
    assert answer.body == TEXT + USAGE + DONE
    wait_until(lambda: injected(keep) == {("inject", "kept"): 1}, what="its count")
