"""A slow reference for verdicts: it replays a request in steps of a millisecond.

`reference` says what the verdict must be, `replayed` tells the same story to a judge.
"""

from array import array
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import strategies as st

from inferometer.slo.document import BAD_OUTCOMES, EndToEnd, FirstToken, Good, InterToken
from inferometer.slo.verdict import CAUSES, GOOD, Reason, Verdict
from inferometer.stream.summary import Outcome, Summary
from support.judging import DONE, MS, at, judge


@dataclass(frozen=True)
class Story:
    """A request as it happened; moments are milliseconds after the head."""

    good: Good
    stream: bool
    body_ms: int
    arrivals: tuple[tuple[int, int], ...]  # (moment, tokens), ascending, of one choice
    end_ms: int
    outcome: Outcome
    prompt_bytes: int
    prompt_tokens: int | None
    tokens_known: bool

    @property
    def summary(self) -> Summary:
        moments = [ms for ms, _ in self.arrivals]
        gaps = [after - before for before, after in pairwise(moments)]
        known = self.tokens_known
        return DONE._replace(
            outcome=self.outcome,
            streamed=self.stream,
            t_body_ns=at(self.body_ms),
            t_first_ns=at(moments[0]) if moments else None,
            t_last_ns=at(moments[-1]) if moments else None,
            t_end_ns=at(self.end_ms),
            input_tokens=self.prompt_tokens,
            input_source="none" if self.prompt_tokens is None else "server",
            output_tokens=sum(n for _, n in self.arrivals) if known else None,
            output_source="server" if known else "none",
            gaps_s=array("f", [gap / 1000 for gap in gaps]),
            gap_tokens=array("I", [n for _, n in self.arrivals[1:]] if known else []),
            longest_gap_s=max(gaps) / 1000 if gaps else None,
        )


def reference(story: Story) -> Verdict:
    """Replay every millisecond: first what happens at it, then what is certain just after it."""
    good, moments = story.good, [ms for ms, _ in story.arrivals]
    for now in range(story.end_ms + 1):
        if now == story.end_ms:
            return reference_end(story)
        broken: list[Reason] = []
        if good.ttft and story.stream and not any(ms <= now for ms in moments):
            start = story.body_ms if good.ttft.from_body else 0
            growth = good.ttft.per_1k_prompt_tokens_ns * story.prompt_bytes // 1000
            body_known = story.body_ms <= now or not (growth or good.ttft.from_body)
            if body_known and (now - start) * MS >= good.ttft.base_ns + growth:
                broken.append("ttft")
        seen = [ms for ms in moments if ms <= now]
        if good.gap_ns is not None and seen and (now - seen[-1]) * MS >= good.gap_ns:
            broken.append("gap")
        if good.e2e and now >= (story.body_ms if good.e2e.from_body else 0):
            start = story.body_ms if good.e2e.from_body else 0
            if (now - start) * MS >= good.e2e.limit_ns:
                broken.append("e2e")
        if broken:
            return Verdict("bad", min(broken, key=CAUSES.index))
    raise AssertionError


def reference_end(story: Story) -> Verdict:
    """Decide at the end, by exact numbers."""
    if story.outcome in story.good.errors:
        return Verdict("bad", "error")
    in_time = reference_first_token(story) if story.good.ttft and story.stream else True
    if in_time is False:
        return Verdict("bad", "ttft")
    if story.outcome in ("client_cancel", "client_error"):
        return Verdict("excluded", story.outcome)
    if story.outcome != "success":
        return Verdict("excluded", "unlisted")
    rates = reference_rates(story) if story.stream else None
    if rates is None and in_time is None:
        return Verdict("excluded", "unmeasured")
    return rates or GOOD


def reference_first_token(story: Story) -> bool | None:
    """Tell whether the first token came in time, None if that is unknown."""
    limit, moments = story.good.ttft, [ms for ms, _ in story.arrivals]
    assert limit
    waited_ns = (moments or [story.end_ms])[0] * MS
    waited_ns -= story.body_ms * MS if limit.from_body else 0
    most = story.prompt_bytes if story.prompt_tokens is None else story.prompt_tokens
    if waited_ns > limit.base_ns + limit.per_1k_prompt_tokens_ns * most // 1000:
        return False
    certain = waited_ns <= limit.base_ns or story.prompt_tokens is not None
    return True if moments and certain else None


