from dataclasses import replace

from inferometer.gpu.fake.scenario import Scenario
from inferometer.gpu.page.draw import draw_devices, draw_status, draw_values, unsupported
from inferometer.gpu.page.fields import UNKNOWN_MAX, default, read
from inferometer.gpu.page.names import Fixed, HolderLabels
from inferometer.gpu.page.page import Dropped, Head, Page, catalogued
from inferometer.gpu.page.plan import Look, Subject, make
from inferometer.gpu.quantities import Gauge, Total
from inferometer.gpu.sample import DeviceView, Xid
from inferometer.metrics.catalog import METRICS
from support.gpu_views import Machine
from support.samples import Samples

LOOK = Look(default(), "classic", Fixed("n"))
HEADS = {name: catalogued(name) for name in METRICS}
G = "inferometer_gpu_"


def device(**changes: object) -> DeviceView:
    machine = Machine(Scenario(devices=1))
    machine.age_s = 10.0
    return replace(machine.views()[0], **changes)  # type: ignore[arg-type]


def drawn(view: DeviceView, look: Look = LOOK) -> Samples:
    plan = make(Subject(view.identity, HolderLabels()), look, look.families)
    page = Page(Dropped())
    draw_status(page, view, plan, look)
    draw_values(page, view, plan, look)
    heads: dict[str, Head] = dict(HEADS)
    return Samples(page.text(heads, {}).decode())


def with_gauge(gauge: Gauge, value: float | None) -> DeviceView:
    view = device()
    assert view.sample is not None
    gauges = {name: known for name, known in view.sample.gauges.items() if name is not gauge}
    gauges |= {} if value is None else {gauge: value}
    return replace(view, sample=replace(view.sample, gauges=gauges))


def test_bits_of_the_mask_are_reasons() -> None:
    page = drawn(with_gauge(Gauge.CLOCKS_EVENT_REASONS, 4 + 128))
    active = {labels["reason"] for labels, value in page.find(f"{G}throttle_active") if value == 1}
    assert active == {"sw_power_cap", "hw_power_brake"}
    assert len(page.find(f"{G}throttle_active")) == 9


def test_numbers_of_states_become_words() -> None:
    page = drawn(with_gauge(Gauge.FABRIC_STATE, 2))
    assert page.value(f"{G}fabric_state", state="in_progress") == 1
    assert page.total(f"{G}fabric_state") == 1
    page = drawn(device(recovery_action=4))
    assert page.value(f"{G}recovery_action", action="drain_and_reset") == 1
    assert page.total(f"{G}recovery_action") == 1


def test_what_is_not_known_is_absent() -> None:
    page = drawn(with_gauge(Gauge.CLOCKS_EVENT_REASONS, None))
    assert page.find(f"{G}throttle_active") == []
    page = drawn(with_gauge(Gauge.FABRIC_STATE, None))
    assert page.find(f"{G}fabric_state") == []
    page = drawn(
        device(
            recovery_action=None,
            power_peak_watts=None,
            busy_peak_ratio=None,
            last_sample_s=None,
            xid_last=None,
        )
    )
    for name in (
        "recovery_action",
        "power_peak_watts",
        "busy_peak_ratio",
        "last_sample_timestamp_seconds",
    ):
        assert page.find(f"{G}{name}") == []
    assert page.find("DCGM_FI_DEV_XID_ERRORS") == []


def test_the_share_of_memory_in_use_needs_all_of_it() -> None:
    fields = read(b"DCGM_FI_DEV_FB_USED_PERCENT, gauge, x\n", "f.csv")
    look = replace(LOOK, fields=fields)
    assert drawn(device(), look).total("DCGM_FI_DEV_FB_USED_PERCENT") > 0
    page = drawn(with_gauge(Gauge.MEMORY_TOTAL_BYTES, None), look)
    assert page.find("DCGM_FI_DEV_FB_USED_PERCENT") == []


def test_codes_beyond_the_bound_are_other_and_events_are_counted() -> None:
    page = drawn(
        device(xids={None: Xid(3, 5.0), 79: Xid(1, 6.0)}, events={"ecc_dbe": 2}, xid_last=79)
    )
    assert page.value(f"{G}xid_errors_total", xid="other") == 3
    assert page.value(f"{G}xid_last_seen_timestamp_seconds", xid="79") == 6
    assert page.value(f"{G}events_total", event="ecc_dbe") == 2


def test_no_xid_is_known_only_of_a_device_that_has_such_events() -> None:
    deaf = device(xid_last=0, unsupported={"xid": "not_supported"})
    assert drawn(device(xid_last=0)).value("DCGM_FI_DEV_XID_ERRORS") == 0
    assert drawn(deaf).find("DCGM_FI_DEV_XID_ERRORS") == []
    assert drawn(replace(deaf, xid_last=79)).value("DCGM_FI_DEV_XID_ERRORS") == 79
    names = {one.name: one.family.classic for one in LOOK.families}
    found = unsupported(deaf, LOOK, names)
    assert found["DCGM_FI_DEV_XID_ERRORS"] == found[f"{G}xid_errors_total"] == "not_supported"


