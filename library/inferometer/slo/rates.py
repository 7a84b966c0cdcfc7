"""Judges what only a finished request tells: rates of its tokens and its longest gap.

Each function says True if the objective holds, False if it is broken, and None if it could not be
measured: then a request is neither good nor bad. Where there is nothing to measure (no gap, fewer
than two tokens) an objective holds.
"""

from array import array
from collections.abc import Sequence

from inferometer.slo.document import SECOND_NS, InterToken
from inferometer.stream.summary import Summary
from inferometer.stream.tokens import NO_RATE


def gap_holds(summary: Summary, limit_ns: int) -> bool | None:
    """Judge the longest gap."""
    if not summary.measured or not summary.streamed:
        return None
    longest_s = summary.longest_gap_s
    return longest_s is None or round(longest_s * SECOND_NS) <= limit_ns


def itl_holds(summary: Summary, limit: InterToken) -> bool | None:
    """Judge the share of tokens that came within the limit of the one before.

    A gap that brought n tokens counts n times with an n-th of its length. Beyond 4,096 gaps those
    kept are judged.
    """
    if not summary.measured or not summary.streamed:
        return None
    if not summary.gaps_s:
        return True
    if not summary.gap_tokens:
        return None
    if gap_holds(summary, limit.within_ns):
        return True  # as then every token was within the limit
    within = _tokens_within(summary.gaps_s, summary.gap_tokens, limit.within_ns)
    return within * 100 >= limit.share * sum(summary.gap_tokens)


def tpot_holds(summary: Summary, limit_ns: int) -> bool | None:
    """Judge the mean time per token after the first. That of one of several choices is unknown."""
    tokens = summary.output_tokens
    if not summary.measured or tokens is None or summary.output_source in NO_RATE:
        return None
    if tokens < 2:  # noqa: PLR2004 (a rate needs two)
        return True
    if not summary.streamed or summary.choices > 1:
        return None
    if summary.t_first_ns is None or summary.t_last_ns is None:
        return None
    stall_ns = round(summary.client_stall_s * SECOND_NS)
    return summary.t_last_ns - summary.t_first_ns - stall_ns <= limit_ns * (tokens - 1)


def _tokens_within(gaps_s: Sequence[float], tokens: Sequence[int], limit_ns: int) -> int:
    """Return how many tokens were within the limit.

    Gaps are kept in 32 bits, so limits are rounded in the same way: equal stays within.
    """
    longest_s: dict[int, float] = {}
    within = 0
    for gap_s, n in zip(gaps_s, tokens, strict=True):
        if n not in longest_s:
            longest_s[n] = array("f", [n * limit_ns / SECOND_NS])[0]
        if gap_s <= longest_s[n]:
            within += n
    return within
