"""Shares of what is not told for a while: nobody was idle then, and nothing is lost."""

from dataclasses import replace

import pytest

from inferometer.gpu.page.holding import Method, Shares
from inferometer.gpu.quantities import Counter, Total
from inferometer.gpu.sample import DeviceView
from support.gpu_shares import (
    MIG,
    WHO,
    A,
    B,
    G,
    S,
    drawn,
    instance,
    snapshot,
    view,
    with_instances,
)


def use(observed_s: int, busy_s: int) -> dict[Total, int]:
    return {Total.OBSERVED_NS: observed_s * S, Total.BUSY_NS: busy_s * S}


def cut(seconds: int, worked: dict[Total, int]) -> DeviceView:
    """Return a device that is watched in its instance alone, as an A100 is."""
    energy = {Counter.ENERGY_MILLIJOULES: 1000 * seconds}
    one = view(seconds, energy=energy, identity=replace(WHO, mig=True), totals={})
    before = use(50, 20)  # of the whole device, from before it was cut
    return replace(with_instances(one, instance({})), instance_totals={MIG: worked}, totals=before)


def test_an_instance_that_nobody_watches_was_not_idle() -> None:
    shares = Shares(Method())
    for seconds in range(4):
        last = cut(seconds, use(seconds, seconds))
        shares.take(last, snapshot(mig=(B,)), seconds * S)
    known = drawn(shares, last).value(f"{G}share_seconds_total", share="pod", pod="b")
    assert known == pytest.approx(3 / 7)
    for seconds in range(4, 9):  # its counters stand still: they cannot be read
        last = cut(seconds, use(3, 3))
        shares.take(last, snapshot(mig=(B,)), seconds * S)
        page = drawn(shares, last)
        assert page.find(f"{G}share_seconds_total") == []
        assert page.total(f"{G}attribution_info", method="mig", reason="no_gi_counters") == 1
    assert page.value(f"{G}share_energy_joules_total", share="other") == pytest.approx(5)
    for seconds in (9, 10):
        last = cut(seconds, use(seconds - 5, seconds - 5))
        shares.take(last, snapshot(mig=(B,)), seconds * S)
    again = drawn(shares, last).value(f"{G}share_seconds_total", share="pod", pod="b")
    assert again == pytest.approx(5 / 7), "what was not watched is nobody's"


def test_an_instance_that_was_watched_for_long_has_its_mean_in_a_tick() -> None:
    shares = Shares(Method())
    for seconds, worked in ((0, use(0, 0)), (1, use(1, 0)), (2, use(31, 15))):
        last = cut(seconds, worked)
        shares.take(last, snapshot(mig=(B,)), seconds * S)
    page = drawn(shares, last)
    assert page.value(f"{G}share_seconds_total", share="pod", pod="b") == pytest.approx(0.5 / 7)


def test_energy_that_is_not_told_is_not_shared_and_comes_with_the_next_news() -> None:
    shares = Shares(Method())
    for seconds in range(10):
        energy = {Counter.ENERGY_MILLIJOULES: 1000 * (seconds if seconds < 4 else max(3, seconds))}
        last = view(seconds, busy_s=float(seconds), energy=energy)
        if 4 <= seconds < 8:
            assert last.sample is not None
            frozen = {Counter.ENERGY_MILLIJOULES: 3000}
            sample = replace(last.sample, counters={})
            last = replace(last, accumulated=frozen, sample=sample)
        shares.take(last, snapshot(A), seconds * S)
        found = drawn(shares, last).find(f"{G}share_energy_joules_total")
        assert (found == []) == (seconds == 0 or 4 <= seconds < 8)
    page = drawn(shares, last)
    assert page.value(f"{G}share_energy_joules_total", share="pod", pod="a") == 9
    assert page.value(f"{G}share_seconds_total", share="pod", pod="a") == 9


def test_busy_time_that_is_not_told_is_not_shared() -> None:
    shares = Shares(Method())
    for seconds in range(3):
        last = view(seconds, busy_s=float(seconds))
        shares.take(last, snapshot(A), seconds * S)
    assert drawn(shares, last).find(f"{G}share_seconds_total") != []
    assert last.sample is not None
    silent = replace(last, sample=replace(last.sample, moment_ns=3 * S, totals={}))
    shares.take(silent, snapshot(A), 3 * S)
    assert drawn(shares, silent).find(f"{G}share_seconds_total") == []


def test_a_watch_that_begins_is_of_no_time_before() -> None:
    shares = Shares(Method())
    for seconds in range(5):
        totals = use(seconds + 100, seconds) if seconds > 2 else {}
        last = view(seconds, totals=totals)
        shares.take(last, snapshot(A), seconds * S)
    page = drawn(shares, last)
    assert page.total(f"{G}share_seconds_total") == 1
