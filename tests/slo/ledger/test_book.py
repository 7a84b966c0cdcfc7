import hashlib
import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.budget import Counts
from inferometer.slo.ledger.book import (
    DAYS_MAX,
    SHARD_BYTES_MAX,
    Book,
    BookError,
    Bucket,
    Entry,
    Text,
    assembled,
    decode_head,
    decode_part,
    encode,
)

FIRST = date(2026, 8, 1)

NUMBERS = st.integers(0, 10**15).map(lambda n: Decimal(n).scaleb(-6).quantize(Decimal("0.000001")))
COUNTS = st.builds(Counts, total=NUMBERS, bad=NUMBERS, covered_s=st.integers(0, 90_000))
BUCKETS = st.builds(
    lambda definition, kept, fresh, start, length: Bucket(
        definition, kept, fresh, start, start + length
    ),
    definition=st.sampled_from(["", "abc123", "ffff"]),
    kept=COUNTS | st.just(Counts()),
    fresh=COUNTS,
    start=st.integers(0, 2**40),
    length=st.integers(0, 90_000),
)
DATES = st.dates(min_value=FIRST, max_value=FIRST + timedelta(days=DAYS_MAX - 1))
ENTRIES = st.builds(
    Entry,
    since=DATES,
    through=DATES,
    days=st.dictionaries(DATES, BUCKETS, max_size=4),
    zone=st.sampled_from(["", "UTC", "America/Argentina/Buenos_Aires"]),
)
BOOKS = st.dictionaries(st.tuples(st.text(max_size=10), st.text(max_size=10)), ENTRIES, max_size=5)


def decoded(text: Text) -> Book:
    head = decode_head(text.head)
    parts = [decode_part(text.parts[name], of) for name, of in head.parts.items()]
    return assembled(head.slos, *parts)


def filled(slos: int, days: int = DAYS_MAX) -> Book:
    bucket = Bucket(
        "0123456789ab", Counts(), Counts(Decimal("1234567.8"), Decimal(12), 86400), 1, 2
    )
    on = {FIRST + timedelta(days=n): bucket for n in range(days)}
    entry = Entry(FIRST, FIRST + timedelta(days=days - 1), on)
    return {("namespace", f"slo-{n}"): entry for n in range(slos)}


@given(BOOKS, st.integers(0, 10**6), st.sampled_from([200, 2000, SHARD_BYTES_MAX]))
def test_what_is_written_is_what_is_read(book: Book, generation: int, size: int) -> None:
    text = encode(book, generation=generation, shard_bytes_max=size)
    assert decoded(text) == book
    assert decode_head(text.head).generation == generation
    assert encode(book, generation=generation, shard_bytes_max=size) == text


@given(BOOKS, st.data())
def test_a_text_that_was_changed_anywhere_is_never_a_smaller_book(
    book: Book, data: st.DataObject
) -> None:
    text = encode(book, generation=7).head
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = text[:at] + bytes([byte]) + text[at + 1 :]
    assert read_or_none(changed) in (None, book)
    assert read_or_none(text[:at]) in (None, book)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(text: bytes) -> None:
    assert read_or_none(text) is None


def read_or_none(text: bytes) -> Book | None:
    try:
        return decoded(Text(text, {}))
    except BookError:
        return None


def test_a_large_book_is_divided_into_parts_of_a_bounded_size() -> None:
    book = filled(500)
    text = encode(book, generation=3)
    assert len(text.parts) >= 3
    assert all(name.startswith("3-") for name in text.parts)
    assert all(len(part) <= SHARD_BYTES_MAX + 10 for part in text.parts.values())
    assert len(text.head) <= SHARD_BYTES_MAX + 1000
    assert decoded(text) == book


def test_a_slo_of_a_hundred_days_takes_few_bytes() -> None:
    assert len(encode(filled(1), generation=1).head) < 7000


def test_a_file_of_the_first_version_is_read() -> None:
    """It had no timezone in its entries; the text is what that version wrote."""
    slos = (
        '[["llm","chat-all","2026-11-24","2026-11-25",["abc"],'
        '{"2026-11-25":[0,1,2,"12.5","1",60,"7","0",120]}]]'
    )
    intro = {
        "kind": "inferometer-slo-ledger",
        "version": 1,
        "generation": 8,
        "parts": {},
        "sha256": hashlib.sha256(slos.encode()).hexdigest(),
    }
    found = decode_head(f'{json.dumps(intro)[:-1]}, "slos":\n{slos}\n}}\n'.encode())
    of = date(2026, 11, 25)
    kept, fresh = Counts(Decimal(7), Decimal(0), 120), Counts(Decimal("12.5"), Decimal(1), 60)
    entry = Entry(date(2026, 11, 24), of, {of: Bucket("abc", kept, fresh, 1, 2)})
    assert found.slos == ((("llm", "chat-all"), entry),)
    assert found.generation == 8


def rewritten(book: Book, **changes: Any) -> bytes:
    """Return a head whose fields were changed by somebody who knows the format."""
    data = json.loads(encode(book, generation=1).head)
    return json.dumps(data | changes).encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty"),
        (b"{", "cut short"),
        (b"[" * 100_000, "cut short"),
        (b"[]", "no ledger"),
        (b"{}", "no ledger"),
        (rewritten({}, version=3), "has version 3"),
        (rewritten({}, slos=[]), "checksum"),
        (rewritten(filled(1)), "checksum"),
    ],
)
def test_what_is_no_book_is_told(text: bytes, words: str) -> None:
    with pytest.raises(BookError, match=words):
        decode_head(text)


