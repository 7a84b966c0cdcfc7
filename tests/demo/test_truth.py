import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.demo import limits
from inferometer.demo.truth import CELLS_MAX, Answer, End, Sketch, Truth


def answer(*moments_s: float) -> Answer:
    return Answer(0.0, 10, list(moments_s))


def verdict(made: Answer, how: End, now_s: float = 9.0) -> str:
    truth = Truth()
    truth.end(made, how, now_s=now_s)
    return next(iter(truth.verdicts))


@given(st.lists(st.floats(1e-5, 1000), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_to_one_percent(durations: list[float], q: float) -> None:
    sketch = Sketch()
    for duration in durations:
        sketch.add(duration)
    exact = sorted(durations)[max(1, -int(-q * len(durations) // 1)) - 1]
    assert sketch.quantile(q) == pytest.approx(exact, rel=0.011)
    assert sketch.sum_s == pytest.approx(sum(durations))


def test_nothing_taken_is_unknown() -> None:
    assert Sketch().told() == {"count": 0, "mean": None, "p50": None, "p99": None}


def test_memory_is_bounded_for_any_duration() -> None:
    sketch = Sketch()
    for duration in (0.0, 1e-30, 1e30):
        sketch.add(duration)
    top = sketch.quantile(1.0)
    assert top is not None
    assert top < 1e-6 * 1.01 ** (CELLS_MAX + 1)


@pytest.mark.parametrize(
    ("made", "how", "expected"),
    [
        (answer(0.1, 0.12, 0.14), "success", "good"),
        (answer(limits.TTFT_S), "success", "good"),
        (answer(limits.TTFT_S + 0.01), "success", "bad"),
        (answer(0.1, 0.2 + limits.GAP_S), "success", "bad"),
        (answer(0.1, 0.2 + limits.ITL_S), "success", "bad"),
        (
            answer(*[0.1 + 0.01 * at for at in range(200)], 2.09 + limits.ITL_S + 0.01),
            "success",
            "good",
        ),
        (answer(0.1), "stream_error", "bad"),
        (answer(), "rejected", "bad"),
    ],
)
def test_an_answer_is_judged_by_every_limit(made: Answer, how: End, expected: str) -> None:
    assert verdict(made, how) == expected


@pytest.mark.parametrize(
    ("made", "now_s", "expected"),
    [
        (answer(), limits.TTFT_S - 0.1, "excluded"),
        (answer(), limits.TTFT_S + 0.1, "bad"),
        (answer(0.1), 0.2, "excluded"),
        (answer(0.1), 0.2 + limits.GAP_S, "bad"),
    ],
)
def test_a_client_that_left_has_seen_a_fault_only_if_a_limit_was_broken(
    made: Answer, now_s: float, expected: str
) -> None:
    assert verdict(made, "client_left", now_s) == expected


def test_tokens_and_gaps_count_for_answers_whose_usage_was_told() -> None:
    truth = Truth()
    truth.first(answer(0.5))
    truth.woke(0.001)
    truth.end(answer(0.1, 0.2, 0.4), "success", now_s=1)
    truth.end(answer(0.1, 0.2), "aborted", now_s=1)
    told = truth.told()
    assert (told["input_tokens"], told["output_tokens"]) == (10, 3)
    assert (told["gaps"]["count"], told["first_token"]["count"]) == (2, 1)
    assert told["ends"] == {"success": 1, "aborted": 1}
    assert told["lateness"]["mean"] == 0.001
