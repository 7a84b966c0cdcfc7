"""The share of tokens on time: truth tables, and the formula of the paper token by token."""

from array import array
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import Place
from inferometer.slo.document import Fluidity
from inferometer.slo.fluidity import Score, fluidity_holds, score
from inferometer.stream.summary import Summary
from support.judging import DONE, EMPTY, MS, WHOLE, at

EACH = 50 * MS
Arrivals = Sequence[tuple[int, int]]


def scored(slack_ms: int, *arrivals: tuple[int, int], first: int = 1) -> tuple[int, int]:
    in_ns = [(gap_ms * MS, n) for gap_ms, n in arrivals]
    return score(in_ns, slack_ns=slack_ms * MS, first=first, each_ns=EACH)


@pytest.mark.parametrize(
    ("slack_ms", "arrivals", "expected"),
    [
        # Nothing but the first token.
        (0, [], (1, 1)),
        (-1, [], (0, 1)),
        # Equal is on time; a late one costs one token and leaves no debt.
        (0, [(50, 1), (50, 1)], (3, 3)),
        (0, [(51, 1), (50, 1)], (2, 3)),
        (0, [(900, 1), (50, 1)], (2, 3)),
        # The slack of the first token, and of each later one, carries over.
        (40, [(90, 1), (50, 1)], (3, 3)),
        (40, [(91, 1), (50, 1)], (2, 3)),
        (0, [(10, 1), (90, 1), (50, 1)], (4, 4)),
        (0, [(10, 1), (91, 1), (50, 1)], (3, 4)),
        # A miss takes all slack, also what is left of it.
        (0, [(10, 1), (91, 1), (51, 1), (50, 1)], (3, 5)),
        (-500, [(51, 1), (50, 1)], (1, 3)),
        # An arrival of n tokens: each took an n-th.
        (0, [(100, 2)], (3, 3)),
        (0, [(101, 2)], (1, 3)),
        (10, [(220, 4)], (3, 5)),  # 5 ms over each: two of four fit into 10 ms
        (20, [(220, 4)], (5, 5)),
        (19, [(220, 4), (50, 1)], (5, 6)),
        (0, [(20, 4), (230, 1)], (6, 6)),  # 180 ms of slack
        (0, [(20, 4), (231, 1)], (5, 6)),
        # Time that brought no token is part of the wait for the next one.
        (0, [(30, 0), (20, 1)], (2, 2)),
        (0, [(30, 0), (21, 1)], (1, 2)),
        (0, [(30, 0), (500, 0)], (1, 1)),
    ],
)
def test_tokens_on_time_by_hand(
    slack_ms: int, arrivals: Arrivals, expected: tuple[int, int]
) -> None:
    assert scored(slack_ms, *arrivals) == expected


@pytest.mark.parametrize(
    ("slack_ms", "later", "expected"),
    [(0, [(150, 1)], (4, 4)), (0, [(151, 1)], (3, 4)), (-1, [(150, 1)], (3, 4))],
)
def test_what_comes_with_the_first_token_takes_no_time(
    slack_ms: int, later: Arrivals, expected: tuple[int, int]
) -> None:
    assert scored(slack_ms, *later, first=3) == expected


def reference(slack: int, first: int, arrivals: Arrivals, each: int) -> Score:
    """Follow slack_i = slack_{i-1} + D - s_i token by token, in exact fractions."""
    times: list[Fraction] = []
    waited = 0
    for gap, n in arrivals:
        waited += gap
        if n:
            times += [Fraction(waited, n)] * n
            waited = 0
    on_time, left = 0, Fraction(0)
    for early in [Fraction(slack), *[Fraction(each)] * (first - 1), *(each - s for s in times)]:
        left += early
        if left >= 0:
            on_time += 1
        else:
            left = Fraction(0)
    return Score(on_time, first + len(times))


GAPS = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 6)), max_size=30)


