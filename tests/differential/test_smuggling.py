"""PF-01 to PF-03: several hundred payloads of request smuggling, and none is forwarded."""

import contextlib
import itertools
from collections.abc import Iterator

import pytest

from differential.arena import PLACE, REFUSALS, Arena, running_arena
from differential.origin import ORIGINS
from differential.reference import read_requests
from differential.smuggling import Payload, carried, refused
from support.pair import Pair, running_pair
from support.script import request

REFUSED = list(refused())
CARRIED = list(carried())
FAMILIES = sorted({payload.family for payload in REFUSED})


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair("--http2", "refuse") as both:
        yield both


def test_the_payloads_are_many() -> None:
    assert len({payload.raw for payload in REFUSED}) > 1500
    assert len({payload.raw for payload in CARRIED}) > 40


@pytest.mark.parametrize("family", FAMILIES)
def test_the_judge_reads_no_request_in_what_must_be_refused(family: str) -> None:
    allowed = 1 if family.endswith("pipelined") else 0
    for payload in (p for p in REFUSED if p.family == family):
        reading = read_requests(payload.raw)
        assert (reading.ending, len(reading.requests)) == ("refused", allowed), payload.raw


@pytest.mark.req("PF-01", "PF-02", "PF-03")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_payload_is_forwarded_and_none_makes_an_error_of_ours(pair: Pair, family: str) -> None:
    for number, payload in enumerate(p for p in REFUSED if p.family == family):
        place = b"/c%06d" % number
        before = len(pair.server.exchanges)
        play(pair, payload, place)
        whole = [e for e in pair.server.exchanges[before:] if e.body_ns is not None]
        expected = [place + b"/first"] if family.endswith("pipelined") else []
        assert [e.target for e in whole if e.target != b"/alive"] == expected, payload.raw


def play(pair: Pair, payload: Payload, place: bytes) -> None:
    """Send a payload, hear that it is refused, then see that another client is served."""
    with pair.sidecar.wire() as wire:
        with contextlib.suppress(ConnectionError):
            wire.send(payload.raw.replace(PLACE, place))
        if payload.family.endswith("pipelined"):
            assert wire.read_answer().status == 200, payload.raw
        assert wire.read_answer().status in REFUSALS, payload.raw
        assert wire.rest()[0] == b"", payload.raw
    with pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", "/alive")).status == 200


@pytest.fixture(scope="module", params=ORIGINS)
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    with running_arena(request.param) as running:
        yield running


@pytest.mark.req("PF-05")
def test_a_request_that_is_only_data_passes_as_data(arena: Arena) -> None:
    for payload in CARRIED:
        assert arena.play(payload.raw).ending == "complete", payload


def test_real_servers_see_nothing_of_a_sample_either(arena: Arena) -> None:
    for payload in itertools.islice(REFUSED, 0, None, 16):
        assert arena.play(payload.raw).ending == "refused", payload
