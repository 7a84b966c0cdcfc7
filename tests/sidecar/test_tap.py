from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.tap import (
    MARKS_PER_EXCHANGE,
    Finish,
    Lost,
    RequestBody,
    RequestEnd,
    Ring,
    Stall,
    Tapped,
)

END = Finish("complete", 200, 0, 0, lost=False)


def admitted(ring: Ring) -> Tapped:
    tapped = ring.admit()
    assert tapped is not None
    return tapped


def test_entries_come_out_in_order() -> None:
    ring = Ring()
    tapped = admitted(ring)
    ring.offer(tapped, 1, b"a", 1)
    ring.mark(tapped, 2, RequestEnd(0))
    ring.offer(tapped, 3, b"b", 1)
    assert [entry[1] for entry in ring.drain(2)] == [1, 2]
    assert [entry[1] for entry in ring.drain(9)] == [3]
    assert ring.drain(9) == []


def test_a_full_ring_drops_bodies_and_says_so_before_the_next_one() -> None:
    ring = Ring(entries_max=2)
    tapped = admitted(ring)
    for moment in range(4):
        ring.offer(tapped, moment, b"x", 1)
    assert ring.dropped == 2
    assert ring.fill_ratio == 1
    assert len(ring.drain(9)) == 2
    ring.offer(tapped, 9, b"y", 1)
    assert [type(entry[2]) for entry in ring.drain(9)] == [Lost, bytes]
    assert not tapped.lost


def test_bytes_are_bounded_apart_from_entries() -> None:
    ring = Ring(bytes_max=10)
    tapped = admitted(ring)
    ring.offer(tapped, 0, RequestBody(b"123456"), 6)
    ring.offer(tapped, 0, b"12345", 5)
    ring.offer(tapped, 0, b"1234", 4)
    assert ring.dropped == 1
    ring.drain(9)
    ring.offer(tapped, 0, b"1234567890", 10)
    assert ring.dropped == 1


def test_the_end_of_an_admitted_exchange_always_has_a_slot() -> None:
    ring = Ring(entries_max=1)
    tapped = admitted(ring)
    ring.offer(tapped, 0, b"x", 1)
    ring.offer(tapped, 0, b"y", 1)
    ring.mark(tapped, 1, END)
    assert ring.drain(9)[-1][2] is END


def test_an_exchange_that_finds_no_slots_is_counted_and_others_find_them_again() -> None:
    ring = Ring(exchanges_max=1)
    first = admitted(ring)
    assert ring.admit() is None
    assert ring.unobserved == 1
    ring.mark(first, 0, END)
    assert ring.admit() is None
    ring.drain(9)
    assert ring.admit() is not None


@given(st.lists(st.sampled_from(["admit", "offer", "stall", "marks", "drain"]), max_size=200))
def test_the_ring_never_grows_beyond_its_length(steps: list[str]) -> None:
    ring = Ring(entries_max=4, bytes_max=64, exchanges_max=3)
    live: list[Tapped] = []
    for step in steps:
        if step == "admit":
            tapped = ring.admit()
            live += [tapped] if tapped else []
        elif step == "drain":
            ring.drain(2)
        elif step == "marks" and live:
            tapped = live.pop()
            for _ in range(MARKS_PER_EXCHANGE - 1):
                ring.mark(tapped, 0, RequestEnd(0))
            ring.mark(tapped, 0, END)
        elif live:
            mark = Stall(1) if step == "stall" else b"12345678"
            ring.offer(live[-1], 0, mark, 8 if mark == b"12345678" else 0)
        assert len(ring) <= ring.length_max
        assert 0 <= ring.fill_ratio <= 1
