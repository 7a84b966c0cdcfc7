"""Pieces of SVG: any text stays text, scales stay between their ends."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.proof.svg import Scale, curve, label, page, shown

NAMESPACE = "{http://www.w3.org/2000/svg}"


@given(st.text())
def test_any_text_is_text_and_the_file_is_xml(text: str) -> None:
    root = ET.fromstring(page(10, 10, text, [label(1, 2, text, class_=text)]))
    assert {one.tag for one in root.iter()} == {
        NAMESPACE + tag for tag in ("svg", "title", "style", "rect", "text")
    }


def test_hostile_text_ends_no_element() -> None:
    text = '</text><script>alert(1)</script>"&\x00\ud800'
    written = label(1, 2, text, fill=text)
    assert "<script" not in written
    assert "\x00" not in written
    assert ET.fromstring(written).text == '</text><script>alert(1)</script>"&��'


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (1.26, "1.3"), (-0.5, "-0.5")])
def test_lengths_have_a_tenth_at_most(value: float, text: str) -> None:
    assert shown(value) == text


def test_a_scale_goes_from_end_to_end() -> None:
    linear = Scale(0, 10, 100, 0)
    assert [linear(value) for value in (-1, 0, 5, 10, 11)] == [100, 100, 50, 0, 0]
    logarithmic = Scale(0.1, 100, 0, 30, logarithmic=True)
    assert [round(logarithmic(value), 6) for value in (0, 0.1, 1, 10, 100, 1e9)] == [
        0, 0, 10, 20, 30, 30,
    ]  # fmt: skip


def test_a_curve_has_one_of_the_colours() -> None:
    written = curve([(1, 2), (3.25, 4)], 9)
    assert 'points="1,2 3.2,4"' in written
    assert "var(--c1)" in written
    assert "dash" not in written
    assert "stroke-dasharray" in curve([(1, 2)], 0, dashed=True)
