"""The whole demo, as a user runs it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from inferometer.demo.cli import duration_s, environment
from inferometer.demo.settings import SECONDS_ALONE, Settings
from support.process import alive
from support.sidecar import wait_until

COMMAND = [sys.executable, "-m", "inferometer.cli", "demo"]


def clean(**more: str) -> Mapping[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("INFEROMETER_", "DEMO_"))}
    return {**own, **more}


def children(pid: int) -> set[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(word) for word in listed}


def test_demo_seconds_is_another_name_of_the_setting() -> None:
    assert environment({"DEMO_SECONDS": "5"}) == {
        "DEMO_SECONDS": "5",
        "INFEROMETER_DEMO_SECONDS": "5",
    }
    assert (
        environment({"DEMO_SECONDS": "5", "INFEROMETER_DEMO_SECONDS": "6"})[
            "INFEROMETER_DEMO_SECONDS"
        ]
        == "6"
    )
    assert environment({}) == {}


@pytest.mark.parametrize(
    ("seconds", "terminal", "expected"),
    [(0, "a terminal", None), (0, "", SECONDS_ALONE), (3, "a terminal", 3), (3, "", 3)],
)
def test_at_a_terminal_it_runs_until_it_is_told_to_end(
    seconds: float, terminal: str, expected: float | None
) -> None:
    assert duration_s(Settings(seconds=seconds), terminal=bool(terminal)) == expected


def test_a_wrong_setting_starts_nothing() -> None:
    done = subprocess.run(
        COMMAND, env=clean(DEMO_SECONDS="soon"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "seconds must be a number" in done.stderr


def test_the_demo_ends_by_itself_and_what_was_measured_is_what_the_server_did() -> None:
    done = subprocess.run(
        COMMAND,
        env=clean(DEMO_SECONDS="4"),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("first tokens", "input tokens", "output tokens", "requests: success"):
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(name))
        assert line.endswith("none"), done.stdout
    assert re.search(r"added to a request +[0-9.]+ ms", done.stdout)
    assert "live page: http://127.0.0.1:" in done.stderr


class Running:
    """A demo that runs until it is told to end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stderr is not None
        for line in process.stderr:
            if "live page" in line:
                self.url = line.split()[-1]
            if "it ends by itself" in line:
                break
        self.children = children(process.pid)


def test_ctrl_c_ends_it_in_order_and_no_child_stays() -> None:
    """Two at a time, since each waits for the answers that have begun."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        demos = [
            stack.enter_context(
                subprocess.Popen(
                    [*COMMAND, "--seconds", "600"],
                    env=clean(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in numbers
        ]
        for demo in demos:
            stack.callback(demo.kill)
        running = [Running(demo) for demo in demos]
        for one, number in zip(running, numbers, strict=True):
            with urllib.request.urlopen(one.url, timeout=5) as answer:
                assert answer.status == 200
            assert len(one.children) == 3
            one.process.send_signal(number)
        told = [demo.communicate(timeout=60)[0] for demo in demos]
    assert [demo.returncode for demo in demos] == [0, 0]
    assert all("what the sidecar cost" in words for words in told)
    assert not any(map(alive, running[0].children | running[1].children))


def test_if_the_demo_is_killed_its_children_go_too() -> None:
    with subprocess.Popen(
        [*COMMAND, "--seconds", "600"], env=clean(), stderr=subprocess.PIPE, text=True
    ) as demo:
        started = Running(demo).children
        demo.kill()
    assert len(started) == 3
    wait_until(lambda: not any(map(alive, started)))


def test_a_process_that_dies_ends_the_demo_with_its_last_words() -> None:
    with subprocess.Popen(
        [*COMMAND, "--seconds", "600"], env=clean(), stderr=subprocess.PIPE, text=True
    ) as demo:
        for pid in Running(demo).children:
            if "inferometer.demo.model" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
        _, said = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "the demo's model ended by itself" in said
