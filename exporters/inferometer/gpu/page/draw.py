"""Draws a device into a page: its state always, its values only while they are fresh.

What is stale is left out, counters too: a frozen counter has the rate 0, which nobody measured.
XIDs and events stay for as long as they are heard, on another thread than the one that hangs; when
an XID was last seen stays for good.
"""

from collections.abc import Mapping
from math import isfinite

from inferometer.gpu.page.families import MEMORY_SHARE, NEEDS, PREFIX, memory_ratio
from inferometer.gpu.page.fields import UNKNOWN_MAX
from inferometer.gpu.page.page import NONE, Page, pair
from inferometer.gpu.page.plan import InstancePlan, Look, Plan
from inferometer.gpu.quantities import XID, Gauge
from inferometer.gpu.sample import DeviceView, Instance, Reason, Sample
from inferometer.metrics.devices import FABRIC_STATES, RECOVERY_ACTIONS, STATES, THROTTLE_BITS


def draw_status(page: Page, view: DeviceView, plan: Plan, look: Look) -> None:
    """Draw what is shown in every state."""
    draw = _Drawing(page, plan, look)
    page.put(f"{PREFIX}info", plan.info, 1)
    draw.one("up", view.state == "ok")
    for state in STATES:
        draw.one("state", state == view.state, f'state="{state}"')
    if view.last_sample_s is not None:
        draw.one("last_sample_timestamp_seconds", view.last_sample_s)
    if view.call_inflight is not None:
        call, age_s = view.call_inflight
        draw.one("exporter_call_inflight_seconds", age_s, pair("call", call))
    for tier, missed in view.ticks_missed.items():
        draw.one("exporter_ticks_missed_total", missed, pair("tier", tier))
    _draw_events(page, view, plan, draw)
    if view.recovery_action is not None:
        for number, action in enumerate(RECOVERY_ACTIONS):
            draw.one("recovery_action", number == view.recovery_action, f'action="{action}"')


def _draw_events(page: Page, view: DeviceView, plan: Plan, draw: "_Drawing") -> None:
    for code, xid in view.xids.items():
        label = f'xid="{"other" if code is None else code}"'
        draw.one("xid_last_seen_timestamp_seconds", xid.last_s, label)
        if view.events_heard:
            draw.one("xid_errors_total", xid.seen, label)
    if view.events_heard:
        for event, count in view.events.items():
            draw.one("events_total", count, pair("event", event))
    # 0 is known only of a device that can tell; events may be of its neighbours alone.
    last = view.xid_last
    none_is_known = last == 0 and view.events_heard and XID not in view.unsupported
    if last is not None and (last or none_is_known):
        for name, labels in plan.xids:
            page.put(name, labels.prefix(name, f'err_code="{last}"'), last)


def draw_values(page: Page, view: DeviceView, plan: Plan, look: Look) -> None:
    """Draw what the device says of itself; nothing unless it is fresh."""
    sample = view.sample
    if sample is None or view.state != "ok":
        return
    _draw_sample(page, sample, plan)
    _draw_sums(page, view, sample, plan)
    draw = _Drawing(page, plan, look)
    for family, peak in (
        ("power_peak_watts", view.power_peak_watts),
        ("busy_peak_ratio", view.busy_peak_ratio),
    ):
        if peak is not None:
            draw.one(family, peak)
    mask = sample.gauges.get(Gauge.CLOCKS_EVENT_REASONS)
    if mask is not None and isfinite(mask):
        for reason, bit in THROTTLE_BITS.items():
            draw.one("throttle_active", bool(int(mask) & bit), f'reason="{reason}"')
    fabric = sample.gauges.get(Gauge.FABRIC_STATE)
    if fabric is not None:
        for number, state in enumerate(FABRIC_STATES, 1):
            draw.one("fabric_state", number == fabric, f'state="{state}"')


