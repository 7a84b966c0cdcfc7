"""What is measured against what happened: moments, gaps, tokens and outcomes, in every dialect.

Recorded exchanges go through the measuring plane with the moments of the recording, so times must
agree to the rounding of floats.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from inferometer.sidecar.tap import Cause
from support.client import Wire
from support.llm import ScriptedServer
from support.pair import in_step, unique
from support.plane import SECOND_NS, Plane, Recorded, expect
from support.samples import Samples
from support.script import Script, plain, request, script
from support.speakers import (
    ANTHROPIC,
    CHAT,
    COMPLETIONS,
    LLAMACPP,
    OLLAMA_CHAT,
    RESPONSES,
    SPEAKERS,
    TGI,
    TRITON,
    Speaker,
)
from support.turns import Ending, Manner, Turn, dumps

FIRST = "gen_ai_server_time_to_first_token_seconds"
VISIBLE = "inferometer_time_to_first_output_seconds"
GAP = "inferometer_inter_chunk_latency_seconds"
ITL = "inferometer_inter_token_latency_seconds"
TPOT = "gen_ai_server_time_per_output_token_seconds"
LONGEST = "inferometer_longest_gap_seconds"
DURATION = "gen_ai_server_request_duration_seconds"
TOKENS = "inferometer_tokens_total"
REQUESTS = "inferometer_requests_total"

WORDS = ("Hello", " wor", "ld, ", "grüße", " 🙂", '"q"\\', "\u2028", " end")
MANNERS = {
    "paced": Manner(first_s=0.01, every_s=0.004, in_step=True),
    "three at once": Manner(first_s=0.01, every_s=0.004, together=3, in_step=True),
    "all at once": Manner(first_s=0.01, together=1000),
    "cut": Manner(first_s=0.01, every_s=0.002, cut_bytes=11, cut_s=0.0005),
    "with a length": Manner(framing="length", every_s=0.003),
    "until closed": Manner(framing="close", every_s=0.003),
    "gzip": Manner(encoding="gzip", every_s=0.003),
    "br": Manner(encoding="br", every_s=0.003),
    "zstd": Manner(encoding="zstd", every_s=0.003),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def of_name(speaker: Speaker) -> str:
    return speaker.name


def record(server: ScriptedServer, ask: bytes, steps: Script) -> Recorded:
    """Play a script to a client and keep what it saw."""
    with Wire(server.address) as wire:
        sent_ns, answer = in_step(server, wire, ask, steps)
    return Recorded.of(ask, sent_ns, answer)


def streamed(
    server: ScriptedServer, speaker: Speaker, turn: Turn, manner: Manner
) -> tuple[Recorded, Samples]:
    """Record one streamed turn and measure it."""
    case = unique().partition("=")[2]
    recorded = record(server, speaker.ask(turn, case=case), speaker.script(turn, manner))
    plane = Plane()
    plane.take(recorded)
    return recorded, plane.samples()


def outcomes(samples: Samples) -> dict[str, float]:
    return {labels["outcome"]: value for labels, value in samples.find(REQUESTS) if value}


def tokens(samples: Samples, direction: str) -> dict[str, float]:
    found = samples.find(TOKENS, direction=direction)
    return {labels["usage_source"]: value for labels, value in found}


def seconds(nanoseconds: int | None) -> float:
    assert nanoseconds is not None
    return nanoseconds / SECOND_NS


def close_to(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_every_time_is_that_of_the_recording(
    server: ScriptedServer, speaker: Speaker, manner: Manner
) -> None:
    turn = Turn(WORDS)
    recorded, samples = streamed(server, speaker, turn, manner)
    expected = expect(recorded, speaker.frames(turn), manner.encoding)
    assert outcomes(samples) == {"success": 1}
    assert samples.total(f"{FIRST}_count") == 1
    assert samples.total(f"{FIRST}_sum") == close_to(seconds(expected.ttft_ns))
    assert samples.total(f"{VISIBLE}_sum") == close_to(seconds(expected.ttfo_ns))
    assert samples.total(f"{GAP}_count") == len(expected.gaps_ns)
    assert samples.total(f"{GAP}_sum") == close_to(sum(expected.gaps_ns) / SECOND_NS)
    for edge, count in samples.buckets(GAP).items():
        assert count == sum(gap / SECOND_NS <= edge for gap in expected.gaps_ns), edge
    if expected.longest_gap_ns is not None:
        assert samples.total(f"{LONGEST}_sum") == close_to(seconds(expected.longest_gap_ns))
    assert samples.total(f"{DURATION}_count", result="ok") == 1


@pytest.mark.parametrize("speaker", [s for s in SPEAKERS if s.reasons], ids=of_name)
def test_reasoning_is_a_first_token_and_not_a_first_output(
    server: ScriptedServer, speaker: Speaker
) -> None:
    turn = Turn(("a", "b"), reasoning=("hm", "so"))
    recorded, samples = streamed(server, speaker, turn, Manner(every_s=0.005, in_step=True))
    expected = expect(recorded, speaker.frames(turn), "identity")
    assert samples.total(f"{FIRST}_sum") == close_to(seconds(expected.ttft_ns))
    assert samples.total(f"{VISIBLE}_sum") == close_to(seconds(expected.ttfo_ns))
    assert samples.total(f"{VISIBLE}_sum") > samples.total(f"{FIRST}_sum")
    assert samples.total(f"{GAP}_count") == 3


@pytest.mark.parametrize("speaker", [s for s in SPEAKERS if s.calls_tools], ids=of_name)
def test_tool_calls_are_output(server: ScriptedServer, speaker: Speaker) -> None:
    turn = Turn((), tool=("look_up", '{"a"', ": 1}"))
    recorded, samples = streamed(server, speaker, turn, Manner(every_s=0.005, in_step=True))
    expected = expect(recorded, speaker.frames(turn), "identity")
    assert samples.total(f"{FIRST}_sum") == close_to(seconds(expected.ttft_ns))
    assert samples.total(f"{GAP}_count") == 2
    assert samples.total("inferometer_finish_reasons_total") == 1


@pytest.mark.parametrize("speaker", [CHAT, COMPLETIONS], ids=of_name)
def test_choices_have_gaps_of_their_own(server: ScriptedServer, speaker: Speaker) -> None:
    turn = Turn(("a", "b", "c"), choices=3)
    recorded, samples = streamed(server, speaker, turn, Manner(every_s=0.004, in_step=True))
    expected = expect(recorded, speaker.frames(turn), "identity")
    assert len(expected.gaps_ns) == 6
    assert samples.total(f"{GAP}_count") == 6
    assert samples.total(f"{GAP}_sum") == close_to(sum(expected.gaps_ns) / SECOND_NS)
    assert tokens(samples, "output") == {"server": 9}
    assert samples.total(f"{TPOT}_count") == 0, "no counts of each choice are known"


class Counted(NamedTuple):
    """A turn, and what must be known of its output tokens."""

    speaker: Speaker
    turn: Turn
    source: str
    total: int


COUNTED = [
    *[Counted(s, Turn(WORDS), s.source, 8) for s in SPEAKERS],
    *[Counted(s, Turn(WORDS, tokens_each=3), "server", 24) for s in (CHAT, COMPLETIONS, RESPONSES)],
    Counted(ANTHROPIC, Turn(WORDS, tokens_each=3), "server", 24),
    Counted(LLAMACPP, Turn(WORDS, tokens_each=3), "server", 24),
    Counted(CHAT, Turn(WORDS, usage=False), "chunks", 8),
    Counted(COMPLETIONS, Turn(WORDS, usage=False, tokens_each=4), "chunks", 8),
    Counted(COMPLETIONS, Turn(WORDS, usage=False, tokens_each=4, token_ids=True), "token_ids", 32),
    Counted(CHAT, Turn(WORDS, tokens_each=2, running_usage=True), "server", 16),
    Counted(
        CHAT,
        Turn(WORDS, tokens_each=2, running_usage=True, ending="close"),
        "server_cumulative",
        16,
    ),
    Counted(CHAT, Turn(WORDS, ending="close"), "chunks", 8),
    Counted(TGI, Turn(WORDS, ending="close"), "events", 8),
    Counted(OLLAMA_CHAT, Turn(WORDS, ending="reset"), "events", 8),
    Counted(TRITON, Turn(WORDS, ending="reset"), "chunks", 8),
    Counted(LLAMACPP, Turn(WORDS, tokens_each=2, ending="close"), "server_cumulative", 16),
]


@pytest.mark.parametrize("counted", COUNTED, ids=lambda c: f"{c.speaker.name}-{c.source}-{c.total}")
def test_tokens_are_exact_and_their_source_is_told(
    server: ScriptedServer, counted: Counted
) -> None:
    manner = Manner(every_s=0.002)
    _, samples = streamed(server, counted.speaker, counted.turn, manner)
    assert tokens(samples, "output") == {counted.source: counted.total}
    coverage = samples.find("inferometer_usage_requests_total")
    assert {labels["usage_source"]: v for labels, v in coverage} == {counted.source: 1}
    if counted.source == "server":
        assert tokens(samples, "input") == {"server": 7}


@pytest.mark.parametrize("manner", [MANNERS["paced"], MANNERS["three at once"]])
def test_gaps_are_weighted_by_their_tokens(server: ScriptedServer, manner: Manner) -> None:
    for turn, weights in (
        (Turn(WORDS, tokens_each=3), "uniform"),
        (Turn(WORDS, tokens_each=3, token_ids=True, usage=False), "exact"),
    ):
        recorded, samples = streamed(server, COMPLETIONS, turn, manner)
        expected = expect(recorded, COMPLETIONS.frames(turn), "identity")
        in_first = 3 * manner.together
        assert samples.total(f"{ITL}_count", weights=weights) == turn.output_tokens - in_first
        gaps_s = sum(expected.gaps_ns) / SECOND_NS
        assert samples.total(f"{ITL}_sum", weights=weights) == pytest.approx(gaps_s, rel=1e-6)
        tpot_s = gaps_s / (turn.output_tokens - 1)
        assert samples.total(f"{TPOT}_sum") == pytest.approx(tpot_s, rel=1e-9)


def test_unknown_counts_give_no_rate(server: ScriptedServer) -> None:
    _, samples = streamed(server, CHAT, Turn(WORDS, usage=False), MANNERS["paced"])
    assert samples.total(f"{ITL}_count") == samples.total(f"{TPOT}_count") == 0
    assert samples.total(f"{GAP}_count") == 7


ENDINGS: dict[Ending, str] = {
    "clean": "success",
    "error": "stream_error",
    "close": "truncated",
    "reset": "truncated",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_outcomes_are_exact(server: ScriptedServer, speaker: Speaker, ending: Ending) -> None:
    turn = Turn(("a", "b"), ending=ending)
    _, samples = streamed(server, speaker, turn, Manner(every_s=0.002))
    assert outcomes(samples) == {ENDINGS[ending]: 1}
    assert samples.total(f"{FIRST}_count") == 1, "a later failure does not remove the first token"


@pytest.mark.parametrize("speaker", [s for s in SPEAKERS if s.terminated], ids=of_name)
def test_a_clean_end_without_the_terminator_is_a_truncation(
    server: ScriptedServer, speaker: Speaker
) -> None:
    turn = Turn(("a", "b"), ending="close")
    _, samples = streamed(server, speaker, turn, Manner(framing="close", every_s=0.002))
    assert outcomes(samples) == {"truncated": 1}


@pytest.mark.parametrize("ending", ["error", "close"])
@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_a_failure_before_the_first_token_gives_none(
    server: ScriptedServer, speaker: Speaker, ending: Ending
) -> None:
    _, samples = streamed(server, speaker, Turn((), ending=ending), Manner())
    assert outcomes(samples) == {ENDINGS[ending]: 1}
    assert samples.total(f"{FIRST}_count") == 0
    missed = samples.find("inferometer_no_first_token_total")
    assert {labels["reason"]: v for labels, v in missed} == {ENDINGS[ending]: 1}


CAUSE_OUTCOMES: dict[Cause, str] = {
    "client_left": "client_cancel",
    "client_slow": "client_error",
    "upstream_timeout": "timeout",
    "upstream_short": "truncated",
    "drain_cut": "drain_cut",
    "proxy_error": "proxy_error",
}
REFUSAL_OUTCOMES: dict[Cause, str] = {
    "client_left": "client_cancel",
    "client_slow": "client_error",
    "upstream_timeout": "timeout",
    "drain_cut": "drain_cut",
    "proxy_error": "proxy_error",
    "client_bad": "client_error",
    "limit": "rejected",
    "connect_failed": "upstream_error",
    "connect_timeout": "timeout",
    "upstream_failed": "upstream_error",
}


@pytest.mark.req("LC-01")
@pytest.mark.parametrize(("cause", "expected"), CAUSE_OUTCOMES.items())
def test_every_end_of_the_relay_has_its_outcome(
    server: ScriptedServer, cause: Cause, expected: str
) -> None:
    turn = Turn(("a", "b"), ending="close")
    recorded = record(server, CHAT.ask(turn, case=f"cause-{cause}"), CHAT.script(turn))
    plane = Plane()
    plane.take(replace(recorded, cause=cause))
    assert outcomes(plane.samples()) == {expected: 1}
    assert plane.samples().total(f"{FIRST}_count") == 1


@pytest.mark.req("DC-03")
@pytest.mark.parametrize(("cause", "expected"), REFUSAL_OUTCOMES.items())
def test_every_end_before_an_answer_has_its_outcome(
    server: ScriptedServer, cause: Cause, expected: str
) -> None:
    turn = Turn((), ending="close")
    recorded = record(server, CHAT.ask(turn, case=f"refused-{cause}"), CHAT.script(turn))
    plane = Plane()
    plane.take(replace(recorded, cause=cause, status=0, pieces=()))
    assert outcomes(plane.samples()) == {expected: 1}
    assert plane.samples().total(f"{FIRST}_count") == 0


@pytest.mark.parametrize(
    ("cause", "waits"), [("client_left", 1), ("drain_cut", 1), ("complete", 0)]
)
def test_a_wait_that_was_broken_off_is_a_lower_bound(
    server: ScriptedServer, cause: Cause, waits: int
) -> None:
    turn = Turn((), ending="close")
    recorded = record(server, CHAT.ask(turn, case=f"wait-{cause}"), CHAT.script(turn))
    recorded = replace(recorded, cause=cause, ended_ns=recorded.sent_ns + 3 * SECOND_NS)
    plane = Plane()
    plane.take(recorded)
    samples = plane.samples()
    censored = "inferometer_time_to_first_token_censored_seconds"
    assert samples.total(f"{censored}_count") == waits
    assert samples.total(f"{censored}_sum") == pytest.approx(3.0 * waits)
    assert samples.total(f"{FIRST}_count") == 0


@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_an_answer_that_does_not_stream_has_tokens_and_no_first_token(
    server: ScriptedServer, speaker: Speaker
) -> None:
    turn = Turn(WORDS)
    ask = speaker.ask(turn, stream=False, case=unique().partition("=")[2])
    plane = Plane()
    plane.take(record(server, ask, speaker.whole_script(turn)))
    samples = plane.samples()
    assert outcomes(samples) == {"success": 1}
    for name in (FIRST, VISIBLE, GAP, ITL, TPOT):
        assert samples.total(f"{name}_count") == 0
    assert samples.total(f"{DURATION}_count", result="ok") == 1
    known = {"server": 8} if speaker.source == "server" else {}
    assert tokens(samples, "output") == known


@pytest.mark.req("FO-07")
@pytest.mark.parametrize("wall_s", [0.0, -1e9, 1e12, 1.7e9])
def test_a_step_of_the_wall_clock_changes_no_duration(
    server: ScriptedServer, wall_s: float
) -> None:
    turn = Turn(WORDS)
    recorded = record(server, CHAT.ask(turn, case="wall"), CHAT.script(turn, MANNERS["paced"]))
    found = []
    for clock_s in (1.7e9, wall_s):
        plane = Plane()
        plane.take(recorded, wall_s=clock_s)
        samples = plane.samples()
        found.append([samples.total(f"{n}_sum") for n in (FIRST, GAP, TPOT, DURATION, LONGEST)])
    assert found[0] == found[1]
    assert all(value > 0 for value in found[0])


@pytest.mark.parametrize(
    ("target", "operation"),
    [("/v1/embeddings", "embeddings"), ("/v1/models", "other"), ("/health", "other")],
)
def test_routes_that_stream_nothing_have_no_first_token(
    server: ScriptedServer, target: str, operation: str
) -> None:
    usage = {"usage": {"prompt_tokens": 5, "total_tokens": 5}, "data": []}
    ask = request("POST", target, ("Content-Type", "application/json"), body=dumps({"model": "m"}))
    plane = Plane()
    plane.take(record(server, ask, script(plain(dumps(usage)))))
    samples = plane.samples()
    assert samples.total(REQUESTS, operation=operation, outcome="success") == 1
    assert samples.total(f"{FIRST}_count") == 0
    assert tokens(samples, "input") == ({"server": 5} if operation == "embeddings" else {})
