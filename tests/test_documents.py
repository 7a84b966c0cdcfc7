import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inferometer.documents import (
    BYTES_MAX,
    DEPTH_MAX,
    DOCUMENTS_MAX,
    NODES_MAX,
    PROBLEMS_MAX,
    Items,
    Node,
    Report,
    Scalar,
    Table,
    nearest,
    parse,
    read,
    shown,
)
from inferometer.errors import Place, Problem, UserError

BAD = Path(__file__).parent / "fixtures" / "documents"


def problems(text: bytes) -> tuple[Problem, ...]:
    with pytest.raises(UserError) as caught:
        parse(text, "x.yaml")
    return caught.value.problems


def nodes(node: Node) -> Iterator[Node]:
    yield node
    children: tuple[Node, ...] = ()
    if isinstance(node, Items):
        children = node.items
    elif isinstance(node, Table):
        children = tuple(n for pair in node.pairs for n in pair)
    for child in children:
        yield from nodes(child)


def plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.text
        case Items():
            return [plain(item) for item in node.items]
        case Table():
            return {key.text: plain(value) for key, value in node.pairs}


def test_a_document_becomes_nodes_that_know_their_place() -> None:
    (document,) = parse(b"a: 1\nlist:\n  - x\n  - {k: 'v'}\n", "x.yaml")
    assert document == Table(
        (
            (
                Scalar("a", quoted=False, place=Place("x.yaml", 1, 1)),
                Scalar("1", quoted=False, place=Place("x.yaml", 1, 4)),
            ),
            (
                Scalar("list", quoted=False, place=Place("x.yaml", 2, 1)),
                Items(
                    (
                        Scalar("x", quoted=False, place=Place("x.yaml", 3, 5)),
                        Table(
                            (
                                (
                                    Scalar("k", quoted=False, place=Place("x.yaml", 4, 6)),
                                    Scalar("v", quoted=True, place=Place("x.yaml", 4, 9)),
                                ),
                            ),
                            Place("x.yaml", 4, 5),
                        ),
                    ),
                    Place("x.yaml", 3, 3),
                ),
            ),
        ),
        Place("x.yaml", 1, 1),
    )


@pytest.mark.parametrize("word", ["no", "on", "012", "1_0", "0x1F", "1e3", "2026-01-31", "~", "<<"])
@pytest.mark.req("SC-01")
def test_words_that_yaml_1_1_would_type_stay_what_they_are(word: str) -> None:
    assert plain(parse(f"a: {word}".encode(), "x.yaml")[0]) == {"a": word}


def test_json_is_read_with_escapes_and_byte_order_mark() -> None:
    text = '\ufeff{"a": ["x\\n\\t\\u00e9", "", 1.5, true, null]}'.encode()
    assert plain(parse(text, "x.json")[0]) == {"a": ["x\n\té", "", "1.5", "true", "null"]}


def test_a_file_may_hold_several_documents_or_none() -> None:
    assert [plain(d) for d in parse(b"a\n---\nb\n...\n---\n", "x.yaml")] == ["a", "b", ""]
    assert parse(b"# nothing\n", "x.yaml") == ()


def test_columns_count_characters_and_lines_count_as_editors_do() -> None:
    (document,) = parse("é: [ü,\r\n  x]\r\n".encode(), "x.yaml")
    assert isinstance(document, Table)
    (pair,) = document.pairs
    assert isinstance(pair[1], Items)
    assert [str(item.place) for item in pair[1].items] == ["x.yaml:1:5", "x.yaml:2:3"]


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.req("SC-01")
@pytest.mark.req("LC-03")
def test_a_bad_file_is_refused_with_every_place_code_and_hint(path: Path) -> None:
    with pytest.raises(UserError) as caught:
        parse(path.read_bytes(), path.name)
    told = "".join(f"{problem.code} {problem}\n" for problem in caught.value.problems)
    assert told == path.with_suffix(".expected").read_text("utf-8")


@pytest.mark.req("SC-01")
def test_a_file_of_the_greatest_size_is_read_and_one_byte_more_is_refused() -> None:
    at_limit = b"a: " + b"x" * (BYTES_MAX - 3)
    assert len(parse(at_limit, "x.yaml")) == 1
    assert problems(at_limit + b"x")[0].message == "longer than 1048576 bytes"


@pytest.mark.req("SC-01")
def test_as_many_values_as_allowed_are_read_and_one_more_is_refused() -> None:
    inner = NODES_MAX - 1
    (document,) = parse(b"[" + b"a," * inner + b"]", "x.yaml")
    assert sum(1 for _ in nodes(document)) == NODES_MAX
    (problem,) = problems(b"[" + b"a," * (inner + 1) + b"]")
    assert problem.message == "more than 100000 values"
    assert problem.code == "E05"


