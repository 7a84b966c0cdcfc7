"""PF-01, PF-03: no request is read in two ways, by us and by the real server behind us."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from differential.arena import PLACE, Arena, running_arena
from differential.origin import ORIGINS
from differential.request_grammar import conversations

EXAMPLES = int(os.environ.get("INFEROMETER_DIFFERENTIAL_EXAMPLES", "70"))
"""Cases for each server; a thousand take some minutes."""


@pytest.fixture(scope="module", params=ORIGINS)
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    with running_arena(request.param) as running:
        yield running


PLAIN = [
    b"GET " + PLACE + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST " + PLACE + b"?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    b"POST " + PLACE + b" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"HEAD "
    + PLACE
    + b" HTTP/1.1\r\nHost: h\r\n\r\nGET "
    + PLACE
    + b"/2 HTTP/1.0\r\nHost: h\r\n\r\n",
]


@pytest.mark.parametrize("raw", PLAIN)
def test_a_plain_request_is_seen_as_it_was_sent(arena: Arena, raw: bytes) -> None:
    assert arena.play(raw).ending == "complete"


def test_empty_lines_before_a_request_are_none_wherever_they_are_cut(arena: Arena) -> None:
    for cuts in ((), (1,), (2,), (3,), (1, 1), (4,), (5,)):
        assert arena.play(b"\r\n\r\n" + PLAIN[0], cuts).ending == "complete"


@pytest.mark.req("PF-01", "PF-03")
@given(raw=conversations(), cuts=st.lists(st.integers(1, 200), max_size=2))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_is_read_in_two_ways(arena: Arena, raw: bytes, cuts: list[int]) -> None:
    arena.play(raw, cuts)


@pytest.mark.req("PF-10")
def test_the_method_of_the_http_2_preface_opens_no_tunnel(arena: Arena) -> None:
    first = b"PRI " + PLACE + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    behind = b"POST " + PLACE + b"/smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
    for cuts in ((), (len(first),)):
        assert arena.play(first + behind, cuts).ending == "refused"
