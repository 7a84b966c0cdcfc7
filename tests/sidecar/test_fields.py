"""Rules of looking up header fields where they stand."""

from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.fields import NO_FIELDS, Fields

LINES = Fields(b"Host: h\r\nRetry-AFTER:1\r\nX-Host: no\r\nretry-after: \t2 \r\nEmpty:\r\n")


def test_a_field_is_found_however_its_name_is_written() -> None:
    assert b"retry-after" in LINES
    assert b"host" in LINES
    assert b"after" not in LINES
    assert b"content-encoding" not in LINES
    assert b"host" not in NO_FIELDS


def test_values_come_in_order_and_without_outer_white_space() -> None:
    assert LINES.values(b"retry-after") == [b"1", b"2"]
    assert LINES.values(b"host") == [b"h"]
    assert LINES.values(b"empty") == [b""]
    assert LINES.values(b"after") == []
    assert NO_FIELDS.values(b"host") == []


def test_the_same_lines_are_the_same_fields() -> None:
    assert Fields(LINES.block) == LINES
    assert len({Fields(LINES.block), LINES, NO_FIELDS}) == 2
    assert NO_FIELDS != b""


NAMES = st.sampled_from([b"a", b"A", b"aa", b"b", b"a-b", b"B"])
VALUES = st.text("aB:\xe9 \t", max_size=6).map(lambda text: text.encode("latin-1"))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_a_look_up_finds_what_reading_all_lines_finds(fields: list[tuple[bytes, bytes]]) -> None:
    lines = Fields.of(fields)
    assert [*lines] == [(name, value.strip(b" \t")) for name, value in fields]
    for wanted in (b"a", b"aa", b"b", b"a-b", b"c"):
        values = [value for name, value in lines if name.lower() == wanted]
        assert lines.values(wanted) == values
        assert (wanted in lines) == bool(values)
