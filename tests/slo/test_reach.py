"""When a class is hidden by an earlier one: exactly when it can get no request."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import Place
from inferometer.slo.document import Alerts, Class, Document, EndToEnd, Good, Match, Window
from inferometer.slo.match import Request, match
from inferometer.slo.reach import hides, operations
from inferometer.stream.dialect import Streaming
from support.slo_rules import Documents


def pair(documents: Documents, first: str, second: str, *, good: str = "e2e: 1s") -> bool:
    (document,) = documents(
        "metadata: {name: d}\nclasses:\n"
        f"  - {{name: a, objective: 99, good: {{{good}}}, match: {first}}}\n"
        f"  - {{name: b, objective: 99, good: {{e2e: 1s}}, match: {second}}}\n"
    )
    return hides(*document.classes)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{}", "{}"),
        ("{}", "{model: m, tenant: t, stream: true, header: {x-a: b}}"),
        ("{model: 'llama-*'}", "{model: llama-70b}"),
        ("{model: 'llama-*'}", "{model: 'llama-*-chat'}"),
        ("{model: [a, b]}", "{model: [b, a]}"),
        ("{model: '*'}", "{model: 'a*'}"),
        ("{route: '/v1/*'}", "{route: /v1/chat/completions}"),
        ("{}", "{route: /v1/chat/completions}"),
        ("{stream: true}", "{stream: true, model: m}"),
        ("{header: {x-a: 'b*'}}", "{header: {X-A: b1}}"),
    ],
)
def test_what_takes_as_much_or_more_hides(documents: Documents, first: str, second: str) -> None:
    assert pair(documents, first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{model: m}", "{}"),
        ("{model: 'llama-*'}", "{model: 'llama*'}"),
        ("{model: llama-70b}", "{model: 'llama-*'}"),
        ("{model: [a]}", "{model: [a, b]}"),
        ("{tenant: t}", "{tenant: u}"),
        ("{stream: true}", "{}"),
        ("{stream: true}", "{stream: false}"),
        ("{header: {x-a: b}}", "{}"),
        ("{header: {x-a: b}}", "{header: {x-b: b}}"),
        ("{}", "{route: /health}"),  # only who names it gets it
        ("{}", "{route: '/h*'}"),
        ("{route: /v1/completions}", "{}"),
    ],
)
def test_what_leaves_something_hides_nothing(documents: Documents, first: str, second: str) -> None:
    assert not pair(documents, first, second)


def test_a_class_that_passes_over_what_does_not_stream_leaves_that(documents: Documents) -> None:
    assert not pair(documents, "{}", "{}", good="ttft: 1s")
    assert pair(documents, "{}", "{stream: true}", good="ttft: 1s")


def test_operations_are_known_where_routes_are_exact(documents: Documents) -> None:
    (document,) = documents(
        "metadata: {name: d}\nclasses:\n"
        "  - {name: a, objective: 99, good: {e2e: 1s}, match: {route: [/v1/messages, /x]}}\n"
        "  - {name: b, objective: 99, good: {e2e: 1s}, match: {route: ['/v1/*']}}\n"
        "  - {name: c, objective: 99, good: {e2e: 1s}}\n"
    )
    assert [operations(one) for one in document.classes] == [{"chat", "other"}, None, None]


words = st.sampled_from(["a", "b", "ab", "ba", "aab", ""])
patterns = st.text("ab*", min_size=1, max_size=4)
matches = st.fixed_dictionaries(
    {}, optional={"model": st.lists(patterns, min_size=1, max_size=2), "stream": st.booleans()}
)


def made(name: str, wanted: dict[str, Any]) -> Class:
    return Class(
        name=name,
        id=name,
        place=Place("x"),
        match=Match(model=tuple(wanted.get("model", ())), stream=wanted.get("stream")),
        objective=Decimal(99),
        good=Good(e2e=EndToEnd(1)),
        weight="request",
        weight_place=Place("x"),
        slice=None,
        headers=None,
    )


streams: st.SearchStrategy[Streaming] = st.sampled_from(["true", "false", "unknown"])


@given(first=matches, second=matches, model=words, stream=streams)
def test_a_hidden_class_never_gets_a_request(
    first: dict[str, Any], second: dict[str, Any], model: str, stream: Streaming
) -> None:
    one, two = made("a", first), made("b", second)
    document = Document("d", "", "", "", Window(), Alerts(), (one, two), (), Place("x"))
    (found,) = match([document], Request(model, "/v1/completions", "text_completion", stream))
    if hides(one, two):
        assert found != two
