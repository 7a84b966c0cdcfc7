from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.deadlines import NOTHING, TPOT, TTFT, Asked, read, rejected, within

MS = 1_000_000


def fields(*pairs: tuple[str, str]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        found.setdefault(name.encode(), []).append(value.encode())
    return found


def asked(*pairs: tuple[str, str], ttft: str | None = TTFT, tpot: str | None = TPOT) -> Asked:
    found = fields(*pairs)

    def values(name: bytes) -> Sequence[bytes]:
        return found.get(name, [])

    return read(ttft, tpot, values)


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        ("250", 250 * MS),
        ("0250", 250 * MS),
        ("62.5", 62_500_000),
        ("0.000001", 1),
        ("1.0000019", MS + 1),
        ("999999999999", 999_999_999_999 * MS),
    ],
)
def test_a_value_is_milliseconds(value: str, ns: int) -> None:
    assert asked((TTFT, value)) == Asked(ttft_ns=ns)
    assert asked((TPOT, value)) == Asked(tpot_ns=ns)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "0",
        "0.0",
        "-1",
        "+1",
        "1e3",
        "nan",
        "inf",
        "0x10",
        "1_0",
        "1,5",
        ".5",
        "5.",
        "250ms",
        "250, 300",
        "٢٥٠",
        "1000000000000",
        "9" * 10_000,
        "1.5\n",
        "\x00",
    ],
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(value: str) -> None:
    assert asked((TTFT, value), (TPOT, value)) == NOTHING


@given(st.lists(st.binary(max_size=40), max_size=3))
def test_no_bytes_make_a_deadline_that_is_none(found: list[bytes]) -> None:
    (ttft_ns, tpot_ns) = read(TTFT, TPOT, lambda _: found)
    assert ttft_ns == tpot_ns
    assert ttft_ns is None or 0 < ttft_ns < 10**18


def test_a_field_that_is_there_twice_says_nothing() -> None:
    assert asked((TTFT, "250"), (TTFT, "250")) == NOTHING
    assert asked((TTFT, "250"), (TTFT, "900"), (TPOT, "20")) == Asked(tpot_ns=20 * MS)


def test_both_spellings_are_read_and_the_one_that_is_named_wins() -> None:
    other = "x-slo-ttft-ms"
    assert asked((other, "250")) == Asked(250 * MS)
    assert asked((TTFT, "250"), ttft=other) == Asked(250 * MS)
    assert asked((TTFT, "250"), (other, "900")) == Asked(250 * MS)
    assert asked((TTFT, "250"), (other, "900"), ttft=other) == Asked(900 * MS)
    assert asked((TTFT, "soon"), (other, "900")) == NOTHING
    assert asked(("x-slo-tpot-ms", "20")) == Asked(tpot_ns=20 * MS)
    assert asked((TPOT, "20"), tpot="x-slo-tpot-ms") == Asked(tpot_ns=20 * MS)


def test_a_header_of_ones_own_has_one_spelling() -> None:
    assert asked(("x-mine", "250"), ttft="x-mine") == Asked(250 * MS)
    assert asked((TTFT, "250"), ttft="x-mine") == NOTHING


def test_a_header_that_is_not_named_is_not_read() -> None:
    assert asked((TTFT, "250"), (TPOT, "20"), tpot=None) == Asked(250 * MS)
    assert asked((TTFT, "250"), (TPOT, "20"), ttft=None) == Asked(tpot_ns=20 * MS)


@pytest.mark.parametrize(
    ("value", "given"),
    [(249, 250), (250, 250), (251, 251), (1999, 1999), (2000, 2000), (2001, 2000), (1, 250)],
)
def test_a_deadline_stays_within_the_clamp_and_its_ends_belong_to_it(
    value: int, given: int
) -> None:
    assert within(value * MS, 500 * MS, (Decimal("0.5"), Decimal(4))) == given * MS


@given(
    st.integers(1, 10**18),
    st.integers(MS, 10**14),
    st.decimals("0.01", 100, places=3),
    st.decimals("0.01", 100, places=3),
)
def test_nobody_gets_more_or_less_than_the_clamp_allows(
    value: int, own: int, one: Decimal, other: Decimal
) -> None:
    low, high = sorted((one, other))
    found = within(value, own, (low, high))
    least, most = Fraction(low) * own, Fraction(high) * own
    assert found <= most
    assert found > least - 1
    if least <= value <= most:
        assert found == value


def test_headers_that_are_there_and_cannot_be_read_are_counted_once_each() -> None:
    found = fields((TTFT, "soon"), (TPOT, "20"), ("x-two", "1"), ("x-two", "2"), ("x-own", "0"))

    def values(name: bytes) -> Sequence[bytes]:
        return found.get(name, [])

    assert rejected([TTFT, TTFT], values) == 1
    assert rejected([TPOT, "x-none"], values) == 0
    assert rejected([TTFT, TPOT, "x-two", "x-own", "x-none"], values) == 3
    assert rejected([], values) == 0