def test_as_many_documents_as_allowed_are_read_and_one_more_is_refused() -> None:
    assert len(parse(b"---\na\n" * DOCUMENTS_MAX, "x.yaml")) == DOCUMENTS_MAX
    (problem,) = problems(b"---\na\n" * (DOCUMENTS_MAX + 1))
    assert problem.message == "more than 1000 documents"


@pytest.mark.req("SC-01")
@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b"{a: ", b"}"), (b"- ", b"")])
def test_nesting_up_to_the_limit_is_read_and_deeper_is_refused(start: bytes, end: bytes) -> None:
    parse(start * DEPTH_MAX + b"x" + end * DEPTH_MAX, "x.yaml")
    deeper = DEPTH_MAX + 1
    (problem,) = problems(start * deeper + b"x" + end * deeper)
    assert problem.message == "nested deeper than 16"


@pytest.mark.req("SC-01")
@pytest.mark.parametrize(
    "text",
    [
        b"[" * BYTES_MAX,
        b"- " * 100_000,
        b"{a: " * 100_000,
        b"? " * 100_000,
        b"a: &a [x, x]\n" + b"".join(b"%d: &b%d [*a, *a]\n" % (n, n) for n in range(30_000)),
        b"\t\n" * (BYTES_MAX // 2),
        b"\0" * BYTES_MAX,
        b"a: 1\n" * 200_000,
        b"- !t x\n" * 100_000,
        b"---\n" * 200_000,
    ],
    ids=["lists", "items", "maps", "keys", "laughs", "tabs", "nul", "same", "tags", "documents"],
)
def test_hostile_input_ends_with_a_bounded_number_of_problems(text: bytes) -> None:
    assert 1 <= len(problems(text)) <= PROBLEMS_MAX + 1


def test_more_problems_than_the_limit_end_with_one_that_says_so() -> None:
    told = problems(b"".join(b"- !t x\n" for _ in range(PROBLEMS_MAX + 50)))
    assert len(told) == PROBLEMS_MAX + 1
    assert told[-1].message == "there are more problems, which are not shown"
    report = Report(list(told))
    report.add(Place("x"), "one more")
    assert len(report.problems) == PROBLEMS_MAX + 1


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    told: tuple[Problem, ...] = ()
    try:
        parse(text, "x.yaml")
    except UserError as error:
        told = error.problems
    assert all(p.place.source == "x.yaml" and p.code for p in told)


@given(
    st.recursive(
        st.text(
            st.characters(max_codepoint=0xFFFD, exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")),
            max_size=8,
        ),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner),
        max_leaves=10,
    )
)
def test_what_json_writes_is_read_back(value: object) -> None:
    (document,) = parse(json.dumps(value).encode(), "x.json")
    assert plain(document) == value


def test_the_pure_loader_gives_the_same_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"a: [1, 'x']\nb:\n  c: |\n    y\n"
    expected = parse(text, "x.yaml")
    monkeypatch.delattr(yaml, "CSafeLoader")
    name = "inferometer.documents"
    monkeypatch.delitem(sys.modules, name)
    pure = importlib.import_module(name)
    assert repr(pure.parse(text, "x.yaml")) == repr(expected)
    for bad in (b'a: "\\U00110000"', b"a: [", b'a: "\\ud800"'):
        with pytest.raises(UserError):
            pure.parse(bad, "x.yaml")


def test_a_file_that_cannot_be_read_is_the_users_problem(tmp_path: Path) -> None:
    unreadable: list[tuple[Path | str, str]] = [
        (tmp_path / "absent.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        ("a\0b", "not a file name"),
    ]
    for path, reason in unreadable:
        with pytest.raises(UserError) as caught:
            read(path)
        assert caught.value.problems[0].message == f"cannot be read: {reason}"
    good = tmp_path / "good.yaml"
    good.write_text("a: 1")
    assert read(good)[0].place == Place(str(good), 1, 1)


def test_reading_stops_at_the_size_limit_even_if_the_file_never_ends() -> None:
    with pytest.raises(UserError, match="longer than"):
        read("/dev/zero")


@pytest.mark.req("SC-02")
@pytest.mark.req("PR-01")
def test_values_are_shown_short_escaped_and_without_credentials() -> None:
    assert shown("x\n\x1b[31m") == r"'x\n\x1b[31m'"
    assert shown("http://me:secret@host/p?key=secret") == "'http://***@host/p?***'"
    assert len(shown("x" * 100_000)) == 105
    assert "secret" not in shown("http://me:" + "secret" * 1000 + "@host/")


def test_the_nearest_name_is_the_hint_else_all_names() -> None:
    assert nearest("objectiv", ["objective", "name"]) == "did you mean 'objective'?"
    assert nearest("zzz", ["b", "a"]) == "known here: a, b"
    assert nearest("zzz", []) == ""
