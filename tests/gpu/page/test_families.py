from inferometer.gpu.page.families import (
    IMPORTANCE,
    LAST_XID,
    MEMORY_SHARE,
    NEEDS,
    OF_COUNTERS,
    OF_SAMPLE,
    OF_TOTALS,
    OPTIONAL,
    OWN,
    PREFIX,
    SHOWN,
    memory_ratio,
)
from inferometer.gpu.quantities import XID, Counter, Gauge, Total
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.dcgm import FAMILIES


def test_every_family_of_dcgm_has_its_quantity() -> None:
    assert {f.classic for f in FAMILIES} == {*SHOWN, LAST_XID, MEMORY_SHARE}


def test_every_quantity_is_shown_somewhere() -> None:
    parts = (*OF_SAMPLE, *OF_TOTALS, *OF_COUNTERS)
    shown = {
        (type(q), q)
        for q in (*(s.quantity for s in SHOWN.values()), *(part.shown.quantity for part in parts))
    }
    elsewhere = {
        (Gauge, Gauge.FABRIC_STATE),  # one-hot
        (Total, Total.OBSERVED_NS),  # what shares are shares of
    }
    known = {(type(q), q) for kind in (Gauge, Counter, Total) for q in kind}
    assert known - shown - elsewhere == set()


def test_every_part_is_a_family_of_the_catalogue_with_its_labels() -> None:
    for part in (*OF_SAMPLE, *OF_TOTALS, *OF_COUNTERS):
        metric = METRICS[f"{PREFIX}{part.family}"]
        pairs = dict(pair.split("=") for pair in part.label.split(",") if pair)
        assert ("gpu", "UUID", *pairs) == metric.labels
        for domain in metric.domains[2:]:
            assert pairs[domain.name].strip('"') in domain.values


def test_counters_of_ours_come_from_sums_and_of_dcgm_from_the_driver() -> None:
    assert not [part for part in OF_TOTALS if not isinstance(part.shown.quantity, Total)]
    assert not [part for part in OF_COUNTERS if not isinstance(part.shown.quantity, Counter)]
    assert not [name for name, shown in SHOWN.items() if isinstance(shown.quantity, Total)]


def test_memory_in_use_is_a_share_of_what_is_not_reserved() -> None:
    gauges = {
        Gauge.MEMORY_USED_BYTES: 30.0,
        Gauge.MEMORY_TOTAL_BYTES: 80.0,
        Gauge.MEMORY_RESERVED_BYTES: 20.0,
    }
    assert memory_ratio(gauges) == 0.5
    unreserved = {Gauge.MEMORY_USED_BYTES: 40.0, Gauge.MEMORY_TOTAL_BYTES: 80.0}
    assert memory_ratio(unreserved, {"memory_reserved_bytes": "backend"}) == 0.5
    assert memory_ratio(unreserved, {"memory_reserved_bytes": "version_mismatch"}) is None
    assert memory_ratio(unreserved) is None
    assert memory_ratio({Gauge.MEMORY_TOTAL_BYTES: 80.0}) is None
    assert memory_ratio({Gauge.MEMORY_USED_BYTES: 1.0}) is None
    assert memory_ratio({Gauge.MEMORY_USED_BYTES: 1.0, Gauge.MEMORY_TOTAL_BYTES: 0.0}) is None


def test_states_outlive_shares_on_a_page_that_is_too_long() -> None:
    assert IMPORTANCE["inferometer_gpu_up"] < IMPORTANCE["DCGM_FI_DEV_GPU_UTIL"]
    assert IMPORTANCE["DCGM_FI_DEV_GPU_UTIL"] < IMPORTANCE["DCGM_FI_DEV_PSTATE"]
    assert IMPORTANCE["DCGM_FI_DEV_PSTATE"] < IMPORTANCE["inferometer_gpu_share_seconds_total"]


def test_what_families_need_is_known() -> None:
    names = {str(q) for kind in (Gauge, Counter, Total) for q in kind}
    assert {need for needs in NEEDS.values() for need in needs} <= names | {XID}
    assert set(NEEDS) <= OWN | {f.classic for f in FAMILIES}
    assert OPTIONAL < OWN