def _draw_sums(page: Page, view: DeviceView, sample: Sample, plan: Plan) -> None:
    """Draw the sums that went on with this sample; others would stand still."""
    for line in plan.sums:
        if line.counter in sample.counters or line.total in sample.totals:
            value = 0.0
            if line.counter is not None:
                value += view.accumulated.get(line.counter, 0) / line.counter_divisor
            if line.total is not None:
                value += view.totals.get(line.total, 0) / line.total_divisor
            page.put(line.family, line.prefix, value)


def unsupported(view: DeviceView, look: Look, names: Mapping[str, str]) -> dict[str, str]:
    """Return the families that the device cannot tell, by name, with the reason.

    `names` are DCGM's families as they are shown, with their older name. A family is unsupported
    once nothing that it is made of can be had; memory in use needs all of it.
    """
    missing = view.unsupported
    if not view.events_heard and view.xid_last is not None:
        missing = {XID: "no_data", **missing}
    had: set[str] = set()
    if view.sample is not None:
        had = {*view.sample.gauges, *view.sample.counters, *view.sample.totals}
    own = {name: name for name in NEEDS if name.startswith(PREFIX)}
    found = dict.fromkeys(look.fields.unknown[:UNKNOWN_MAX], "backend")
    for name, key in (own | dict(names)).items():
        needs = NEEDS.get(key, ())
        reasons = [missing[need] for need in needs if need in missing]
        if reasons and name not in look.fields.hidden and not had.intersection(needs):
            found[name] = reasons[0]
        elif key == MEMORY_SHARE and Gauge.MEMORY_RESERVED_BYTES not in had:
            reserved = missing.get(Gauge.MEMORY_RESERVED_BYTES, "backend")
            if reserved != "backend":
                found[name] = reserved
    return found


class _Drawing:
    """Puts series of our own families about one device."""

    __slots__ = ("_look", "_page", "_plan")

    def __init__(self, page: Page, plan: Plan, look: Look) -> None:
        self._page = page
        self._plan = plan
        self._look = look

    def one(self, family: str, value: float, label: str = "") -> None:
        name = f"{PREFIX}{family}"
        if name not in self._look.fields.hidden:
            self._page.put(name, self._plan.own.prefix(name, label), value)


def _draw_sample(page: Page, sample: Sample, plan: Plan) -> None:
    put = page.put
    gauges, counters = sample.gauges, sample.counters
    for gauge in plan.gauges:
        value = gauges.get(gauge.quantity)
        if value is not None:
            put(gauge.family, gauge.prefix, value / gauge.divisor)
    for counter in plan.counters:
        count = counters.get(counter.quantity)
        if count is not None:
            put(counter.family, counter.prefix, count)
    ratio = memory_ratio(gauges, sample.unsupported)
    for name, prefix in plan.ratios if ratio is not None else ():
        put(name, prefix, ratio or 0)
    found = {instance.uuid: instance for instance in sample.instances}
    for one in plan.instances:
        instance = found.get(one.uuid)
        if instance is not None:
            _draw_instance(page, instance, one, sample.unsupported)


def _draw_instance(
    page: Page, instance: Instance, plan: InstancePlan, unsupported: Mapping[str, Reason]
) -> None:
    page.put(f"{PREFIX}instance_info", plan.info, 1)
    for line in plan.gauges:
        value = instance.gauges.get(line.quantity)
        if value is not None:
            page.put(line.family, line.prefix, value / line.divisor)
    ratio = memory_ratio(instance.gauges, unsupported)
    for name, prefix in plan.ratios if ratio is not None else ():
        page.put(name, prefix, ratio or 0)


def draw_devices(page: Page, counts: Mapping[str, int | None]) -> None:
    """Draw how many devices there are, by who says so."""
    for source, count in counts.items():
        if count is not None:
            name = f"{PREFIX}devices"
            page.put(name, NONE.prefix(name, f'source="{source}"'), count)
