"""What is written as YAML is read as the same data: by PyYAML (1.1) and by our own reader."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.yaml_text import Data, document, scalar

# What YAML 1.1 or 1.2 takes for something else, or cannot hold without an escape.
TRAPS = [
    *("", "yes", "No", "y", "null", "~", "1", "0x1F", "1e3", "1_000", "012", "1:30", ".inf", "1m"),
    *("---", "- a", "a: b", "a #b", "a\nb", "a\n b", " a\nb", "a\n", "{{ x }}", "=", "<<", "!x"),
    *("2026-11-24", "\x85", "\u2028", "\ufeff", "\ufffe", "\uffff", "😀", '"} or vector(1) #'),
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("ab \n\"\\'#:-{}[]&*!|>%@`,?~0", max_size=12),
    st.sampled_from(TRAPS),
)
data = st.recursive(
    texts | st.booleans() | st.integers(-(2**40), 2**40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.req("SC-02")
@given(st.dictionaries(texts, data, max_size=4))
def test_every_reader_gets_back_what_was_written(value: dict[str, Any]) -> None:
    written = document(value)
    assert yaml.safe_load(written) == value
    assert list(yaml.safe_load(written)) == list(value)


def test_a_lone_surrogate_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        scalar("\ud800")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("inferometer:slo_info", "inferometer:slo_info"),
        ("5m", "5m"),
        ("99", '"99"'),
        ("no", '"no"'),
        ("a b", '"a b"'),
        ("\x1b\n\u2028é", '"\\x1b\\n\\u2028é"'),
    ],
)
def test_a_text_is_quoted_where_it_could_be_something_else(text: str, written: str) -> None:
    assert scalar(text) == written


def test_the_shape_is_that_of_files_that_people_read() -> None:
    value: dict[str, Data] = {
        "groups": [{"name": "g", "rules": [{"expr": 'a\nand b{x="1"}', "labels": {}}, {}]}, "x"],
        "none": [],
        "count": 1,
    }
    assert document(value) == (
        "groups:\n"
        "  - name: g\n"
        "    rules:\n"
        "      - expr: |-\n"
        "          a\n"
        '          and b{x="1"}\n'
        "        labels: {}\n"
        "      - {}\n"
        "  - x\n"
        "none: []\n"
        "count: 1\n"
    )


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), places=9))
def test_a_decimal_is_written_exactly_and_without_an_exponent(number: Decimal) -> None:
    written = document({"number": number}).removeprefix("number: ").rstrip()
    assert Decimal(written) == number
    assert set(written) <= set("-.0123456789")


def test_a_moment_is_a_timestamp_of_yaml() -> None:
    moment = datetime(2024, 1, 1, 12, 30, tzinfo=UTC)
    written = document({"at": moment})
    assert written == "at: 2024-01-01 12:30:00\n"
    assert yaml.safe_load(written) == {"at": moment.replace(tzinfo=None)}
