"""The child as a process: how it begins, what it obeys, how it ends."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.gpu.messages import Bye, Failure, Heartbeat, Hello, Message
from inferometer.gpu.sample import Sample
from inferometer.gpu.supervision.decoding import Decoder
from inferometer.gpu.supervision.spawn import ChildCommand, Process, launch
from support.gpu_child import MODULE, PACE, command, path_to_support
from support.process import rss_bytes
from support.scripted_backend import Script
from support.sidecar import wait_until

END_S = 6.0
"""Two seconds and what a busy machine adds; a benchmark holds the exporter to the two."""


class Run:
    """A child with what it has sent."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._decoder = Decoder()
        self._messages: list[Message] = []
        self._said = b""

    def messages(self) -> list[Message]:
        with suppress(BlockingIOError):
            self._messages += self._decoder.feed(os.read(self.process.messages_fd, 1 << 20))
        return self._messages

    def said(self) -> bytes:
        with suppress(BlockingIOError):
            self._said += os.read(self.process.errors_fd, 1 << 20)
        return self._said

    def heard(self, kind: type) -> Callable[[], bool]:
        return lambda: any(isinstance(message, kind) for message in self.messages())

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and return how long the process took to end."""
        began_s = time.monotonic()
        self.process.send(number)
        wait_until(lambda: self.process.poll() is not None, what="its end")
        return time.monotonic() - began_s


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path / "script.json")


@pytest.fixture
def start(script: Script) -> Iterator[Callable[..., Run]]:
    with path_to_support(), ExitStack() as stack:

        def start(script: Script = script, **changes: object) -> Run:
            run = Run(launch(replace(command(script), **changes)))  # type: ignore[arg-type]
            stack.callback(run.process.close)
            stack.callback(run.end, signal.SIGKILL)
            return run

        yield start


def test_it_says_hello_samples_and_beats(start: Callable[..., Run]) -> None:
    run = start()
    for kind in (Hello, Sample, Heartbeat):
        wait_until(run.heard(kind), what=kind.__name__)


@pytest.mark.alone
@pytest.mark.req("GX-02")
def test_it_ends_in_good_order_when_told(start: Callable[..., Run]) -> None:
    run = start()
    wait_until(run.heard(Sample), what="a sample")
    assert run.end() < END_S
    assert run.process.poll() == 0
    wait_until(run.heard(Bye), what="its last word")


@pytest.mark.req("GX-02")
def test_it_ends_in_time_whatever_hangs(start: Callable[..., Run], tmp_path: Path) -> None:
    runs = [
        start(Script(tmp_path / f"{name}.json", **{name: who}))
        for name, who in {"hang": [0, 1], "hang_probe": [0, 1], "hang_discover": [True]}.items()
    ]
    wait_until(lambda: all(map(_hangs, runs)), what="three hangs")
    for run in runs:
        run.process.send(signal.SIGTERM)
    wait_until(lambda: all(map(_ended, runs)), wait_s=END_S, what="their ends")
    assert [run.process.poll() for run in runs] == [0, 0, 0]


def _hangs(run: Run) -> bool:
    beats = [m for m in run.messages() if isinstance(m, Heartbeat)]
    return any(beat.in_flight.keys() - {"events"} for beat in beats)  # that one may always wait


def _ended(run: Run) -> bool:
    return run.process.poll() is not None


def test_it_ends_when_nobody_listens_any_more(start: Callable[..., Run], script: Script) -> None:
    script.set(hang=[0])
    run = start()
    wait_until(run.heard(Sample), what="a sample")
    run.process.close()
    wait_until(lambda: run.process.poll() is not None, what="its end")


def test_what_a_terminal_sends_is_not_for_it(start: Callable[..., Run]) -> None:
    run = start()
    wait_until(run.heard(Sample), what="a sample")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        run.process.send(number)
    seen = len(run.messages())
    wait_until(lambda: len(run.messages()) > seen + 5, what="more messages")


@pytest.mark.parametrize(
    ("module", "expected"),
    [("no.such.module", ("backend", None)), (MODULE, ("library_not_found", 12))],
)
def test_without_a_library_it_says_why_and_ends(
    start: Callable[..., Run], script: Script, module: str, expected: tuple[str, int | None]
) -> None:
    script.set(fail_to_open={"reason": "library_not_found", "code": 12})
    run = start(module=module)
    wait_until(lambda: run.process.poll() is not None, what="its end")
    assert run.process.poll() == 1
    (failure,) = (m for m in run.messages() if isinstance(m, Failure))
    assert (failure.reason, failure.code) == expected


def test_a_wrong_command_line_is_told_to_humans(start: Callable[..., Run]) -> None:
    run = start(backend="no_such_backend")
    wait_until(lambda: run.process.poll() is not None, what="its end")
    assert run.process.poll() == 2
    assert b"invalid choice" in run.said()


def test_one_whose_server_died_before_it_began_does_not_begin(script: Script) -> None:
    class Orphan(ChildCommand):
        def argv(self) -> list[str]:
            argv = super().argv()
            argv[argv.index("--parent") + 1] = "1"
            return argv

    with path_to_support():
        child = launch(Orphan(backend="nvml", options=command(script).options, module=MODULE))
        wait_until(lambda: child.poll() is not None, what="its end")
        assert child.poll() == 0
        assert os.read(child.messages_fd, 100) == b""
        child.close()


def test_its_memory_is_small(start: Callable[..., Run], script: Script) -> None:
    script.set(devices=8)
    run = start(pace=PACE)
    wait_until(run.heard(Heartbeat), what="a heartbeat")
    wait_until(run.heard(Sample), what="a sample")
    assert rss_bytes(run.process.pid) < 24 << 20
