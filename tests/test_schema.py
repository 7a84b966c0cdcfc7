from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.documents import Items, Node, Report, Scalar, parse
from inferometer.errors import Place
from inferometer.schema import (
    Reader,
    Record,
    T,
    Value,
    boolean,
    decimal,
    duration_ns,
    integer,
    listed,
    one_of,
    text,
)

NUMBER = integer(minimum=1, maximum=99)
PERCENT = decimal(minimum="50", maximum="99.999", code="E03")
WAIT = duration_ns(minimum="1ms", maximum="1d")


def scalar(word: str, *, quoted: bool = False) -> Scalar:
    return Scalar(word, quoted, Place("x.yaml", 1, 1))


def typed(reader: Reader[T], node: Node | str, *, secret: bool = False) -> T | str | None:
    """Return the value, or else the one line that tells the problem."""
    report = Report()
    node = scalar(node) if isinstance(node, str) else node
    value = reader(Value("field", node, report, secret))
    assert (value is None) == bool(report.problems)
    if not report.problems:
        return value
    (problem,) = report.problems
    return f"{problem.code} {problem.message} | {problem.hint}"


@pytest.mark.parametrize(
    ("reader", "word", "value"),
    [
        (text, "no", "no"),
        (boolean, "true", True),
        (boolean, "false", False),
        (NUMBER, "1", 1),
        (NUMBER, "99", 99),
        (PERCENT, "50", Decimal(50)),
        (PERCENT, "99.999", Decimal("99.999")),
        (WAIT, "1ms", 10**6),
        (WAIT, "2.5s", 25 * 10**8),
        (WAIT, "1m", 60 * 10**9),
        (WAIT, "1h", 3600 * 10**9),
        (WAIT, "1d", 86400 * 10**9),
        (one_of("request", "token"), "token", "token"),
        (listed(text, maximum=2), "a", ("a",)),
    ],
)
def test_a_right_value_is_typed(reader: Reader[object], word: str, value: object) -> None:
    assert typed(reader, word) == value
    assert typed(reader, scalar(word, quoted=True)) == value


IMPLIED = "write 99.9, the percent sign is implied"
UNIT = "a duration has a unit, such as 500ms, 2.5s, 5m, 1h or 30d"


@pytest.mark.parametrize(
    ("reader", "word", "told"),
    [
        (text, "", "E02 field must be a text, got nothing | "),
        (boolean, "yes", "E02 field must be true or false, got 'yes' | write true"),
        (boolean, "OFF", "E02 field must be true or false, got 'OFF' | write false"),
        (boolean, "1", "E02 field must be true or false, got '1' | "),
        (NUMBER, "012", "E02 field must be a whole number between 1 and 99, got '012' | "),
        (NUMBER, "1_0", "E02 field must be a whole number between 1 and 99, got '1_0' | "),
        (NUMBER, "0", "E02 field must be a whole number between 1 and 99, got '0' | "),
        (NUMBER, "100", "E02 field must be a whole number between 1 and 99, got '100' | "),
        (NUMBER, "٣", "E02 field must be a whole number between 1 and 99, got '٣' | "),
        (
            PERCENT,
            "99.9%",
            f"E03 field must be between 50 and 99.999, got '99.9%' | {IMPLIED}",
        ),
        (PERCENT, "x%", "E03 field must be between 50 and 99.999, got 'x%' | "),
        (PERCENT, "49.9", "E03 field must be between 50 and 99.999, got '49.9' | "),
        (PERCENT, "NaN", "E03 field must be between 50 and 99.999, got 'NaN' | "),
        (PERCENT, "1e2", "E03 field must be between 50 and 99.999, got '1e2' | "),
        (WAIT, "500", f"E02 field must be a duration from 1ms to 1d, got '500' | {UNIT}"),
        (WAIT, "0ms", f"E02 field must be a duration from 1ms to 1d, got '0ms' | {UNIT}"),
        (WAIT, "2d", f"E02 field must be a duration from 1ms to 1d, got '2d' | {UNIT}"),
        (
            WAIT,
            "1.0000001ms",
            f"E02 field must be a duration from 1ms to 1d, got '1.0000001ms' | {UNIT}",
        ),
        (
            one_of("request", "token"),
            "tokens",
            "E02 field must be one of request, token, got 'tokens' | did you mean 'token'?",
        ),
    ],
)
@pytest.mark.req("SC-01")
def test_a_wrong_value_is_refused_and_never_guessed(
    reader: Reader[object], word: str, told: str
) -> None:
    assert typed(reader, word) == told