def test_the_last_xid_has_no_more_than_twelve_labels() -> None:
    rows = ["DCGM_FI_DEV_XID_ERRORS, gauge, x"]
    rows += [f"{name}, label, x" for name in ("DCGM_FI_DRIVER_VERSION", "DCGM_FI_DEV_SERIAL")]
    fields = read("\n".join(rows).encode(), "x.csv")
    look = Look(fields, "classic", Fixed("n", fields.labels))
    view = device(xid_last=31)
    owners = HolderLabels("ns", "pod", "container", "job")
    page = Page(Dropped())
    draw_status(page, view, make(Subject(view.identity, owners), look, look.families), look)
    heads = {one.name: Head(one.name, one.kind, one.help) for one in look.families}
    ((labels, value),) = Samples(page.text(heads, {}).decode()).find("DCGM_FI_DEV_XID_ERRORS")
    assert (labels["err_code"], value, len(labels)) == ("31", 31, 12)


def test_a_family_is_unsupported_once_nothing_of_it_can_be_had() -> None:
    names = {"DCGM_FI_DEV_FAN_SPEED": "DCGM_FI_DEV_FAN_SPEED"}
    view = device(unsupported={"fan_percent": "not_supported"})
    assert unsupported(view, LOOK, names) == {"DCGM_FI_DEV_FAN_SPEED": "not_supported"}
    in_part = device(unsupported={"memory_reserved_bytes": "version_mismatch"})
    assert f"{G}memory_bytes" not in unsupported(in_part, LOOK, {})
    assert unsupported(device(unsupported={}), LOOK, names) == {}


def test_a_field_that_nobody_knows_is_unsupported_by_the_backend() -> None:
    look = replace(LOOK, fields=replace(default(), unknown=("DCGM_FI_DEV_BRAND",)))
    assert unsupported(device(unsupported={}), look, {}) == {"DCGM_FI_DEV_BRAND": "backend"}


def test_devices_are_counted_by_who_says_so() -> None:
    page = Page(Dropped())
    draw_devices(page, {"pci": None, "driver": 8, "up": 7})
    read_back = Samples(page.text(HEADS, {}).decode())
    assert read_back.value(f"{G}devices", source="up") == 7
    assert read_back.find(f"{G}devices", source="pci") == []


def test_a_sum_whose_source_is_silent_is_absent_and_goes_on_later() -> None:
    view = device()
    assert view.sample is not None
    links = ("pcie_bytes", "nvlink_bytes")
    names = ("busy_seconds", "engine_active_seconds", "energy_joules", "throttled_seconds", *links)
    silent = replace(view, sample=replace(view.sample, counters={}, totals={}))
    shown, hidden = drawn(view), drawn(silent)
    for name in names:
        assert shown.find(f"{G}{name}_total") != []
        assert hidden.find(f"{G}{name}_total") == []
    assert hidden.value(f"{G}up") == 1


def test_only_the_sum_that_is_not_told_is_absent() -> None:
    view = device()
    assert view.sample is not None
    totals = dict(view.sample.totals)
    del totals[Total.TENSOR_ACTIVE_NS]
    page = drawn(replace(view, sample=replace(view.sample, totals=totals)))
    engines = page.labels(f"{G}engine_active_seconds_total", "engine")
    assert "tensor" not in engines
    assert "sm" in engines


def test_what_might_pass_unheard_is_not_counted_as_none() -> None:
    seen = {31: Xid(2, 5.0)}
    for last, xids in ((0, {}), (31, seen)):
        view = device(xid_last=last, xids=xids, events={"ecc_sbe": 1}, events_heard=False)
        page = drawn(view)
        assert page.find(f"{G}xid_errors_total") == page.find(f"{G}events_total") == []
        assert [v for _, v in page.find("DCGM_FI_DEV_XID_ERRORS")] == ([last] if last else [])
        assert len(page.find(f"{G}xid_last_seen_timestamp_seconds")) == len(xids)
        assert unsupported(view, LOOK, {})[f"{G}xid_errors_total"] == "no_data"
    never = device(xid_last=None, events_heard=False, unsupported={})
    assert unsupported(never, LOOK, {}) == {}, "that it begins to listen takes a moment"


def test_memory_in_use_has_a_reason_where_what_is_reserved_is_unknown() -> None:
    name = "DCGM_FI_DEV_FB_USED_PERCENT"
    look = replace(LOOK, fields=read(f"{name}, gauge, x\n".encode(), "f.csv"))
    view = with_gauge(Gauge.MEMORY_RESERVED_BYTES, None)
    assert view.sample is not None
    for reason, told in (("version_mismatch", {name: "version_mismatch"}), ("backend", {})):
        why = {"memory_reserved_bytes": reason}
        sample = replace(view.sample, unsupported=why)  # type: ignore[arg-type]
        old = replace(view, sample=sample, unsupported=why)  # type: ignore[arg-type]
        assert unsupported(old, look, {name: name}) == told
        assert (drawn(old, look).find(name) == []) == bool(told)


def test_unknown_fields_have_a_bounded_number_of_series() -> None:
    unknown = tuple(f"DCGM_FI_DEV_NOBODY_{n}" for n in range(3000))
    look = replace(LOOK, fields=replace(default(), unknown=unknown))
    found = unsupported(device(unsupported={}), look, {})
    assert list(found) == list(unknown[:UNKNOWN_MAX])