def signed(slos: object, **changes: object) -> bytes:
    """Return a head with a right checksum, as only a mistake of ours could write it."""
    good = encode({}, generation=1).head
    start = good.index(b'"slos":\n') + len(b'"slos":\n')
    inner = json.dumps(slos).encode()
    intro = json.loads(good)
    from hashlib import sha256

    del intro["slos"]
    intro |= {"sha256": sha256(inner).hexdigest(), **changes}
    assert good[start:]
    return json.dumps(intro)[:-1].encode() + b', "slos":\n' + inner + b"\n}\n"


DAY = [0, 1, 2, "1", "0", 60]


@pytest.mark.parametrize(
    ("slos", "words"),
    [
        ({}, "no list of SLOs"),
        ([5], "SLO that does not fit"),
        ([["a", "b", "2026-01-01"]], "SLO that does not fit"),
        ([["a", "b", "today", "2026-01-01", [], {}]], "no date"),
        ([["a", "b", "2026-01-01", "2026-01-01", ["XYZ"], {}]], "no hash"),
        ([["a", "b", "2026-01-01", "2026-01-01", [5], {}]], "no hash"),
        ([["a", "b", "2026-01-01", "2026-01-01", [""] * 101, {}]], "more days"),
        (
            [["a", "b", "2026-01-01", "2026-01-01", [], {str(n): 0 for n in range(101)}]],
            "more days",
        ),
        ([["a", "b", "2026-01-01", "2026-01-01", [], {}, 5]], "timezone that is none"),
        ([["a", "b", "2026-01-01", "2026-01-01", [], {}, "../../etc"]], "timezone that is none"),
        ([["a", "b", "2026-01-01", "2026-01-01", [], {}, "UTC", ""]], "SLO that does not fit"),
        *(
            ([["a", "b", "2026-01-01", "2026-01-01", [""], {"2026-01-01": one}]], words)
            for one, words in (
                (5, "day that does not fit"),
                ([0, 1, 2], "day that does not fit"),
                ([1, *DAY[1:]], "day that does not fit"),
                ([0, 3, *DAY[2:]], "day that does not fit"),
                ([True, *DAY[1:]], "count that is none"),
                ([0, -1, *DAY[2:]], "count that is none"),
                ([0, 1, 2, "NaN", "0", 60], "no numbers"),
                ([0, 1, 2, "1", 0, 60], "no numbers"),
                ([0, 1, 2, "1e9", "0", 60], "no numbers"),
                ([0, 1, 2, "1", "0", -60], "count that is none"),
                ([0, 1, 2, "1", "0", 1 << 62], "count that is none"),
            )
        ),
        ([["a", "b", "2026-01-01", "2026-01-01", [], {}]] * 2, "twice"),
    ],
)
def test_what_does_not_fit_together_is_told(slos: object, words: str) -> None:
    with pytest.raises(BookError, match=words):
        assembled(decode_head(signed(slos)).slos)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": []}, "no ledger"),
        ({"parts": {f"1-{n}": "" for n in range(65)}}, "more parts"),
        ({"parts": {"../x": ""}}, "no ledger has"),
        ({"generation": "1"}, "count that is none"),
    ],
)
def test_a_head_that_does_not_fit_together_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BookError, match=words):
        decode_head(signed([], **changes))


def test_a_part_that_was_changed_is_told() -> None:
    text = encode(filled(3), generation=1, shard_bytes_max=100)
    name, checksum = next(iter(decode_head(text.head).parts.items()))
    assert decode_part(text.parts[name], checksum)
    with pytest.raises(BookError, match="checksum"):
        decode_part(text.parts[name] + b" ", checksum)


def test_more_slos_than_there_can_be_are_refused() -> None:
    with pytest.raises(BookError, match="no list of SLOs"):
        decode_head(signed([[]] * 2001))


def test_the_first_day_of_the_newest_definition_is_known() -> None:
    def entry(*definitions: str) -> Entry:
        days = {
            FIRST + timedelta(days=n): Bucket(definition, Counts(), Counts(), 1, 2)
            for n, definition in enumerate(definitions)
        }
        return Entry(FIRST, FIRST, days)

    assert entry("", "a", "a", "b", "b").definition_since() == FIRST + timedelta(days=3)
    assert entry("a", "b", "a").definition_since() == FIRST + timedelta(days=2)
    assert entry("", "a", "a").definition_since() is None
    assert entry().definition_since() is None


def test_days_are_forgotten_from_the_oldest_on() -> None:
    (entry,) = filled(1, 10).values()
    later = entry.after(FIRST + timedelta(days=8))
    assert sorted(later.days) == [FIRST + timedelta(days=8), FIRST + timedelta(days=9)]
    assert later.since == FIRST + timedelta(days=8)
    gone = entry.after(FIRST + timedelta(days=50))
    assert (gone.days, gone.since, gone.through) == (
        {},
        FIRST + timedelta(days=50),
        FIRST + timedelta(days=50),
    )


def test_a_day_without_data_is_asked_for_all_the_same() -> None:
    entry = Entry(FIRST, FIRST).with_day(FIRST - timedelta(days=1), None)
    assert (entry.since, entry.through, entry.days) == (FIRST - timedelta(days=1), FIRST, {})
