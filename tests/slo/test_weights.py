import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.weights import Mean, known_tokens, of_bad
from inferometer.stream.tokens import UsageSource
from support.judging import DONE


@pytest.mark.parametrize(
    ("tokens", "mean", "weight"),
    [(2000, 50, 2000), (3, 50, 50), (None, 50, 50), (0, 0, 1), (None, 0, 1), (1, 0, 1)],
)
def test_a_bad_request_weighs_the_most_of_its_tokens_the_mean_and_one(
    tokens: int | None, mean: int, weight: int
) -> None:
    assert of_bad(tokens, mean) == weight


def test_the_mean_begins_with_nothing() -> None:
    assert Mean().value == 0


@given(st.lists(st.integers(0, 10**8), min_size=1))
def test_the_mean_is_that_of_all_rounded_to_whole_tokens(tokens: list[int]) -> None:
    mean = Mean()
    for n in tokens:
        mean.take(n)
    assert isinstance(mean.value, int)
    assert abs(2 * mean.value * len(tokens) - 2 * sum(tokens)) <= len(tokens)


@pytest.mark.parametrize(
    ("source", "known"),
    [("server", 5), ("events", 5), ("token_ids", 5), ("chunks", None), ("none", None)],
)
def test_an_estimate_is_not_known(source: UsageSource, known: int | None) -> None:
    assert known_tokens(DONE._replace(output_source=source)) == known
