import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.drain import CUT_S, ECHO_S, Drain


@pytest.mark.req("LC-01")
def test_streams_run_to_the_deadline_and_are_cut_then() -> None:
    drain = Drain(delay_s=5, timeout_s=20)
    assert drain.phase == "serving"
    drain.ask(100)
    assert drain.step(100, busy=1, upstream_gone=False) == "not_ready"
    assert drain.step(104.9, busy=1, upstream_gone=False) == "not_ready"
    assert drain.step(105, busy=1, upstream_gone=False) == "draining"
    assert drain.step(119.9, busy=1, upstream_gone=False) == "draining"
    assert drain.step(120, busy=1, upstream_gone=False) == "cutting"
    assert drain.step(120.5, busy=1, upstream_gone=False) == "cutting"
    assert drain.step(120.6, busy=0, upstream_gone=False) == "gone"


@pytest.mark.req("LC-02")
def test_an_idle_sidecar_whose_upstream_is_gone_does_not_wait() -> None:
    drain = Drain(delay_s=60, timeout_s=90)
    drain.ask(0)
    assert drain.step(0.1, busy=0, upstream_gone=False) == "not_ready"
    assert drain.step(0.2, busy=1, upstream_gone=True) == "not_ready"
    assert drain.step(0.3, busy=0, upstream_gone=True) == "gone"


def test_a_second_signal_asks_for_the_end_and_moves_no_limit() -> None:
    drain = Drain(delay_s=1, timeout_s=2)
    assert not drain.ask(0)
    assert drain.ask(50)
    assert drain.step(1, busy=0, upstream_gone=False) == "gone"


@given(st.floats(0, 1e6), st.floats(0, ECHO_S / 2))
def test_signals_that_come_together_are_one(begun_s: float, later_s: float) -> None:
    drain = Drain(delay_s=1, timeout_s=2)
    assert not drain.ask(begun_s)
    assert not drain.ask(begun_s + later_s)
    assert drain.ask(begun_s + 3 * ECHO_S)


@given(
    st.floats(0, 50),
    st.floats(0, 50),
    st.lists(st.tuples(st.integers(0, 2), st.booleans())),
)
def test_it_ends_within_its_limits_whatever_happens(
    delay_s: float, timeout_s: float, steps: list[tuple[int, bool]]
) -> None:
    drain = Drain(delay_s=delay_s, timeout_s=timeout_s)
    drain.ask(0)
    order = ["not_ready", "draining", "cutting", "gone"]
    seen = 0
    for number, (busy, gone) in enumerate(steps):
        phase = drain.step(number * 0.5, busy=busy, upstream_gone=gone)
        assert order.index(phase) >= seen
        seen = order.index(phase)
    late_s = max(timeout_s, len(steps) * 0.5)
    drain.step(late_s, busy=1, upstream_gone=False)
    drain.step(late_s, busy=1, upstream_gone=False)
    assert drain.step(late_s + CUT_S + 0.001, busy=1, upstream_gone=False) == "gone"
