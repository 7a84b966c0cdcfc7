"""A message goes out at once, or is dropped and counted."""

import os
from collections.abc import Iterator

import pytest

from inferometer.gpu.child.outbox import PIPE_BYTES, Outbox
from inferometer.gpu.messages import MESSAGE_BYTES_MAX, Failure, Hello, Message
from inferometer.gpu.supervision.decoding import Decoder

LARGE = Failure("", "x" * (MESSAGE_BYTES_MAX - 100), None)


class Pipe:
    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.writing = writing
        self.outbox = Outbox(writing)
        self.decoder = Decoder()

    def read(self, size: int = PIPE_BYTES * 2) -> list[Message]:
        try:
            return self.decoder.feed(os.read(self.reading, size))
        except BlockingIOError:
            return []


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reading, pipe.writing):
        try:
            os.close(fd)
        except OSError:
            continue


def test_a_message_arrives(pipe: Pipe) -> None:
    assert pipe.outbox.send(Failure("a", "b", 3))
    assert pipe.read() == [Failure("a", "b", 3)]


def test_a_full_pipe_drops_and_counts_and_never_blocks(pipe: Pipe) -> None:
    sent = sum(pipe.outbox.send(LARGE) for _ in range(20))
    assert 0 < sent < 20
    assert pipe.outbox.dropped == 20 - sent


def test_what_was_sent_in_part_is_finished_before_anything_else(pipe: Pipe) -> None:
    sent: list[Message] = []
    received: list[Message] = []
    for number in range(2000):
        message = Failure(str(number), "x" * (number * 37 % 5000), number)
        if pipe.outbox.send(message):
            sent.append(message)
        if number % 3 == 0:
            received += pipe.read(4099)
    while pipe.outbox.send(Hello("", (), None)) is False:
        received += pipe.read()
    sent.append(Hello("", (), None))
    while len(received) < len(sent):
        received += pipe.read()
    assert received == sent
    assert pipe.outbox.dropped > 0


def test_a_message_that_is_too_large_is_dropped_and_counted(pipe: Pipe) -> None:
    assert not pipe.outbox.send(Failure("", "x" * MESSAGE_BYTES_MAX, None))
    assert pipe.outbox.dropped == 1
    assert not pipe.outbox.closed


def test_a_reader_that_is_gone_is_noticed(pipe: Pipe) -> None:
    os.close(pipe.reading)
    assert not pipe.outbox.send(Hello("", (), None))
    assert pipe.outbox.closed
