from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.demo.engine import QUEUE_MAX, Engine, Job, Shape

STEADY = Shape(pause_every_s=1e9, slow_every_s=1e9)


def engine(shape: Shape = STEADY, *jobs: Job) -> Engine:
    made = Engine(shape, seed=1)
    for job in jobs:
        assert made.submit(job)
    return made


def run(made: Engine, steps: int = 100_000) -> Iterable[tuple[float, list[Job]]]:
    for _ in range(steps):
        if not made.busy:
            return
        step = made.step()
        yield step.duration_s, step.tokens


@given(
    st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 50)), min_size=1, max_size=QUEUE_MAX)
)
def test_every_request_gets_exactly_its_tokens(sizes: list[tuple[int, int]]) -> None:
    jobs = [Job(prompt, output) for prompt, output in sizes]
    got = [job for _, tokens in run(engine(STEADY, *jobs)) for job in tokens]
    assert [got.count(job) for job in jobs] == [output for _, output in sizes]
    assert all(job.state == "over" for job in jobs)


def test_a_long_prompt_takes_several_steps_before_its_first_token() -> None:
    made = engine(STEADY, Job(STEADY.prefill_tokens_per_step * 3, 1))
    assert [len(tokens) for _, tokens in run(made)] == [0, 0, 1]


def test_a_fuller_batch_makes_a_slower_step() -> None:
    alone = engine(STEADY, Job(1, 5))
    full = engine(STEADY, *(Job(1, 5) for _ in range(40)))
    alone.step()
    full.step()
    assert full.step().duration_s > alone.step().duration_s


def test_no_more_requests_run_than_there_are_slots_and_memory() -> None:
    jobs = [Job(1, 10) for _ in range(STEADY.slots + 5)]
    made = engine(STEADY, *jobs)
    assert len(made.step().admitted) == STEADY.slots
    assert made.step().admitted == []
    big = Job(STEADY.kv_tokens - 10, 10)
    small = engine(STEADY, big, Job(1, 1))
    assert small.step().admitted == [big]


def test_a_full_queue_and_a_request_that_never_fits_are_refused() -> None:
    made = engine(STEADY, *(Job(1, 1) for _ in range(QUEUE_MAX)))
    assert not made.submit(Job(1, 1))
    assert not engine().submit(Job(STEADY.kv_tokens, 1))


def test_a_cancelled_request_gets_no_more_tokens_wherever_it_is() -> None:
    running, waiting, over = Job(1, 10), Job(1, 10), Job(1, 1)
    made = engine(Shape(slots=2, pause_every_s=1e9, slow_every_s=1e9), running, over, waiting)
    made.step()
    for job in (running, waiting, over):
        made.cancel(job)
    assert not made.busy


def test_pauses_and_slow_phases_come_and_go() -> None:
    shape = Shape(pause_every_s=1.0, pause_s=(0.5, 0.5), slow_every_s=3.0, slow_s=(1.0, 1.0))
    durations = [took for took, _ in run(engine(shape, Job(1, 2000)), 2000)]
    normal = shape.step_s + shape.step_s_per_sequence
    assert sum(took > 0.5 for took in durations) > 3
    assert any(took == pytest.approx(normal * shape.slow_factor) for took in durations)
    assert any(took == pytest.approx(normal) for took in durations)


def test_idle_time_counts_as_time() -> None:
    made = Engine(Shape(pause_every_s=10.0, pause_s=(0.5, 0.5)), seed=1)
    made.idle(100.0)
    made.submit(Job(1, 1))
    assert made.step().duration_s > 0.5


def test_the_same_seed_makes_the_same_steps() -> None:
    durations = [
        [took for took, _ in run(engine(Shape(pause_every_s=1.0), Job(1, 500)))] for _ in range(2)
    ]
    assert durations[0] == durations[1]
