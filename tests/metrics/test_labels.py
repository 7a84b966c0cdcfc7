import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics.catalog import METRICS, NAMES_MAX
from inferometer.metrics.cells import Counter
from inferometer.metrics.exposition import TEXT, Family, template, write
from inferometer.metrics.labels import (
    FREE_NAMES_MAX,
    INPUT_MAX,
    VALUE_BYTES_MAX,
    Names,
    clean,
    code,
)
from support.samples import Samples, promtool_complaints

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
METRIC = METRICS["inferometer_client_stall_seconds_total"]


class Page:
    """A page with one counter for each of some models."""

    def __init__(self, models: list[str]) -> None:
        self.models = models

    def families(self) -> list[Family]:
        cells = tuple(Counter(template(METRIC, ("sidecar", model))) for model in self.models)
        return [Family(METRIC, cells)]


@given(ANY_TEXT | st.binary(max_size=300))
def test_a_clean_value_is_short_valid_and_without_control_characters(text: str | bytes) -> None:
    value = clean(text)
    assert len(value.encode("utf-8")) <= VALUE_BYTES_MAX
    assert not [c for c in value if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]


@given(ANY_TEXT | st.binary(max_size=300))
def test_cleaning_twice_changes_nothing(text: str | bytes) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=32))
def test_a_short_legal_name_stays_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert clean(text.encode()) == text


def test_a_long_value_is_cut_on_the_boundary_of_a_character() -> None:
    assert clean("a" + "é" * 100) == "a" + "é" * 63
    assert clean("x" * 500) == "x" * VALUE_BYTES_MAX


def test_surrogates_and_broken_bytes_are_replaced() -> None:
    assert clean("a\ud800b") == "a?b"
    assert clean(b"a\xffb") == "a\ufffdb"


def test_a_flood_of_control_characters_is_not_read_to_its_end() -> None:
    assert clean("\0" * INPUT_MAX + "name") == ""
    assert clean(b"\0" * INPUT_MAX + b"name") == ""


@pytest.mark.req("FO-03")
@given(st.lists(ANY_TEXT, max_size=20))
def test_whatever_names_come_another_parser_reads_them_back(names: list[str]) -> None:
    models = sorted({clean(name) for name in names})
    page = b"".join(write(Page(models), openmetrics=False)).decode()
    assert Samples(page).labels(METRIC.name, "model") == set(models)


@pytest.mark.req("FO-03")
def test_promtool_accepts_a_page_with_every_kind_of_character() -> None:
    characters = [chr(point) for point in (*range(0x2FF), *range(0xD7F0, 0xE010), 0xFFFE, 0x1F600)]
    quoting = ['"', "\\", '\\"', '"} 1\nx 2', "%d", "%", "{", "a\\nb", "{{", "\\\n"]
    models = sorted({clean(f"m{text}") for text in (*characters, *quoting)})
    page = b"".join(write(Page(models), openmetrics=False)).decode()
    assert promtool_complaints(page) == ""
    assert "text/plain" in TEXT


def test_a_registered_status_is_its_own_label() -> None:
    assert [code(200), code(404), code(0), code(299), code(-1)] == ["200", "404"] + ["other"] * 3


def test_a_listed_name_always_has_its_label() -> None:
    names = Names(["llama"], fits=lambda: False)
    assert names.peek("llama") == "llama"
    assert names.take(b"llama", proven=False) == "llama"
    assert names.overflow == 0


@pytest.mark.parametrize("name", [None, "", b"", "\0"])
def test_a_name_that_cannot_be_read_is_unknown(name: str | bytes | None) -> None:
    names = Names()
    assert names.peek(name) == names.take(name, proven=True) == "unknown"
    assert names.overflow == 0


def test_a_model_that_is_called_unknown_or_other_shares_that_value() -> None:
    names = Names()
    assert names.take("unknown", proven=True) == "unknown"
    assert names.take("other", proven=True) == "other"


def test_a_name_that_no_answer_has_proven_is_other() -> None:
    names = Names()
    assert names.take("guess", proven=False) == "other"
    assert names.take("real", proven=True) == "real"
    assert names.peek("real") == "real"
    assert names.overflow == 1


def test_peeking_neither_adds_nor_counts() -> None:
    names = Names()
    assert names.peek("new") == "other"
    assert names.overflow == 0
    assert names.known == ()


def test_a_name_without_room_for_its_series_is_other() -> None:
    names = Names(fits=lambda: False)
    assert names.take("new", proven=True) == "other"
    assert names.overflow == 1


@pytest.mark.req("FO-05")
def test_after_a_flood_the_rest_is_other_and_a_listed_name_still_gets_its_label() -> None:
    names = Names(["mine"])
    labels = {names.take(f"flood-{n}", proven=True) for n in range(10_000)}
    assert len(labels) == FREE_NAMES_MAX
    assert names.overflow == 10_000 - (FREE_NAMES_MAX - 1)
    assert names.take("mine", proven=False) == "mine"
    assert names.list_more(["late"]) == ("late",)
    assert names.take("late", proven=False) == "late"


def test_listed_names_have_a_bound() -> None:
    names = Names(f"model-{n}" for n in range(1000))
    assert len(names.known) == NAMES_MAX
    assert names.list_more(["one more"]) == ()
    assert names.take("one more", proven=True) == "other"


def test_only_new_names_are_told_as_new() -> None:
    names = Names(["a"])
    assert names.list_more(["a", "b", "b", ""]) == ("b",)


@given(st.lists(st.tuples(ANY_TEXT, st.booleans()), max_size=60))
def test_labels_are_bounded_whatever_comes(requests: list[tuple[str, bool]]) -> None:
    names = Names()
    labels = {names.take(name, proven=proven) for name, proven in requests}
    assert len(labels - {"other", "unknown"}) <= FREE_NAMES_MAX
    assert {clean(label) for label in labels} == labels