@given(st.integers(-100, 300), st.integers(1, 5), GAPS, st.integers(1, 100))
def test_the_score_is_that_of_the_formula(
    slack: int, first: int, arrivals: Arrivals, each: int
) -> None:
    found = score(arrivals, slack_ns=slack, first=first, each_ns=each)
    assert found == reference(slack, first, arrivals, each)


# From a summary.


def limit(minimum: str = "1", each_ms: float = 50) -> Fluidity:
    return Fluidity(None, round(each_ms * MS), Decimal(minimum), Place("x"))


def summary(*arrivals: tuple[float, int], first: int = 1) -> Summary:
    gaps = [gap_ms / 1000 for gap_ms, _ in arrivals]
    weights = [n for _, n in arrivals]
    return DONE._replace(
        gaps_s=array("f", gaps),
        gap_tokens=array("I", weights),
        output_tokens=first + sum(weights),
        longest_gap_s=max(gaps, default=None),
    )


def test_the_share_may_equal_the_limit() -> None:
    one_late = summary((50, 1), (51, 1), (50, 1))
    assert fluidity_holds(one_late, limit("0.75"), at(50)) is True
    assert fluidity_holds(one_late, limit("0.76"), at(50)) is False


def test_the_first_token_has_a_deadline_of_its_own() -> None:
    steady = summary((50, 1), (50, 1), (50, 1))
    assert fluidity_holds(steady, limit(), at(50)) is True
    assert fluidity_holds(steady, limit(), at(50) - 1) is False
    assert fluidity_holds(steady, limit("0.75"), at(50) - 1) is True
    assert fluidity_holds(summary((80, 1), (70, 1)), limit(), at(100)) is True
    assert fluidity_holds(summary((80, 1), (71, 1)), limit(), at(100)) is False


def test_tokens_that_came_with_the_first_one_are_those_that_no_gap_brought() -> None:
    late = summary((150, 1), (51, 1), first=3)
    assert fluidity_holds(late, limit("0.8"), at(50)) is True
    assert fluidity_holds(late, limit("0.81"), at(50)) is False
    for partly in (late._replace(client_stall_s=0.1), late._replace(gaps_dropped=1)):
        # Some of them came later, and nobody knows when: the first one alone is judged.
        assert fluidity_holds(partly, limit("0.33"), at(50)) is True
        assert fluidity_holds(partly, limit("0.34"), at(50)) is False


def test_a_gap_without_a_token_is_not_lost() -> None:
    slow = summary((40, 0), (40, 1))
    assert fluidity_holds(slow, limit("0.5"), at(50)) is True
    assert fluidity_holds(slow, limit("0.51"), at(50)) is False


@given(st.lists(st.integers(1, 15_000_000), min_size=1, max_size=50), st.integers(1_000, 10**8))
def test_gaps_of_whole_microseconds_are_judged_exactly(gaps_us: list[int], each_us: int) -> None:
    kept = summary(*((gap / 1000, 1) for gap in gaps_us))
    found = reference(0, 1, [(gap, 1) for gap in gaps_us], each_us)
    half = Decimal("0.5")
    for more, holds in ((-half, True), (half, False)):
        minimum = (found.on_time + more) / found.tokens
        one = Fluidity(None, each_us * 1000, min(minimum, Decimal(1)), Place("x"))
        whole = found.on_time == found.tokens
        assert fluidity_holds(kept, one, at(50)) is (holds or whole)


def test_without_output_there_is_nothing_to_be_late() -> None:
    assert fluidity_holds(EMPTY, limit(), None) is True


@pytest.mark.parametrize(
    "unknown",
    [
        DONE._replace(measured=False),
        WHOLE,
        DONE._replace(output_tokens=None, output_source="none"),
        DONE._replace(output_source="chunks"),
        DONE._replace(choices=2),
        DONE._replace(t_first_ns=None),
    ],
)
def test_without_tokens_or_moments_nothing_is_known(unknown: Summary) -> None:
    assert fluidity_holds(unknown, limit("0.01"), at(50)) is None


def test_without_a_deadline_for_the_first_token_nothing_is_known() -> None:
    assert fluidity_holds(DONE, limit("0.01"), None) is None
