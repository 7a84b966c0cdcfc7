"""What the server shows of devices, given a child's messages."""

from dataclasses import replace

import pytest

from inferometer.gpu.messages import Condition, EventTotals, Failure, Found, Heartbeat, Hello
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import DeviceState, DeviceView, Identity, Instance, Sample, Xid
from inferometer.gpu.supervision.slots import DEVICES_MAX, Slots

S = 10**9
ENERGY = Counter.ENERGY_MILLIJOULES


def identity(index: int, uuid: str | None = None) -> Identity:
    return Identity(uuid=uuid or f"GPU-{index}", index=index, vendor="nvidia", model="T")


def sample(now_s: float, *, index: int = 0, energy: int = 0, busy_ns: int = 0) -> Sample:
    instance = Instance(
        gpu_instance=1,
        compute_instance=0,
        uuid="MIG-1",
        profile="1g",
        slices=1,
        slices_max=7,
        totals={Total.BUSY_NS: busy_ns},
    )
    return Sample(
        uuid=f"GPU-{index}",
        moment_ns=round(now_s * S),
        time_s=1e9 + now_s,
        gauges={Gauge.POWER_WATTS: 100.0 + now_s, Gauge.RECOVERY_ACTION: 1.0},
        counters={ENERGY: energy},
        totals={Total.OBSERVED_NS: round(now_s * S), Total.BUSY_NS: busy_ns},
        instances=(instance,),
        unsupported={"fp64_ratio": "architecture"},
        implausible={"sm_ratio": 2},
    )


def beat(calls: dict[str, tuple[str, int]], missed: int = 0) -> Heartbeat:
    return Heartbeat(calls, {"GPU-0": {"fast": missed}}, {}, {}, 0, -1)


@pytest.fixture
def slots() -> Slots:
    slots = Slots("nvml", limits_s=(3.0, 1.0))
    slots.take(Hello("550.1", ("GPU-0",), 1), 0)
    slots.take(Found(identity(0)), 0)
    return slots


def view(slots: Slots, now_s: float) -> DeviceView:
    (only,) = slots.views(round(now_s * S))
    return only


def test_a_device_that_was_never_read_is_stalled(slots: Slots) -> None:
    shown = view(slots, 1)
    assert (shown.state, shown.sample, shown.last_sample_s) == ("stalled", None, None)
    assert (shown.backend, shown.identity.uuid) == ("nvml", "GPU-0")


