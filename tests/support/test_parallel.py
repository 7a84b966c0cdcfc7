"""The lock that lets a test be alone, and reports that can travel."""

import fcntl
import threading
from pathlib import Path

from support.parallel import Turns, sendable
from support.sidecar import wait_until

WAIT_S = 10.0


class Holder:
    """Takes a turn in a thread of its own; tells whether it has it, and gives it back when told."""

    def __init__(self, turns: Turns, *, alone: bool) -> None:
        self.has_it = threading.Event()
        self._back = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(turns, alone))
        self._thread.start()

    def _run(self, turns: Turns, alone: bool) -> None:  # noqa: FBT001  (a thread's argument)
        with turns.taken(alone=alone):
            self.has_it.set()
            assert self._back.wait(WAIT_S)

    def give_back(self) -> None:
        self._back.set()
        self._thread.join(WAIT_S)


def is_shut(gate: Path) -> bool:
    """Whether somebody else holds the lock."""
    with gate.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_many_hold_it_together(tmp_path: Path) -> None:
    holders = [Holder(Turns(tmp_path), alone=False) for _ in range(3)]
    assert all(holder.has_it.wait(WAIT_S) for holder in holders)
    for holder in holders:
        holder.give_back()


def test_one_alone_waits_for_the_others_and_they_for_it(tmp_path: Path) -> None:
    first = Holder(Turns(tmp_path), alone=False)
    assert first.has_it.wait(WAIT_S)
    single = Holder(Turns(tmp_path), alone=True)
    wait_until(lambda: is_shut(tmp_path / "gate.lock"), what="one that waits to be alone")
    assert not single.has_it.is_set()
    later = Holder(Turns(tmp_path), alone=False)
    first.give_back()
    assert single.has_it.wait(WAIT_S)
    assert not later.has_it.wait(0.05)
    single.give_back()
    assert later.has_it.wait(WAIT_S)
    later.give_back()


def test_a_report_can_be_sent_whatever_it_says() -> None:
    data = {"a\ud800": ["b", ("\udfff", 1)], "c": None}
    assert sendable(data) == {"a\\ud800": ["b", ("\\udfff", 1)], "c": None}