def reference_rates(story: Story) -> Verdict | None:
    good = story.good
    moments = [ms for ms, _ in story.arrivals]
    unmeasured = Verdict("excluded", "unmeasured")
    answer = None
    if good.itl and len(moments) > 1:
        if story.tokens_known:
            times = [
                Fraction((ms - before) * MS, n)
                for (before, _), (ms, n) in pairwise(story.arrivals)
                for _ in range(n)
            ]
            within = sum(time <= good.itl.within_ns for time in times)
            if Fraction(within, len(times)) * 100 < Fraction(good.itl.share):
                return Verdict("bad", "itl")
        else:
            answer = unmeasured
    if good.tpot_ns is not None:
        tokens = sum(n for _, n in story.arrivals)
        if not story.tokens_known:
            answer = unmeasured
        elif tokens >= 2 and Fraction((moments[-1] - moments[0]) * MS, tokens - 1) > good.tpot_ns:
            return Verdict("bad", "tpot")
    return answer


@st.composite
def stories(draw: st.DrawFn) -> Story:
    ms = st.integers(1, 40)
    times = ms.map(MS.__mul__)
    halves = ms.map((MS // 2).__mul__)
    growths, shares = st.sampled_from([0, MS]), st.sampled_from([Decimal(50), Decimal("99.9")])
    good = Good(
        ttft=draw(st.none() | st.builds(FirstToken, times, growths, st.booleans())),
        tpot_ns=draw(st.none() | halves),
        itl=draw(st.none() | st.builds(InterToken, halves, shares)),
        gap_ns=draw(st.none() | times),
        e2e=draw(st.none() | st.builds(EndToEnd, times, st.booleans())),
        errors=draw(st.sampled_from([BAD_OUTCOMES, ()])),
    )
    stream = draw(st.booleans())
    moments = sorted(draw(st.sets(st.integers(0, 50), max_size=6))) if stream else []
    body_ms = draw(st.integers(0, moments[0] if moments else 40))
    last = max(moments[-1] if moments else 0, body_ms)
    tokens = 1000 * draw(st.integers(0, 20))
    return Story(
        good=good,
        stream=stream,
        body_ms=body_ms,
        arrivals=tuple((ms, draw(st.integers(1, 4))) for ms in moments),
        end_ms=last + draw(st.integers(0, 30)),
        outcome=draw(st.sampled_from(["success", "client_cancel", "client_error", *BAD_OUTCOMES])),
        prompt_bytes=tokens + 1000 * draw(st.integers(0, 20)),
        prompt_tokens=draw(st.sampled_from([None, tokens])),
        tokens_known=draw(st.booleans()),
    )


def replayed(story: Story, sweeps: set[int]) -> tuple[Verdict, int]:
    """Tell a judge the story in time order; return its one verdict and when it was given."""
    one = judge(story.good, stream=story.stream)
    given: list[tuple[Verdict | None, int]] = []
    moments = [ms for ms, _ in story.arrivals]

    def body(ms: int) -> None:
        one.body_done(at(ms))
        one.prompt(None, story.prompt_bytes)

    def arrive(ms: int) -> None:
        one.output(at(ms))
        silence(ms - 1, until=ms)

    def silence(ms: int, *, until: int) -> None:
        seen = [moment for moment in moments if moment <= ms]
        if seen:
            one.gap(at(seen[-1]), at(until))

    def sweep(ms: int) -> None:
        silence(ms, until=ms)
        given.append((one.sweep(at(ms)), ms))

    happenings = [(story.body_ms, 0, body), *((ms, 1, arrive) for ms in moments)]
    happenings += [(ms, 2, sweep) for ms in sweeps if ms < story.end_ms]
    for ms, _, happen in sorted(happenings, key=lambda each: each[:2]):
        happen(ms)
    silence(story.end_ms, until=story.end_ms)
    given.append((one.end(story.summary), story.end_ms))
    (answer,) = [(verdict, ms) for verdict, ms in given if verdict is not None]
    return answer