def test_a_tick_makes_it_well_and_shows_everything(slots: Slots) -> None:
    slots.take(sample(1, energy=100), 1 * S)
    slots.take(sample(2, energy=130, busy_ns=S // 2), 2 * S)
    shown = view(slots, 2.5)
    assert shown.state == "ok"
    assert shown.sample == sample(2, energy=130, busy_ns=S // 2)
    assert shown.accumulated == {ENERGY: 30}
    assert shown.totals == {Total.OBSERVED_NS: 2 * S, Total.BUSY_NS: S // 2}
    assert shown.instance_totals == {"MIG-1": {Total.BUSY_NS: S // 2}}
    assert shown.last_sample_s == 1e9 + 2
    assert shown.power_peak_watts == 102.0
    assert shown.busy_peak_ratio == 0.5
    assert shown.recovery_action == 1
    assert shown.unsupported == {"fp64_ratio": "architecture"}
    assert shown.implausible == {"sm_ratio": 2}


def test_without_power_there_is_no_peak_of_it(slots: Slots) -> None:
    slots.take(replace(sample(1), gauges={}), 1 * S)
    assert (view(slots, 1).state, view(slots, 1).power_peak_watts) == ("ok", None)


def test_a_failure_is_not_about_a_device(slots: Slots) -> None:
    slots.take(Failure("driver", "", 9), 1 * S)
    assert len(slots.views(0)) == 1


@pytest.mark.req("GX-01")
def test_a_call_that_hangs_stalls_the_device_with_its_age(slots: Slots) -> None:
    slots.take(sample(1, energy=100), 1 * S)
    slots.take(beat({"GPU-0": ("Power", 2 * S)}), round(2.5 * S))
    assert view(slots, 5).state == "ok"
    assert view(slots, 5).call_inflight == ("Power", 0.5)
    shown = view(slots, 5.5)
    assert shown.state == "stalled"
    assert shown.call_inflight == ("Power", 3.5)
    hidden = (shown.sample, shown.power_peak_watts, shown.busy_peak_ratio, shown.recovery_action)
    assert hidden == (None, None, None, None)
    assert shown.accumulated == {ENERGY: 0}, "sums live on, for when it returns"


def test_a_tick_ends_the_call(slots: Slots) -> None:
    slots.take(beat({"GPU-0": ("Power", 2 * S)}), 2 * S)
    slots.take(sample(8), 8 * S)
    assert view(slots, 8).state == "ok"
    assert view(slots, 8).call_inflight is None


def test_nothing_is_shown_that_is_older_than_four_ticks(slots: Slots) -> None:
    slots.take(sample(1), 1 * S)
    assert view(slots, 5).state == "ok"
    assert view(slots, 5.1).state == "stalled"


@pytest.mark.req("GX-03")
@pytest.mark.parametrize("state", ["lost", "reset_required", "no_permission"])
def test_a_sick_devices_values_vanish_until_the_next_tick(slots: Slots, state: DeviceState) -> None:
    slots.take(sample(1, energy=100), 1 * S)
    slots.take(Condition("GPU-0", state, 15, backend_lost=False), 2 * S)
    shown = view(slots, 2)
    assert (shown.state, shown.sample, shown.last_sample_s) == (state, None, 1e9 + 1)
    assert shown.recovery_action == (1 if state == "reset_required" else None)
    slots.take(Condition("GPU-0", "ok", None, backend_lost=False), 3 * S)
    assert view(slots, 3).state == state
    slots.take(sample(4, energy=100), 4 * S)
    assert view(slots, 4).state == "ok"


@pytest.mark.parametrize(("state", "energy"), [("lost", 7), ("no_permission", 0)])
def test_after_a_loss_a_counter_that_fell_has_begun_anew(
    slots: Slots, state: DeviceState, energy: int
) -> None:
    slots.take(sample(1, energy=100), 1 * S)
    slots.take(Condition("GPU-0", state, 15, backend_lost=False), 2 * S)
    slots.take(sample(4, energy=7), 4 * S)
    assert view(slots, 4).accumulated == {ENERGY: energy}


def test_after_a_release_too(slots: Slots) -> None:
    slots.take(sample(1, energy=100), 1 * S)
    slots.expect_restart()
    slots.take(sample(4, energy=7), 4 * S)
    assert view(slots, 4).accumulated == {ENERGY: 7}


def test_xids_and_events_are_shown_in_every_state(slots: Slots) -> None:
    slots.take(EventTotals("GPU-0", {79: Xid(1, 5.0)}, 79, {"fallen_off_bus": 1}), 0)
    slots.take(Condition("GPU-0", "lost", 15, backend_lost=False), 0)
    shown = view(slots, 1)
    assert (shown.xids, shown.xid_last) == ({79: Xid(1, 5.0)}, 79)
    assert shown.events == {"fallen_off_bus": 1}


def test_sums_go_on_with_the_next_child(slots: Slots) -> None:
    slots.take(sample(1, energy=100, busy_ns=5), 1 * S)
    slots.take(beat({}, missed=2), 1 * S)
    slots.take(EventTotals("GPU-0", {48: Xid(1, 5.0)}, 48, {}), 0)
    slots.child_ended(None)
    slots.child_started()
    slots.take(Hello("550.1", ("GPU-0",), 1), 0)
    slots.take(sample(3, energy=130, busy_ns=3), 3 * S)
    slots.take(beat({}, missed=1), 1 * S)
    slots.take(EventTotals("GPU-0", {48: Xid(1, 9.0)}, 48, {}), 0)
    shown = view(slots, 3)
    assert shown.accumulated == {ENERGY: 30}
    assert shown.totals[Total.BUSY_NS] == 8
    assert shown.ticks_missed == {"fast": 3}
    assert shown.xids == {48: Xid(2, 9.0)}
    assert shown.implausible == {"sm_ratio": 4}


def test_a_dead_childs_last_sample_is_shown_while_it_is_fresh(slots: Slots) -> None:
    slots.take(sample(1), 1 * S)
    slots.take(beat({"GPU-0": ("Power", 1 * S)}), 1 * S)
    slots.child_ended(None)
    assert view(slots, 4.9).state == "ok"
    assert view(slots, 4.9).call_inflight is None
    assert view(slots, 5.1).state == "stalled"


@pytest.mark.parametrize("state", ["lost", "stalled"])
def test_unless_the_driver_is_gone_or_was_released(slots: Slots, state: DeviceState) -> None:
    slots.take(sample(1), 1 * S)
    slots.child_ended(state)
    assert (view(slots, 1).state, view(slots, 1).sample) == (state, None)


@pytest.mark.req("GX-05")
def test_devices_are_told_apart_by_uuid_and_may_be_renumbered(slots: Slots) -> None:
    slots.take(Hello("", ("GPU-0", "GPU-1"), 2), 0)
    slots.take(Found(identity(1)), 0)
    slots.take(sample(1, energy=5), 1 * S)
    slots.take(Found(identity(3, "GPU-0")), 0)
    shown = slots.views(1 * S)
    assert [(v.identity.uuid, v.identity.index) for v in shown] == [("GPU-1", 1), ("GPU-0", 3)]
    assert shown[1].totals[Total.OBSERVED_NS] == 1 * S


@pytest.mark.req("GX-03")
def test_a_device_that_is_no_longer_listed_is_lost_and_still_shown(slots: Slots) -> None:
    slots.take(sample(1), 1 * S)
    slots.take(Hello("", (), 0), 2 * S)
    assert view(slots, 2).state == "lost"


def test_a_device_that_was_lost_is_still_expected_until_there_is_another_child(
    slots: Slots,
) -> None:
    slots.take(Hello("", ("GPU-0", "GPU-1"), 2), 0)
    slots.take(Hello("", ("GPU-1",), 2), 0)
    assert slots.expected == 2
    slots.child_ended(None)
    slots.take(Hello("", ("GPU-1",), 2), 0)
    assert slots.expected == 1


def test_messages_about_a_device_that_nobody_announced_are_left_out(slots: Slots) -> None:
    slots.take(sample(1, index=7), 1 * S)
    slots.take(Condition("GPU-7", "lost", 15, backend_lost=False), 0)
    slots.take(EventTotals("", {79: Xid(1, 5.0)}, 79, {}), 0)
    assert len(slots.views(0)) == 1
    assert slots.view("GPU-7", 0) is None


def test_devices_are_bounded_and_those_that_are_gone_make_room(slots: Slots) -> None:
    for index in range(1, DEVICES_MAX):
        slots.take(Found(identity(index)), 0)
    slots.take(Hello("", tuple(f"GPU-{n}" for n in range(1, DEVICES_MAX)), None), 0)
    slots.take(Found(identity(500)), 0)
    assert len(slots.views(0)) == DEVICES_MAX
    assert slots.view("GPU-0", 0) is None
    slots.take(Hello("", tuple(v.identity.uuid for v in slots.views(0)), None), 0)
    slots.take(Found(identity(501)), 0)
    assert slots.view("GPU-501", 0) is None


def test_all_stalled_means_all_that_have_no_other_trouble(slots: Slots) -> None:
    slots.take(Hello("", ("GPU-0", "GPU-1", "GPU-2"), 3), 0)
    slots.take(Found(identity(1)), 0)
    slots.take(sample(1), 1 * S)
    slots.take(sample(1, index=1), 1 * S)
    assert not slots.all_stalled(2 * S)
    slots.take(Condition("GPU-1", "lost", 15, backend_lost=False), 2 * S)
    assert not slots.all_stalled(2 * S)
    assert slots.all_stalled(6 * S)
    slots.take(Condition("GPU-0", "lost", 15, backend_lost=False), 6 * S)
    assert not slots.all_stalled(6 * S), "a new child would not bring them back"


RECEIVED, SUMMED = Counter.PCIE_RECEIVE_BYTES, Total.PCIE_RECEIVE_BYTES


def received(now_s: float, *, counted: int | None = None, summed: int | None = None) -> Sample:
    return replace(
        sample(now_s),
        counters={} if counted is None else {RECEIVED: counted},
        totals={} if summed is None else {SUMMED: summed},
    )


def both(slots: Slots, now_s: float) -> int:
    shown = view(slots, now_s)
    return shown.accumulated.get(RECEIVED, 0) + shown.totals.get(SUMMED, 0)


def test_what_is_counted_and_summed_by_turns_is_never_added_twice(slots: Slots) -> None:
    sums = []
    for now_s, one in enumerate(
        (
            received(1, counted=1000),
            received(2, counted=1100),  # 100
            received(3, summed=50),  # nothing counts: 50 of the 100 until then
            received(4, summed=80),
            received(5, counted=1300),  # of these 200, 80 are known already
            received(6, counted=1310, summed=90),
            received(7, summed=95),
        ),
        1,
    ):
        slots.take(one, now_s * S)
        sums.append(both(slots, now_s))
    assert sums == [0, 100, 150, 180, 180, 190, 195]


@pytest.mark.parametrize("reset", [False, True])
def test_a_counter_that_cannot_be_true_is_left_out_with_the_reason(
    slots: Slots,
    reset: bool,  # noqa: FBT001
) -> None:
    slots.take(sample(1, energy=100), 1 * S)
    if reset:
        slots.expect_restart()
    slots.take(sample(2, energy=7), 2 * S)
    shown = view(slots, 2)
    assert shown.sample is not None
    assert shown.sample.counters == ({ENERGY: 7} if reset else {})
    assert shown.unsupported.get(str(ENERGY)) == (None if reset else "implausible")
    slots.take(sample(3, energy=130), 3 * S)
    shown = view(slots, 3)
    assert shown.sample is not None
    assert shown.sample.counters == {ENERGY: 130}
    assert str(ENERGY) not in shown.unsupported


def test_bytes_that_began_anew_with_a_child_are_shown_at_once(slots: Slots) -> None:
    slots.take(received(1, counted=2**32 + 5), 1 * S)
    slots.child_ended(None)
    slots.child_started()
    slots.take(received(2, counted=7), 2 * S)
    slots.take(received(3, counted=10), 3 * S)
    shown = view(slots, 3)
    assert shown.accumulated == {RECEIVED: 3}
    assert shown.implausible == {"sm_ratio": 4}


def test_no_event_is_claimed_while_one_might_pass_unheard(slots: Slots) -> None:
    assert view(slots, 1).xid_last is None
    slots.take(EventTotals("GPU-0", {}, 0, {}), 0)
    assert view(slots, 1).events_heard
    slots.take(EventTotals("GPU-0", {}, 0, {}, heard=False), 0)
    assert not view(slots, 1).events_heard
    slots.take(EventTotals("GPU-0", {48: Xid(1, 5.0)}, 48, {}), 0)
    shown = view(slots, 1)
    assert (shown.events_heard, shown.xids) == (True, {48: Xid(1, 5.0)})


def test_without_a_child_nobody_hears_events(slots: Slots) -> None:
    slots.take(EventTotals("GPU-0", {48: Xid(1, 5.0)}, 48, {}), 0)
    slots.child_ended("stalled")
    assert not view(slots, 1).events_heard
    slots.child_started()
    slots.take(sample(2), 2 * S)
    assert not view(slots, 2).events_heard
    slots.take(EventTotals("GPU-0", {}, 0, {}), 0)
    shown = view(slots, 2)
    assert (shown.events_heard, shown.xids, shown.xid_last) == (True, {48: Xid(1, 5.0)}, 48)


def test_a_demand_from_before_outlives_only_the_state_that_it_led_to(slots: Slots) -> None:
    well = replace(sample(1), gauges={Gauge.RECOVERY_ACTION: 0.0})
    slots.take(well, 1 * S)
    slots.take(Condition("GPU-0", "reset_required", 16, backend_lost=False), 2 * S)
    assert view(slots, 2).recovery_action is None, (
        "nothing to be done was of a device that was well"
    )
    slots.take(sample(3), 3 * S)
    slots.child_ended("stalled")
    assert view(slots, 3).recovery_action is None


def test_a_device_that_cannot_be_told_apart_is_expected_too(slots: Slots) -> None:
    slots.take(Hello("", ("GPU-0",), 4, devices_listed=4), 0)
    assert slots.expected == 4
    slots.take(Hello("", ("GPU-0",), 4, devices_listed=3), 0)
    assert slots.expected == 4, "one that was lost since still counts"
    slots.child_ended(None)
    slots.take(Hello("", ("GPU-0",), 4, devices_listed=None), 0)
    assert slots.expected == 1


def test_a_device_is_well_that_was_read_and_does_not_hang(slots: Slots) -> None:
    assert not slots.any_well(0)
    slots.take(sample(1), 1 * S)
    assert slots.any_well(2 * S)
    assert not slots.any_well(6 * S)
    slots.take(sample(7), 7 * S)
    slots.take(Condition("GPU-0", "lost", 15, backend_lost=False), 7 * S)
    assert not slots.any_well(7 * S)
