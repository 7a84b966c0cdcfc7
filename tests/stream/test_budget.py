"""Rules of the memory that all bodies share which are kept whole."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.budget import Budget, Kept
from inferometer.stream.decode import Decoder, decoder
from inferometer.stream.events import Skipped
from support.answers import JSON, WHOLE, WHOLE_EVENTS, call, events

SIZE = len(WHOLE)


def reader(budget: Budget, kind: bytes = JSON) -> Decoder:
    asked = call(stream="false")
    return decoder(asked, status=200, content_type=kind, budget=budget)


def test_bodies_beyond_the_budget_are_too_large_and_the_others_are_read() -> None:
    budget = Budget(2 * SIZE)
    first, second, third = reader(budget), reader(budget), reader(budget)
    first.feed(WHOLE)
    second.feed(WHOLE)
    third.feed(b" ")
    assert third.opaque == "too_large"
    assert first.close(clean=True) == second.close(clean=True) == WHOLE_EVENTS
    assert budget.left == 2 * SIZE
    assert events(reader(budget), [WHOLE, b" " * SIZE]) == WHOLE_EVENTS


def test_a_body_that_outgrows_the_budget_gives_back_what_it_took() -> None:
    budget = Budget(SIZE)
    found = reader(budget)
    found.feed(WHOLE)
    found.feed(b" ")
    assert found.opaque == "too_large"
    assert budget.left == SIZE


@pytest.mark.parametrize("kind", [JSON, b"text/plain"])
@pytest.mark.parametrize("body", [b"{", b"{nonsense", WHOLE[:60]])
@pytest.mark.parametrize("end", ["cut", "clean", "lost", "left"])
def test_however_a_body_ends_its_memory_is_given_back(kind: bytes, body: bytes, end: str) -> None:
    budget = Budget(SIZE)
    found = reader(budget, kind)
    found.feed(body)
    assert budget.left < SIZE
    match end:
        case "lost":
            found.dropped()
        case "left":
            del found
            gc.collect()
        case _:
            found.close(clean=end == "clean")
    assert budget.left == SIZE


def test_first_bytes_without_room_are_too_large() -> None:
    found = reader(Budget(0), b"text/plain")
    assert events(found, [b"{}"]) == []
    assert found.opaque == "too_large"


def test_what_is_taken_is_what_was_added() -> None:
    kept = Kept(Budget(3))
    assert kept.add(b"ab")
    assert not kept.add(b"cd")
    assert len(kept) == 2
    assert (kept.take(), kept.take()) == (b"ab", b"")


@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_any_bodies_leave_the_budget_as_it_was(
    pieces: list[bytes],
    clean: bool,  # noqa: FBT001
) -> None:
    budget = Budget(100)
    said = [events(reader(budget), [piece] * 3, clean=clean) for piece in pieces]
    assert all(isinstance(event, tuple) for found in said for event in found)
    assert budget.left == 100
    assert Skipped("too_large") not in [event for found in said for event in found]
