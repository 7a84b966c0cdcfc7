import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.dcgm.fields import BY_NUMBER, FIELDS, absent, blank, plausible, scaled
from inferometer.gpu.dcgm.session import architecture
from inferometer.gpu.quantities import Gauge


def test_each_field_and_each_quantity_is_there_once() -> None:
    assert len(BY_NUMBER) == len(FIELDS)
    assert len({field.quantity for field in FIELDS}) == len(FIELDS)
    assert len({field.name for field in FIELDS}) == len(FIELDS)


@pytest.mark.req("GX-04")
@given(st.integers(0, 15))
def test_sixteen_integers_and_all_doubles_from_the_first_blank_are_blank(offset: int) -> None:
    assert blank(0x7FFFFFF0 + offset) is not None
    assert blank(0x7FFFFFFFFFFFFFF0 + offset) is not None
    assert blank(2.0**47 + offset) is not None
    assert blank(0x7FFFFFEF) is None
    assert blank(0x80000000) is None
    assert blank(0x7FFFFFFFFFFFFFEF) is None
    assert blank(math.nextafter(2.0**47, 0)) is None


@given(st.sampled_from(FIELDS), st.floats() | st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_plausible_value_is_finite_and_within_its_bounds(field: object, value: float) -> None:
    assert field in FIELDS
    one = next(known for known in FIELDS if known == field)
    if plausible(one, value) and not blank(value):
        result = scaled(one, value)
        assert math.isfinite(result)
        if one.quantity.endswith("_ratio"):
            assert 0 <= result <= 1


@pytest.mark.parametrize(
    ("number", "value", "can_be"),
    [
        (150, -5, True),
        (1002, 1.004, True),
        (1002, 1.1, False),
        (203, 100.4, True),
        (203, 101, False),
        (191, 120, True),
        (190, 16, False),
        (1523, 8, False),
        (155, -0.1, False),
    ],
)
def test_what_can_be_depends_on_the_unit(number: int, value: float, *, can_be: bool) -> None:
    assert plausible(BY_NUMBER[number], value) is can_be


def test_a_share_that_rounding_put_above_one_is_one() -> None:
    assert scaled(BY_NUMBER[1002], 1.004) == 1
    assert scaled(BY_NUMBER[203], 100.4) == 100


@pytest.mark.parametrize(("value", "none"), [(0, True), (1, False), (3, False), (4, True)])
def test_only_states_of_the_fabric_that_nvml_has_are_states(value: int, *, none: bool) -> None:
    fabric = BY_NUMBER[170]
    assert fabric.quantity is Gauge.FABRIC_STATE
    assert absent(fabric, value) is none


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ((3, 5), ""),
        ((6, 1), "Pascal"),
        ((7, 0), "Volta"),
        ((7, 5), "Turing"),
        ((8, 6), "Ampere"),
        ((8, 9), "Ada"),
        ((9, 0), "Hopper"),
        ((12, 0), "Blackwell"),
        ((13, 0), ""),
    ],
)
def test_an_architecture_is_known_by_its_compute_capability(
    capability: tuple[int, int], name: str
) -> None:
    assert architecture(capability[0] << 16 | capability[1]) == name
