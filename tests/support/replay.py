"""A slow reference for verdicts: it replays a request in steps of a millisecond.

`reference` says what the verdict must be, `replayed` tells the same story to a judge.
"""

from array import array
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import strategies as st

from inferometer.errors import Place
from inferometer.slo.deadlines import Asked
from inferometer.slo.document import (
    BAD_OUTCOMES,
    EndToEnd,
    FirstToken,
    Fluidity,
    Good,
    InterToken,
)
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
    asked: Asked

    def first_limit_ns(self, prompt_tokens: int) -> int:
        """The longest wait for a first token, as its header asks within 0.5 and 4 times."""
        limit = self.good.ttft
        assert limit
        own_ns = limit.base_ns + limit.per_1k_prompt_tokens_ns * prompt_tokens // 1000
        if self.asked.ttft_ns is None:
            return own_ns
        return sorted((own_ns // 2, self.asked.ttft_ns, 4 * own_ns))[1]

    @property
    def tpot_limit_ns(self) -> int | None:
        limit_ns, asked_ns = self.good.tpot_ns, self.asked.tpot_ns
        if limit_ns is None or asked_ns is None:
            return limit_ns
        return sorted((limit_ns // 2, asked_ns, 4 * limit_ns))[1]

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
            grows = good.ttft.per_1k_prompt_tokens_ns and story.prompt_bytes
            body_known = story.body_ms <= now or not (grows or good.ttft.from_body)
            if body_known and (now - start) * MS >= story.first_limit_ns(story.prompt_bytes):
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
    if waited_ns > story.first_limit_ns(most):
        return False
    certain = waited_ns <= story.first_limit_ns(0) or story.prompt_tokens is not None
    return True if moments and certain else None


def reference_rates(story: Story) -> Verdict | None:
    """Judge what only the end tells: the first that is broken, else whether one is unknown."""
    holds: dict[Reason, bool | None] = {
        "itl": reference_itl(story),
        "tpot": reference_tpot(story),
        "fluidity": reference_fluidity(story),
    }
    for reason, kept in holds.items():
        if kept is False:
            return Verdict("bad", reason)
    return Verdict("excluded", "unmeasured") if None in holds.values() else None


def reference_itl(story: Story) -> bool | None:
    limit = story.good.itl
    if not limit or len(story.arrivals) < 2:
        return True
    if not story.tokens_known:
        return None
    times = [
        Fraction((ms - before) * MS, n)
        for (before, _), (ms, n) in pairwise(story.arrivals)
        for _ in range(n)
    ]
    within = sum(time <= limit.within_ns for time in times)
    return Fraction(within, len(times)) * 100 >= Fraction(limit.share)


def reference_tpot(story: Story) -> bool | None:
    limit_ns, moments = story.tpot_limit_ns, [ms for ms, _ in story.arrivals]
    if limit_ns is None:
        return True
    if not story.tokens_known:
        return None
    tokens = sum(n for _, n in story.arrivals)
    return tokens < 2 or Fraction((moments[-1] - moments[0]) * MS, tokens - 1) <= limit_ns


def reference_fluidity(story: Story) -> bool | None:
    """Follow the tokens one by one."""
    wanted, limit = story.good.fluidity, story.good.ttft
    if not wanted or not story.arrivals:
        return True
    if wanted.first_ns is not None:
        deadline_ns = wanted.first_ns
    else:
        assert limit
        if limit.per_1k_prompt_tokens_ns and story.prompt_tokens is None:
            return None
        deadline_ns = story.first_limit_ns(story.prompt_tokens or 0)
        deadline_ns += story.body_ms * MS if limit.from_body else 0
    if not story.tokens_known:
        return None
    (first_ms, first), *_ = story.arrivals
    early = [Fraction(deadline_ns - first_ms * MS)] + [Fraction(wanted.each_ns)] * (first - 1)
    for (before, _), (ms, n) in pairwise(story.arrivals):
        early += [wanted.each_ns - Fraction((ms - before) * MS, n)] * n
    slack, on_time = Fraction(0), 0
    for more in early:
        slack = slack + more
        on_time += slack >= 0
        slack = max(slack, Fraction(0))
    return Fraction(on_time, len(early)) >= Fraction(wanted.minimum)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    ms = st.integers(1, 40)
    times = ms.map(MS.__mul__)
    halves = ms.map((MS // 2).__mul__)
    growths, shares = st.sampled_from([0, MS]), st.sampled_from([Decimal(50), Decimal("99.9")])
    ttft = draw(st.none() | st.builds(FirstToken, times, growths, st.booleans()))
    minima, nowhere = st.sampled_from([Decimal("0.5"), Decimal("0.75"), Decimal(1)]), Place("x")
    firsts = times if ttft is None else st.none() | times
    good = Good(
        ttft=ttft,
        fluidity=draw(st.none() | st.builds(Fluidity, firsts, halves, minima, st.just(nowhere))),
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
    failed: list[Outcome] = ["client_cancel", "client_error", *BAD_OUTCOMES]
    fine: list[Outcome] = ["success"] * len(failed)
    tokens = 1000 * draw(st.integers(0, 20))
    return Story(
        good=good,
        stream=stream,
        body_ms=body_ms,
        arrivals=tuple((ms, draw(st.integers(1, 4))) for ms in moments),
        end_ms=last + draw(st.integers(0, 30)),
        outcome=draw(st.sampled_from(fine + failed)),
        prompt_bytes=tokens + 1000 * draw(st.integers(0, 20)),
        prompt_tokens=draw(st.sampled_from([None, tokens])),
        tokens_known=draw(st.booleans()),
        asked=draw(st.builds(Asked, st.none() | times, st.none() | halves)),
    )


def replayed(story: Story, sweeps: set[int]) -> tuple[Verdict, int]:
    """Tell a judge the story in time order; return its one verdict and when it was given."""
    one = judge(story.good, stream=story.stream, asked=story.asked)
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
