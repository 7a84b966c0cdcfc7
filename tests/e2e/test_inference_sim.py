"""The sidecar in front of llm-d-inference-sim: what is measured against what it was told to do.

Three witnesses see each request: the simulator, which waits at least as long as it was told; the
sidecar; and the client. Each stands inside the next, so where a time is concerned told <= measured
<= seen, whatever the machine is doing. Counts are compared exactly, with the simulator's `vllm:`
metrics.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from support.client import Answer
from support.inference_sim import MODEL, InferenceSim
from support.samples import Samples
from support.script import request
from support.sidecar import Outcomes, Sidecar, wait_until

pytestmark = pytest.mark.e2e

FIRST_S: Final = 0.3
EACH_S: Final = 0.04
WORDS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight")
REQUESTS: Final = 5
TTFT: Final = "gen_ai_server_time_to_first_token_seconds"
DURATION: Final = "gen_ai_server_request_duration_seconds"
TPOT: Final = "gen_ai_server_time_per_output_token_seconds"
ITL: Final = "inferometer_inter_token_latency_seconds"
CHUNKS: Final = "inferometer_inter_chunk_latency_seconds"
JITTER_S: Final = 0.02
"""What a busy machine may move one moment by; means of differences stay well below it."""


@dataclass(frozen=True)
class Dialect:
    """How one API asks for a stream, and what shows that a piece of it is output."""

    path: str
    operation: str
    fields: dict[str, object]
    mark: bytes

    def ask(self, **more: object) -> bytes:
        """Return a whole streamed request."""
        body = json.dumps({"model": MODEL, "stream": True, **self.fields, **more}).encode()
        return request("POST", self.path, ("Content-Type", "application/json"), body=body)


MESSAGES: Final = [{"role": "user", "content": " ".join(WORDS)}]
USAGE: Final = {"stream_options": {"include_usage": True}}
CHAT: Final = Dialect(
    "/v1/chat/completions", "chat", {"messages": MESSAGES, **USAGE}, b'"content":"'
)
COMPLETIONS: Final = Dialect(
    "/v1/completions", "text_completion", {"prompt": " ".join(WORDS), **USAGE}, b'"text":"'
)
RESPONSES: Final = Dialect(
    "/v1/responses", "chat", {"input": " ".join(WORDS)}, b"event: response.output_text.delta"
)
ANTHROPIC: Final = Dialect(
    "/v1/messages", "chat", {"messages": MESSAGES, "max_tokens": 100}, b"event: content_block_delta"
)
DIALECTS: Final = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[InferenceSim]:
    waits = ["--time-to-first-token", f"{FIRST_S}s", "--inter-token-latency", f"{EACH_S}s"]
    with InferenceSim("--max-num-seqs", "16", *waits) as running:
        yield running


@pytest.fixture
def sidecar(simulator: InferenceSim) -> Iterator[Sidecar]:
    with Sidecar(simulator.url) as running:
        yield running


@dataclass(frozen=True)
class Seen:
    """What a client saw of one streamed answer, in seconds since it began to send."""

    answer: Answer
    first_s: float
    end_s: float


def ask(sidecar: Sidecar, dialect: Dialect, **more: object) -> Seen:
    with sidecar.wire() as wire:
        began_ns = time.monotonic_ns()
        answer = wire.ask(dialect.ask(**more))
    assert (answer.status, answer.end) == (200, "complete"), answer.body
    body = b""
    for piece in answer.pieces:
        body += piece.data
        if dialect.mark in body:
            first_s = (piece.moment_ns - began_ns) / 1e9
            break
    else:
        raise AssertionError(answer.body)
    return Seen(answer, first_s, (answer.pieces[-1].moment_ns - began_ns) / 1e9)


def ask_all(sidecar: Sidecar, dialect: Dialect, count: int = REQUESTS) -> list[Seen]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: ask(sidecar, dialect), range(count)))


def mean(samples: Samples, histogram: str, **labels: str) -> float:
    count = samples.total(f"{histogram}_count", **labels)
    assert count > 0, histogram
    return samples.total(f"{histogram}_sum", **labels) / count


def rise(after: Samples, before: Samples, name: str, **labels: str) -> float:
    return after.total(name, **labels) - before.total(name, **labels)


@pytest.mark.parametrize("name", DIALECTS)
def test_first_token_lies_between_what_was_told_and_what_the_client_saw(
    sidecar: Sidecar, name: str
) -> None:
    dialect = DIALECTS[name]
    outcomes = Outcomes(sidecar, marked=False)
    seen = ask_all(sidecar, dialect)
    samples = outcomes.wait({"success": REQUESTS})
    labels = {"operation": dialect.operation, "stream": "true", "model": MODEL}
    assert samples.value(f"{TTFT}_count", **labels) == REQUESTS
    client_s = sum(one.first_s for one in seen) / REQUESTS
    assert FIRST_S <= mean(samples, TTFT, **labels) <= client_s
    assert client_s - mean(samples, TTFT, **labels) < JITTER_S


@pytest.mark.parametrize("name", DIALECTS)
def test_gaps_per_token_are_those_that_were_told(sidecar: Sidecar, name: str) -> None:
    outcomes = Outcomes(sidecar, marked=False)
    ask_all(sidecar, DIALECTS[name])
    samples = outcomes.wait({"success": REQUESTS})
    gaps = REQUESTS * (len(WORDS) - 1)
    assert samples.total(f"{ITL}_count") == gaps
    assert samples.total(f"{CHUNKS}_count") == gaps
    assert mean(samples, ITL) == pytest.approx(EACH_S, abs=JITTER_S / (len(WORDS) - 1))
    assert mean(samples, TPOT) == pytest.approx(mean(samples, ITL), rel=1e-6)
    assert samples.total(f"{TPOT}_count") == REQUESTS


@pytest.mark.parametrize("name", DIALECTS)
def test_tokens_are_those_that_the_server_counted(
    simulator: InferenceSim, sidecar: Sidecar, name: str
) -> None:
    before = simulator.scrape()
    outcomes = Outcomes(sidecar, marked=False)
    ask_all(sidecar, DIALECTS[name])
    samples = outcomes.wait({"success": REQUESTS})
    after = simulator.scrape()
    source = {"usage_source": "server", "model": MODEL}
    out = samples.value("inferometer_tokens_total", direction="output", **source)
    assert out == rise(after, before, "vllm:generation_tokens_total") == REQUESTS * len(WORDS)
    prompt = samples.value("inferometer_tokens_total", direction="input", **source)
    assert prompt == rise(after, before, "vllm:prompt_tokens_total")
    assert samples.total("inferometer_usage_requests_total", **source) == REQUESTS


@pytest.mark.parametrize("name", DIALECTS)
def test_duration_lies_between_the_server_s_own_and_what_the_client_saw(
    simulator: InferenceSim, sidecar: Sidecar, name: str
) -> None:
    before = simulator.scrape()
    outcomes = Outcomes(sidecar, marked=False)
    seen = ask_all(sidecar, DIALECTS[name])
    samples = outcomes.wait({"success": REQUESTS})
    after = simulator.scrape()
    told_s = FIRST_S + EACH_S * (len(WORDS) - 1)
    assert told_s <= mean(samples, DURATION, result="ok")
    assert mean(samples, DURATION, result="ok") <= sum(one.end_s for one in seen) / REQUESTS
    # Ours ends at the last token, the server's own when it has sent the rest as well.
    own_s = rise(after, before, "vllm:e2e_request_latency_seconds_sum") / REQUESTS
    assert mean(samples, DURATION, result="ok") == pytest.approx(own_s, abs=JITTER_S)


def test_a_stream_without_usage_counts_its_chunks_and_says_so(sidecar: Sidecar) -> None:
    outcomes = Outcomes(sidecar, marked=False)
    ask(sidecar, CHAT, stream_options={"include_usage": False})
    samples = outcomes.wait({"success": 1})
    tokens = "inferometer_tokens_total"
    assert samples.value(tokens, direction="output", usage_source="chunks") == len(WORDS)
    assert samples.total(tokens, direction="input") == 0
    assert samples.total(f"{ITL}_count") == 0
    assert samples.total(f"{CHUNKS}_count") == len(WORDS) - 1


def test_an_answer_that_is_no_stream_has_tokens_and_no_first_token(
    simulator: InferenceSim, sidecar: Sidecar
) -> None:
    before = simulator.scrape()
    outcomes = Outcomes(sidecar, marked=False)
    body = json.dumps({"model": MODEL, "messages": MESSAGES}).encode()
    with sidecar.wire() as wire:
        answer = wire.ask(request("POST", CHAT.path, ("Content-Type", "text/json"), body=body))
    assert answer.status == 200
    samples = outcomes.wait({"success": 1})
    assert samples.total(f"{TTFT}_count") == 0
    assert mean(samples, DURATION, stream="false") >= FIRST_S
    usage = json.loads(answer.body)["usage"]
    for direction, key, own in (
        ("output", "completion_tokens", "vllm:generation_tokens_total"),
        ("input", "prompt_tokens", "vllm:prompt_tokens_total"),
    ):
        counted = samples.value(
            "inferometer_tokens_total", direction=direction, usage_source="server"
        )
        assert counted == usage[key] == rise(simulator.scrape(), before, own)


FAILURES: Final = {
    "rate_limit": (429, "rejected"),
    "server_error": (503, "upstream_error"),
    "invalid_api_key": (401, "client_error"),
    "context_length": (400, "client_error"),
    "invalid_request": (400, "client_error"),
    "model_not_found": (404, "client_error"),
}


@pytest.fixture
def failing(simulator: InferenceSim) -> Iterator[InferenceSim]:
    yield simulator
    simulator.tell(failure_injection_rate=0, failure_types=[])


@pytest.mark.parametrize("kind", FAILURES)
def test_an_injected_failure_arrives_unchanged_and_is_told_apart(
    failing: InferenceSim, sidecar: Sidecar, kind: str
) -> None:
    status, outcome = FAILURES[kind]
    failing.tell(failure_injection_rate=100, failure_types=[kind])
    outcomes = Outcomes(sidecar, marked=False)
    with sidecar.wire() as wire:
        answer = wire.ask(CHAT.ask())
    assert answer.status == status
    assert json.loads(answer.body)["error"]["code"] == status
    samples = outcomes.wait({outcome: 1})
    assert samples.value("inferometer_responses_total", code=str(status)) == 1
    assert samples.total(f"{TTFT}_count") == 0
    assert samples.total("inferometer_no_first_token_total", reason=outcome) == 1


def test_failures_among_successes_are_counted_one_by_one(
    failing: InferenceSim, sidecar: Sidecar
) -> None:
    failing.tell(failure_injection_rate=50, failure_types=["server_error"])
    before = failing.scrape()
    count = 16

    def status(_: int) -> int:
        with sidecar.wire() as wire:
            return wire.ask(CHAT.ask()).status

    outcomes = Outcomes(sidecar, marked=False)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(status, range(count)))
    good = statuses.count(200)
    expected = {"success": good, "upstream_error": count - good}
    assert set(statuses) <= {200, 503}
    samples = outcomes.wait({k: n for k, n in expected.items() if n})
    assert samples.total(f"{TTFT}_count") == good
    assert rise(failing.scrape(), before, "vllm:request_success_total") == good


def test_waiting_in_the_server_s_queue_is_part_of_the_first_token(sidecar: Sidecar) -> None:
    del sidecar  # this one has a simulator of its own, with room for one request at a time
    waits = ["--time-to-first-token", "100ms", "--inter-token-latency", "10ms"]
    with (
        InferenceSim("--max-num-seqs", "1", *waits) as narrow,
        Sidecar(narrow.url) as front,
    ):
        outcomes = Outcomes(front, marked=False)
        seen = ask_all(front, CHAT, 4)
        samples = outcomes.wait({"success": 4})
        own = narrow.scrape()
        queued_s = own.total("vllm:request_queue_time_seconds_sum")
        assert queued_s > 0.1 * (1 + 2 + 3)
        told_s = 4 * 0.1 + queued_s
        ours_s = samples.total(f"{TTFT}_sum")
        assert ours_s == pytest.approx(told_s, abs=4 * JITTER_S)
        assert ours_s <= sum(one.first_s for one in seen)


def test_a_client_that_leaves_is_a_cancel_and_the_server_is_free_again(
    simulator: InferenceSim, sidecar: Sidecar
) -> None:
    outcomes = Outcomes(sidecar, marked=False)
    with sidecar.wire() as wire:
        wire.send(CHAT.ask())
        while CHAT.mark not in wire.buffer:
            assert wire.more()
    samples = outcomes.wait({"client_cancel": 1})
    assert samples.total(f"{TTFT}_count") == 1  # it had been seen, so it stays
    running = "vllm:num_requests_running"
    wait_until(lambda: simulator.scrape().total(running) == 0, what="the server is free")


def test_a_server_that_dies_inside_a_stream_truncates_it(sidecar: Sidecar) -> None:
    del sidecar  # this one has a simulator of its own, to be killed
    waits = ["--time-to-first-token", "50ms", "--inter-token-latency", "2s"]
    with InferenceSim(*waits) as doomed, Sidecar(doomed.url) as front:
        outcomes = Outcomes(front, marked=False)
        with front.wire() as wire:
            wire.send(CHAT.ask())
            while CHAT.mark not in wire.buffer:
                assert wire.more()
            doomed.process.kill()
            answer = wire.read_answer()
        assert answer.end != "complete"
        samples = outcomes.wait({"truncated": 1})
        assert samples.total(f"{TTFT}_count") == 1


SLO: Final = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {{name: {name}, namespace: llm, owner: team}}
service: sim
window: {{rolling: 30d}}
classes:
  - {{name: all, match: {{stream: true}}, objective: 99, good: {{ttft: {ttft}, itl: {itl}}}}}
"""


