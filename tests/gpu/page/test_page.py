from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.page.page import (
    LABELS_MAX,
    NONE,
    PREFIXES_MAX,
    SERIES_MAX,
    Dropped,
    Head,
    Labels,
    Page,
    Templates,
    catalogued,
)
from inferometer.metrics.reader import parse

HEADS = {name: Head(name, "gauge", "Help.") for name in ("a", "b", "c")}
RANKS = {"a": 0, "b": 1}


def written(page: Page) -> str:
    return page.text(HEADS, RANKS).decode()


def test_families_come_in_the_order_of_heads_with_their_series_together() -> None:
    page = Page(Dropped())
    one, two = Labels([("gpu", "0")]), Labels([("gpu", "1")])
    page.put("b", two.prefix("b"), 2)
    page.put("a", one.prefix("a"), 1.5)
    page.put("b", one.prefix("b"), 1.0)
    assert written(page) == (
        "# HELP a Help.\n# TYPE a gauge\n"
        'a{gpu="0"} 1.5\n'
        "# HELP b Help.\n# TYPE b gauge\n"
        'b{gpu="1"} 2\nb{gpu="0"} 1\n'
    )


def test_a_family_without_series_is_not_there() -> None:
    assert written(Page(Dropped())) == ""


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_no_series(value: float) -> None:
    page = Page(Dropped())
    page.put("a", NONE.prefix("a"), value)
    assert written(page) == ""


def test_the_second_of_two_equal_series_is_dropped_and_counted() -> None:
    dropped = Dropped()
    page = Page(dropped)
    for value in (1, 2):
        page.put("a", NONE.prefix("a", 'x="1"'), value)
        page.put_histogram("b", "", (0.5,), ((1, 2), 3.0))
    assert written(page).count("\na{") == 1
    assert written(page).count("b_count 3\n") == 1
    assert dropped.duplicate == 2


def test_a_histogram_is_cumulative_and_ends_with_its_count() -> None:
    page = Page(Dropped())
    page.put_histogram("a", 'call="x"', (0.5, 1.0), ((1, 2, 3), 4.5))
    assert written(page).splitlines()[2:] == [
        'a_bucket{call="x",le="0.5"} 1',
        'a_bucket{call="x",le="1.0"} 3',
        'a_bucket{call="x",le="+Inf"} 6',
        'a_sum{call="x"} 4.5',
        'a_count{call="x"} 6',
    ]


def test_texts_of_histograms_are_kept_within_a_bound() -> None:
    templates = Templates()
    texts = {templates.of("a", f'x="{n}%d"', (0.5,)) for n in range(3 * PREFIXES_MAX)}
    assert len(texts) == 3 * PREFIXES_MAX
    assert len(templates._texts) <= PREFIXES_MAX
    page = Page(Dropped(), templates)
    page.put_histogram("a", 'x="7%d"', (0.5,), ((1, 1), 2.0))
    assert 'a_bucket{x="7%d",le="+Inf"} 2\n' in written(page)


def test_a_page_that_is_too_long_loses_whole_families_least_important_first() -> None:
    dropped = Dropped()
    page = Page(dropped)
    labels = [Labels([("n", str(number))]) for number in range(SERIES_MAX)]
    for one in labels[:10]:
        page.put("a", one.prefix("a"), 1)
        page.put("c", one.prefix("c"), 1)
    for one in labels[: SERIES_MAX - 5]:
        page.put("b", one.prefix("b"), 1)
    samples = parse(written(page).encode()).samples
    assert {sample.name for sample in samples} == {"a"}
    assert dropped.limit == 10 + SERIES_MAX - 5


def test_a_page_at_the_limit_is_whole() -> None:
    dropped = Dropped()
    page = Page(dropped)
    for number in range(SERIES_MAX - 4):
        page.put("a", NONE.prefix("a", f'n="{number}"'), 1)
    page.put_histogram("b", "", (0.5,), ((1, 2), 3.0))
    assert len(parse(written(page).encode()).samples) == SERIES_MAX
    assert dropped.limit == 0


def test_labels_without_a_value_and_beyond_twelve_are_left_out() -> None:
    labels = Labels([("empty", ""), *((f"l{n}", str(n)) for n in range(20))])
    assert labels.count == LABELS_MAX
    assert "empty" not in labels.text


def test_texts_of_series_are_kept_within_a_bound() -> None:
    labels = Labels([("gpu", "0")])
    texts = {labels.prefix("a", f'x="{n}"') for n in range(3 * PREFIXES_MAX)}
    assert len(texts) == 3 * PREFIXES_MAX
    assert len(labels._prefixes) <= PREFIXES_MAX


def test_help_is_escaped() -> None:
    assert Head("a", "gauge", "x\\y\nz").text == "# HELP a x\\\\y\\nz\n# TYPE a gauge\n"
    assert "# TYPE inferometer_gpu_up gauge\n" in catalogued("inferometer_gpu_up").text


@given(
    st.dictionaries(
        st.sampled_from([f"l{n}" for n in range(14)]), st.text(max_size=40), max_size=14
    ),
    st.floats(min_value=-1e300, max_value=1e300),
)
def test_whatever_labels_hold_the_text_parses_back(values: dict[str, str], number: float) -> None:
    page = Page(Dropped())
    labels = Labels(values.items())
    page.put("a", labels.prefix("a"), number)
    read = parse(written(page).encode())
    assert read.skipped == 0
    (sample,) = read.samples
    assert sample.value == pytest.approx(number, rel=1e-14)
    assert len(sample.labels) == labels.count <= LABELS_MAX