def test_lists_and_mappings_are_named_as_such_and_secrets_are_never_shown() -> None:
    items = Items((), Place("x"))
    assert typed(text, items) == "E02 field must be a text, got a list | "
    table = parse(b"a: 1", "x")[0]
    assert typed(NUMBER, table) == (
        "E02 field must be a whole number between 1 and 99, got a mapping | "
    )
    assert typed(NUMBER, "hunter2", secret=True) == (
        "E02 field must be a whole number between 1 and 99, got something else | "
    )


def test_a_list_has_a_smallest_and_a_greatest_length() -> None:
    reader = listed(text, maximum=2)
    document = parse(b"- a\n- b\n", "x")[0]
    assert typed(reader, document) == ("a", "b")
    for words, length in ((b"[]", 0), (b"[a, b, c]", 3)):
        told = typed(reader, parse(words, "x")[0])
        assert told == (f"E02 field must be a list of 1 to 2 values, got a list | it has {length}")
    assert typed(listed(text, minimum=0, maximum=2), parse(b"[]", "x")[0]) == ()


def test_every_wrong_item_of_a_list_is_told() -> None:
    report = Report()
    node = parse(b"[0, 5, x]", "x")[0]
    assert listed(NUMBER, maximum=9)(Value("n", node, report)) is None
    assert [problem.place.column for problem in report.problems] == [2, 8]


@given(st.integers(1, 10**9), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_are_exact(number: int, unit: str) -> None:
    factors = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
    reader = duration_ns(minimum="0s", maximum="9999999999d")
    assert typed(reader, f"{number}{unit}") == number * factors[unit]


@given(st.text())
def test_readers_type_or_refuse_any_text(word: str) -> None:
    for reader in (text, boolean, NUMBER, PERCENT, WAIT, one_of("a")):
        typed(reader, word)


def read_record(source: bytes) -> tuple[object, list[str]]:
    report = Report()
    record = Record(Value("thing", parse(source, "x")[0], report))
    found = record.take("a", text), record.need("b", NUMBER), "c" in record
    record.take("c", text, secret=True)
    record.close()
    return found, [f"{p.code} {p}" for p in report.problems]


def test_a_record_gives_its_fields_and_tells_unknown_and_missing_ones() -> None:
    assert read_record(b"{a: x, b: 1, c: y}") == (("x", 1, True), [])
    assert read_record(b"{bb: 1, zzz: 2}") == (
        (None, None, False),
        [
            "E02 x:1:1: thing needs a field 'b'\nhint: add `b: ...`",
            "E01 x:1:2: unknown field 'bb' in thing\nhint: did you mean 'b'?",
            "E01 x:1:9: unknown field 'zzz' in thing\nhint: known here: a, b, c",
        ],
    )
    assert read_record(b"word") == (
        (None, None, False),
        ["E02 x:1:1: thing must be a mapping, got 'word'"],
    )


def test_a_record_whose_keys_are_free_has_no_unknown_ones() -> None:
    report = Report()
    record = Record(Value("users", parse(b"{me: x, you: y}", "x")[0], report))
    assert [key.text for key, _ in record.pairs()] == ["me", "you"]
    record.close()
    assert report.problems == []


def test_closing_a_record_with_very_many_unknown_fields_ends() -> None:
    report = Report()
    source = b"{" + b", ".join(b"k%d: 1" % n for n in range(40_000)) + b"}"
    Record(Value("thing", parse(source, "x")[0], report)).close()
    assert report.full