def test_verdicts_are_those_of_the_waits_that_were_told(
    simulator: InferenceSim, tmp_path: Path
) -> None:
    promises = {
        "kept": ("2s", "{within: 1s, share: 99}"),
        "late": ("200ms", "{within: 1s, share: 99}"),
        "slow": ("2s", "{within: 20ms, share: 99}"),
    }
    flags: list[str] = []
    for name, (ttft, itl) in promises.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(SLO.format(name=name, ttft=ttft, itl=itl))
        flags += ["--slo", str(path)]
    with Sidecar(simulator.url, *flags) as front:
        outcomes = Outcomes(front, marked=False)
        ask_all(front, CHAT)
        samples = outcomes.wait({"success": REQUESTS})
    found = {
        (labels["slo"], labels["verdict"], labels["reason"]): value
        for labels, value in samples.find("inferometer_slo_requests_total")
        if value
    }
    assert found == {
        ("kept-all", "good", "none"): REQUESTS,
        ("late-all", "bad", "ttft"): REQUESTS,
        ("slow-all", "bad", "itl"): REQUESTS,
    }


def test_the_server_s_own_metrics_pass_through(simulator: InferenceSim, sidecar: Sidecar) -> None:
    with sidecar.wire() as wire:
        answer = wire.ask(request("GET", "/metrics"))
    assert answer.status == 200
    names = {name for name, _, _ in Samples(answer.body.decode())}
    assert names == {name for name, _, _ in simulator.scrape()}
