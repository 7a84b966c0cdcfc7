"""Children that are to end."""

import signal

import pytest

from inferometer.gpu.supervision.endings import Endings


class Child:
    """A child that ends by the signals it is given, if at all."""

    messages_fd = errors_fd = -1
    pid = 1

    def __init__(self, *ends_by: int) -> None:
        self._ends_by = ends_by
        self.signals: list[int] = []

    def poll(self) -> int | None:
        ended = [number for number in self.signals if number in self._ends_by]
        return -ended[0] if ended else None

    def send(self, number: int) -> None:
        self.signals.append(number)

    def close(self) -> None:
        raise AssertionError


@pytest.fixture
def endings() -> Endings:
    return Endings(kill_s=2.0, unkillable_s=1.0)


def test_a_child_is_asked_first(endings: Endings) -> None:
    child = Child(signal.SIGTERM)
    endings.add(child, 10)
    endings.step(10)
    assert (endings.alive, child.signals) == (0, [signal.SIGTERM])


def test_and_killed_after_two_seconds(endings: Endings) -> None:
    child = Child(signal.SIGKILL)
    endings.add(child, 10)
    endings.step(11.9)
    assert (endings.alive, child.signals) == (1, [signal.SIGTERM])
    endings.step(12)
    endings.step(12)
    assert (endings.alive, child.signals) == (0, [signal.SIGTERM, signal.SIGKILL])


def test_one_that_outlives_that_by_a_second_is_unkillable(endings: Endings) -> None:
    child = Child()
    endings.add(child, 10)
    endings.step(12)
    assert endings.unkillable(12.9) == 0
    assert endings.unkillable(13) == 1
    endings.step(100)
    assert child.signals == [signal.SIGTERM, signal.SIGKILL], "it is killed once"
    assert endings.alive == 1


def test_in_a_hurry_it_is_killed_sooner(endings: Endings) -> None:
    child = Child()
    endings.add(child, 10)
    endings.hurry(10.5)
    endings.hurry(20)
    endings.step(10.5)
    assert child.signals == [signal.SIGTERM, signal.SIGKILL]
