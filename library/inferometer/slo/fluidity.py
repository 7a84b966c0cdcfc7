"""Fluidity: the share of tokens that came when a reader needed them (arXiv 2407.07000).

Each token has a deadline. One that comes early leaves its slack to the next ones:
`slack_i = slack_{i-1} + D - s_i`, where s_i is the time since the token before. A token is on time
if that is not negative; a late one sets it back to 0, since a reader who waited has caught up. The
first token has a deadline of its own. (The paper counts a stall once for each deadline that it
passes; here a late token is one late token, and the length of a stall is the business of `gap`.)

An arrival of n tokens after a gap brought each of them after an n-th of it, as for `itl`; those
that came together with the first token took no time. So the recurrence takes one step for each
arrival, in integers, and keeps only the slack.

The share is judged at the end, like `itl` and `tpot`: however many tokens were late, those to
come may outweigh them, and how many there will be is told by the end alone.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from inferometer.slo.document import Fluidity
from inferometer.slo.rates import gap_holds
from inferometer.stream.summary import Summary
from inferometer.stream.tokens import NO_RATE

_MICROSECONDS: Final = 10**6
_MICROSECOND_NS: Final = 1000


class Score(NamedTuple):
    """How many tokens were on time, of how many."""

    on_time: int
    tokens: int


def fluidity_holds(summary: Summary, limit: Fluidity, deadline_ns: int | None) -> bool | None:
    """Judge the share of tokens on time; `deadline_ns` is the moment for the first one.

    None where the tokens, the first one's deadline or its moment are unknown, and for several
    choices, whose gaps are not told apart. Tokens that followed a silence of the client's own have
    no time that could be judged, nor have those beyond the 4,096 gaps that are kept.
    """
    if not summary.measured or not summary.streamed:
        return None
    if summary.t_last_ns is None:
        return True
    tokens = summary.output_tokens
    if tokens is None or summary.output_source in NO_RATE or summary.choices > 1:
        return None
    if summary.t_first_ns is None or deadline_ns is None:
        return None
    slack_ns = deadline_ns - summary.t_first_ns
    weights = summary.gap_tokens
    if slack_ns >= 0 and gap_holds(summary, limit.each_ns) and all(weights):
        return True  # as then every token was on time by itself
    whole = not summary.gaps_dropped and not summary.client_stall_s
    first = max(1, tokens - sum(weights)) if whole else 1
    # Gaps are kept in 32 bits: rounded to microseconds they are again what they were.
    gaps_ns = (round(gap_s * _MICROSECONDS) * _MICROSECOND_NS for gap_s in summary.gaps_s)
    arrivals = zip(gaps_ns, weights, strict=True)
    found = score(arrivals, slack_ns=slack_ns, first=first, each_ns=limit.each_ns)
    return found.on_time >= limit.minimum * found.tokens


def score(arrivals: Iterable[tuple[int, int]], *, slack_ns: int, first: int, each_ns: int) -> Score:
    """Count the tokens that were on time.

    `slack_ns` is what the first token was early by, negative if it was late, and `first` how many
    came together with it. `arrivals` are the later ones: nanoseconds since the one before, and
    tokens. Time without a token is part of the wait for the next one.
    """
    on_time = first if slack_ns >= 0 else first - 1
    slack_ns = max(slack_ns, 0) + (first - 1) * each_ns
    tokens, waited_ns = first, 0
    for gap_ns, n in arrivals:
        waited_ns += gap_ns
        if not n:
            continue
        tokens += n
        over_ns = waited_ns - n * each_ns
        if over_ns <= slack_ns:
            on_time += n
            slack_ns -= over_ns
        else:
            on_time += slack_ns * n // over_ns  # each uses up an n-th of `over_ns`
            slack_ns = 0
        waited_ns = 0
    return Score(on_time, tokens)
