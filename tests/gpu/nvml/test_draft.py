from collections import Counter as Tally

import pytest

from inferometer.gpu.nvml.draft import BOUNDS, Draft, plausible
from inferometer.gpu.quantities import Counter, Gauge, Quantity, Total


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("quantity", BOUNDS)
def test_bounds_belong_to_what_can_be_true(quantity: Quantity) -> None:
    least, greatest = BOUNDS[quantity]
    assert plausible(quantity, least)
    assert plausible(quantity, greatest)
    assert not plausible(quantity, least - 1)
    assert not plausible(quantity, greatest + 1)


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_what_has_no_bounds_is_at_least_a_number_and_not_negative(value: float) -> None:
    assert not plausible(Gauge.MEMORY_USED_BYTES, value)
    assert plausible(Gauge.MEMORY_USED_BYTES, 0)


def test_each_quantity_goes_where_it_belongs() -> None:
    draft = Draft(Tally())
    assert draft.put(Gauge.SM_CLOCK_MHZ, 1755) is None
    assert draft.put(Counter.PCIE_REPLAYS, 3) is None
    assert draft.put(Total.BUSY_NS, 9) is None
    reading = draft.reading()
    assert reading.gauges == {Gauge.SM_CLOCK_MHZ: 1755}
    assert reading.counters == {Counter.PCIE_REPLAYS: 3}
    assert reading.totals == {Total.BUSY_NS: 9}
    assert (reading.instances, reading.processes) == (None, None)


@pytest.mark.req("GX-04")
def test_what_is_unknown_or_untrue_is_absent_and_only_the_latter_counts() -> None:
    refusals: Tally[str] = Tally()
    draft = Draft(refusals)
    assert draft.put(Gauge.FAN_PERCENT, None) == "no_data"
    assert draft.put(Gauge.FAN_PERCENT, 4000) == "implausible"
    assert not draft.gauges
    assert draft.reading().implausible == {"fan_percent": 1}
    assert Draft(refusals).reading().implausible == {"fan_percent": 1}


def test_a_refusal_that_never_happened_is_not_reported() -> None:
    assert not Draft(Tally({"fan_percent": 0})).reading().implausible
