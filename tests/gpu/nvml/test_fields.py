import ctypes
import struct
from collections import Counter as Tally
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml import fields
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.fields import FIELDS, Batch, FieldReader, decode
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Counter, Gauge
from support.nvml import Rig

ALL_ONES = (1 << 64) - 1


def of_double(value: float) -> int:
    (raw,) = struct.unpack("<Q", struct.pack("<d", value))
    return int(raw)


@pytest.mark.parametrize(
    ("value_type", "raw", "value"),
    [
        (0, of_double(1.5), 1.5),
        (1, 7, 7),
        (2, 1 << 40, 1 << 40),
        (3, 1 << 63, 1 << 63),
        (4, (1 << 64) - 5, -5),
        (5, (1 << 32) - 40, -40),
        (5, 40, 40),
        (6, 9, 9),
    ],
)
def test_a_union_is_read_by_its_type(value_type: int, raw: int, value: float) -> None:
    assert decode(value_type, raw) == value


@pytest.mark.parametrize("value_type", [1, 5, 6])
def test_what_is_beyond_a_narrow_type_is_masked(value_type: int) -> None:
    width = {1: 32, 5: 32, 6: 16}[value_type]
    assert decode(value_type, 0xABCDEF << width | 12) == 12


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("value_type", range(1, 7))
def test_all_ones_is_blank_in_every_width(value_type: int) -> None:
    assert decode(value_type, ALL_ONES) is None


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_blank(value: float) -> None:
    assert decode(0, of_double(value)) is None


def test_an_unknown_type_is_blank() -> None:
    assert decode(7, 1) is None


@given(value_type=st.integers(0, 1 << 32), raw=st.integers(0, ALL_ONES))
def test_any_bytes_are_a_finite_number_or_blank(value_type: int, raw: int) -> None:
    value = decode(value_type, raw)
    assert value is None or abs(value) < float("inf")


def answering(code: int, *, entry_code: int = 0, value: int = 5, fill: bool = True) -> Batch:
    def function(_: object, count: ctypes.c_int, entries: object) -> int:
        array = entries._obj  # type: ignore[attr-defined]  # what ctypes calls it
        for entry in array[: count.value] if fill else []:
            entry.code, entry.value_type, entry.value = entry_code, 1, value
        return code

    return Batch(function, Handle(1), asked=[(82, 0), (83, 0)])


def test_a_field_that_the_driver_skips_does_not_keep_its_last_value() -> None:
    batch = answering(0)
    batch.call()
    assert [reading.value for reading in batch.readings()] == [5, 5]
    skipping = answering(0, fill=False)
    skipping.call()
    assert [reading.value for reading in skipping.readings()] == [None, None]


def test_a_call_in_which_all_fields_fail_alike_has_failed_so() -> None:
    assert answering(0, entry_code=999).call() == 999
    assert answering(0).call() == 0
    assert answering(4).call() == 4


def test_all_fields_that_work_are_read_in_one_call_a_tier(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        assert rig.calls(rig.tick)["nvmlDeviceGetFieldValues"] == 1
        assert rig.calls(lambda: rig.tick(tier="slow"))["nvmlDeviceGetFieldValues"] == 1


def test_each_field_is_probed_alone_and_once(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        calls = rig.calls(rig.device.probe)["nvmlDeviceGetFieldValues"]
        # Those of the table, but for 269 as a second choice; two links' speed and count, and four
        # byte counters.
        assert calls == len(FIELDS) - 1 + 2 + 4


@pytest.mark.req("GX-04")
def test_one_failing_field_leaves_the_others(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda scenario: scenario.fail("field", 999, args=(82,)))
        reading = rig.tick()
        assert Gauge.MEMORY_TEMPERATURE_CELSIUS not in reading.gauges
        assert reading.counters[Counter.ENERGY_MILLIJOULES] > 0
        rig.change(lambda scenario: scenario.fail("field", 0, args=(82,)))
        assert rig.tick().gauges[Gauge.MEMORY_TEMPERATURE_CELSIUS] == 61


@pytest.mark.req("GX-04")
@pytest.mark.parametrize(("kind", "blank"), [(1, 0xFFFFFFFF), (3, ALL_ONES)])
def test_a_blank_field_is_absent_not_zero(tmp_path: Path, kind: int, blank: int) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda scenario: scenario.field(82, blank, kind=kind))
        assert rig.probed()["memory_temperature_celsius"] == "no_data"
        assert Gauge.MEMORY_TEMPERATURE_CELSIUS not in rig.tick().gauges


@pytest.mark.req("GX-04")
def test_a_field_that_cannot_be_true_is_refused_and_counted(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda scenario: scenario.field(82, 4_000_000, kind=1))
        rig.tick()
        reading = rig.tick()
        assert Gauge.MEMORY_TEMPERATURE_CELSIUS not in reading.gauges
        assert reading.implausible == {"memory_temperature_celsius": 2}


def test_a_second_field_serves_where_the_first_does_not(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda scenario: scenario.fail("field", 3, args=(75,)).field(269, 77))
        assert "throttled_thermal_ns" not in rig.probed()
        assert rig.tick().counters[Counter.THROTTLED_THERMAL_NS] == 77


def test_without_the_function_no_field_is_there() -> None:
    reader = FieldReader(None, Caller(Meter()), clock=lambda: 0)
    missing = reader.probe(Handle(1), Draft(Tally()))
    assert set(missing) == {field.quantity for field in FIELDS}
    assert set(missing.values()) == {"function_not_found"}
    reader.prepare()
    draft = Draft(Tally())
    reader.read("fast", draft)
    assert not draft.gauges


@pytest.mark.req("GX-04")
def test_a_field_that_says_the_device_is_lost_is_heard(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda scenario: scenario.fail("field", 15, args=(83,)))
        with pytest.raises(Exception, match="gpu_is_lost"):
            rig.tick()


def test_the_slow_list_is_a_call_of_its_own_for_the_governor(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.tick(tier="slow")
        assert {fields.NAME, fields.SLOW_NAME} <= rig.meter.stats().keys()
