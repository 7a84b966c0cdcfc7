import fnmatch
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import Place
from inferometer.slo.document import (
    Alerts,
    Class,
    Document,
    EndToEnd,
    FirstToken,
    Good,
    Match,
    Window,
)
from inferometer.slo.match import Request, glob, header_names, match

MS = 1_000_000
TOKENS = Good(ttft=FirstToken(MS))
WHOLE = Good(e2e=EndToEnd(MS))
CHAT = Request("llama-70b", "/v1/chat/completions", "chat", "true")


def slo(name: str, wanted: Match, good: Good = TOKENS) -> Class:
    place = Place("x")
    return Class(name, name, place, wanted, Decimal(99), good, "request", place, None, None)


def document(*classes: Class) -> Document:
    return Document("d", "", "", "", Window(), Alerts(), classes, (), Place("x"))


def taken(request: Request, *classes: Class) -> str | None:
    (found,) = match([document(*classes)], request)
    return found.name if found else None


def test_the_first_class_of_each_document_that_matches_takes_the_request() -> None:
    llama, rest = slo("llama", Match(model=("llama-*",))), slo("rest", Match())
    other = slo("other", Match(model=("qwen",)))
    documents = [document(llama, rest), document(rest, llama), document(other)]
    assert match(documents, CHAT) == (llama, rest, None)
    assert match(documents, CHAT._replace(model="qwen")) == (rest, rest, other)
    assert match([], CHAT) == ()


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Match(), True),
        (Match(model=("qwen", "llama-*")), True),
        (Match(model=("llama",)), False),
        (Match(route=("/v1/*",)), True),
        (Match(route=("/v1",)), False),
        (Match(stream=True), True),
        (Match(stream=False), False),
        (Match(tenant=("gold",)), True),
        (Match(tenant=("silver",)), False),
        (Match(header=("x-team", ("search", "a*"))), True),
        (Match(header=("x-team", ("ads",))), False),
        (Match(header=("x-other", ("*",))), False),
        (Match(model=("llama-*",), tenant=("silver",)), False),
    ],
)
def test_values_of_a_key_are_or_and_keys_are_and(*, wanted: Match, takes: bool) -> None:
    request = CHAT._replace(tenant="gold", headers={"x-team": "abc"})
    assert (taken(request, slo("c", wanted)) == "c") is takes


def test_what_is_unknown_matches_no_value() -> None:
    unknown = Request(None, "/x", "chat", "unknown")
    assert taken(unknown, slo("c", Match(model=("*",)))) is None
    assert taken(unknown, slo("c", Match(tenant=("*",)))) is None
    assert taken(unknown, slo("c", Match(stream=True))) is None
    assert taken(unknown, slo("c", Match(stream=False))) is None
    assert taken(unknown, slo("c", Match())) == "c"


def test_names_are_compared_after_cleaning() -> None:
    assert taken(CHAT._replace(model="a" * 500), slo("c", Match(model=("a" * 128,)))) == "c"
    assert taken(CHAT._replace(model="other"), slo("c", Match(model=("llama",)))) is None


def test_routes_that_generate_nothing_match_only_a_class_that_names_them() -> None:
    health = Request(None, "/health", "other", "false")
    assert taken(health, slo("c", Match(), WHOLE)) is None
    assert taken(health, slo("c", Match(route=("/health",)), WHOLE)) == "c"
    assert taken(health, slo("c", Match(route=("/v1/*",)), WHOLE)) is None
    assert not health.expected_to_match
    assert CHAT.expected_to_match


def test_a_class_of_which_nothing_applies_is_passed_over() -> None:
    classes = slo("tokens", Match()), slo("whole", Match(), WHOLE)
    assert taken(CHAT._replace(stream="true"), *classes) == "tokens"
    assert taken(CHAT._replace(stream="unknown"), *classes) == "tokens"
    assert taken(CHAT._replace(stream="false"), *classes) == "whole"
    assert taken(CHAT._replace(stream="false"), slo("tokens", Match())) is None
    both = replace(TOKENS, e2e=EndToEnd(MS))
    assert taken(CHAT._replace(stream="false"), slo("both", Match(), both)) == "both"
    assert taken(CHAT._replace(stream="false"), slo("errors", Match(), Good())) == "errors"


def test_the_headers_to_look_at_are_those_that_a_class_names() -> None:
    with_header = slo("c", Match(header=("x-team", ("a",))))
    assert header_names([document(with_header, slo("d", Match()))]) == {"x-team"}


@pytest.mark.parametrize(
    ("pattern", "text", "takes"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "anything", True),
        ("a*", "a", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*bb*c", "abcbc", False),
        ("*b*", "abc", True),
        ("**", "x", True),
        ("a?[b]", "a?[b]", True),
        ("a?", "ab", False),
    ],
)
def test_only_the_star_is_special(*, pattern: str, text: str, takes: bool) -> None:
    assert glob(pattern, text) is takes


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_globs_agree_with_those_of_the_shell(pattern: str, text: str) -> None:
    assert glob(pattern, text) == fnmatch.fnmatchcase(text, pattern)


def test_a_pattern_of_many_stars_takes_bounded_time() -> None:
    assert not glob("a*" * 128 + "b", "a" * 100_000)


@pytest.mark.parametrize(
    ("pattern", "route", "takes"),
    [("/v1/chat/", "/v1/chat", True), ("/", "/", True), ("/", "/v1", False)],
)
def test_a_slash_at_the_end_of_a_route_says_nothing(
    *, pattern: str, route: str, takes: bool
) -> None:
    request = CHAT._replace(route=route)
    assert (taken(request, slo("c", Match(route=(pattern,)))) == "c") is takes
