import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.dcgm.binding import Value
from inferometer.gpu.dcgm.fields import FIELDS
from inferometer.gpu.dcgm.readings import (
    AGE_MAX_S,
    STATUS_WORDS,
    sources,
    take,
    total_reasons,
    unsupported,
)
from inferometer.gpu.quantities import Gauge, Total

GPU = (1, 0)
NOW_US = 1_700_000_000_000_000

ANYTHING = st.floats() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=5) | st.none()


@pytest.mark.req("GX-04")
@given(
    st.lists(
        st.builds(
            Value,
            st.just(GPU),
            st.sampled_from([field.number for field in FIELDS]) | st.integers(0, 65535),
            st.sampled_from([0, 0, 0, *STATUS_WORDS]),
            st.integers(NOW_US - 10**8, NOW_US + 10**8),
            ANYTHING,
        ),
        max_size=30,
    )
)
def test_any_values_make_a_reading_without_blanks_or_old_ones(values: list[Value]) -> None:
    for taken in take(values, now_us=NOW_US).values():
        for value in (*taken.gauges.values(), *taken.counters.values()):
            assert 0 <= abs(value) < 0x7FFFFFFFFFFFFFF0 * (1 << 20)
        assert set(taken.gauges) == set(taken.moments_ns)
        for moment_ns in taken.moments_ns.values():
            assert abs(moment_ns // 1000 - NOW_US) <= max(AGE_MAX_S.values()) * 1e6


def test_a_field_that_we_do_not_know_is_left_out() -> None:
    assert take([Value(GPU, 3, 0, NOW_US, 5)], now_us=NOW_US) == {}


def test_without_any_source_there_is_no_busy_time() -> None:
    reasons = {
        str(Gauge.GRAPHICS_ENGINE_RATIO): "architecture",
        str(Gauge.UTILIZATION_PERCENT): "mig_mode",
    }
    assert Total.BUSY_NS not in {source.total for source in sources(reasons)}  # type: ignore[arg-type]
    assert total_reasons(reasons)[Total.OBSERVED_NS] == "architecture"  # type: ignore[arg-type]


def test_values_of_fields_that_the_device_does_not_have_say_why() -> None:
    values = [Value(GPU, field.number, 0, NOW_US, None) for field in FIELDS]
    taken = take(values, now_us=NOW_US)[GPU]
    assert set(taken.reasons.values()) == {"no_data"}
    assert unsupported(taken, {1006: -99}, mig=False)["fp64_ratio"] == "not_supported"
    assert "sm_ratio" not in unsupported(taken, {}, mig=False), "its second period is to come"
