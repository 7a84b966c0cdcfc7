"""What is read from a child's pipes."""

import fcntl
import os
from collections.abc import Iterator

import pytest

from inferometer.gpu.messages import Bye, Failure, encode
from inferometer.gpu.supervision.charge import (
    LINE_BYTES_MAX,
    LINES_PER_S,
    READ_BYTES,
    READS_MAX,
    Charge,
    Lines,
)
from inferometer.gpu.supervision.decoding import GarbageError


class Pipes:
    """A child of which there are only the pipes."""

    pid = 1

    def __init__(self) -> None:
        self.messages_fd, self.messages_end = os.pipe()
        self.errors_fd, self.errors_end = os.pipe()
        for fd in (self.messages_fd, self.errors_fd):
            os.set_blocking(fd, False)

    def poll(self) -> int | None:
        return None

    def send(self, number: int) -> None:
        raise AssertionError(number)

    def close(self) -> None:
        os.close(self.messages_fd)
        os.close(self.errors_fd)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    pipes.close()


@pytest.fixture
def charge(pipes: Pipes) -> Charge:
    return Charge(pipes, 0.0)


def test_messages_are_read_until_there_are_no_more(pipes: Pipes, charge: Charge) -> None:
    assert charge.read() == ([], False)
    os.write(pipes.messages_end, encode(Failure("a", "", None)) + encode(Bye()))
    assert charge.read() == ([Failure("a", "", None), Bye()], False)
    os.write(pipes.messages_end, encode(Bye()))
    os.close(pipes.messages_end)
    os.close(pipes.errors_end)
    assert charge.read() == ([Bye()], True)


def test_one_reading_is_bounded(pipes: Pipes, charge: Charge) -> None:
    room = fcntl.fcntl(pipes.messages_end, fcntl.F_SETPIPE_SZ, 2 * READS_MAX * READ_BYTES)
    data = encode(Failure("x" * 1000, "", None))
    count = (READS_MAX + 2) * READ_BYTES // len(data)
    assert count * len(data) < room
    os.write(pipes.messages_end, data * count)
    first, over = charge.read()
    assert len(first) == READS_MAX * READ_BYTES // len(data)
    assert not over
    assert len(charge.read()[0]) == count - len(first)


def test_garbage_is_refused(pipes: Pipes, charge: Charge) -> None:
    os.write(pipes.messages_end, b"\xff" * 8)
    with pytest.raises(GarbageError):
        charge.read()


def test_what_a_child_says_is_logged(
    pipes: Pipes, charge: Charge, caplog: pytest.LogCaptureFixture
) -> None:
    os.write(pipes.errors_end, b"one\ntw")
    assert charge.relay("nvml", 1.0)
    os.write(pipes.errors_end, b"o\n")
    assert charge.relay("nvml", 1.0)
    assert charge.relay("nvml", 1.0)
    assert [vars(record)["line"] for record in caplog.records] == ["one", "two"]
    os.close(pipes.errors_end)
    assert not charge.relay("nvml", 1.0)


def test_lines_are_bounded_in_number_each_second() -> None:
    lines = Lines()
    assert len(lines.take(b"x\n" * (LINES_PER_S - 1), 5.0)) == LINES_PER_S - 1
    assert lines.take(b"y\n" * 3, 5.9) == ["y"]
    assert lines.left_out == 2
    assert lines.take(b"z\n", 6.0) == ["z"]


def test_lines_are_bounded_in_length() -> None:
    lines = Lines()
    for _ in range(10):
        assert lines.take(b"x" * LINE_BYTES_MAX, 0.0) == []
    assert lines.take(b"y\n\n", 0.0) == ["x" * LINE_BYTES_MAX]


def test_lines_that_are_no_text_are_made_text() -> None:
    assert Lines().take(b"\xffa\n", 0.0) == ["\ufffda"]
