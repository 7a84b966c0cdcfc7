"""`inferometer gpu-exporter record`: a capture of all devices, and what stops it."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inferometer.errors import WorldError
from inferometer.gpu import record
from inferometer.gpu.backend import DeviceError
from inferometer.gpu.quantities import Tier
from support.fake_nvml import FakeNvml, Scenario, until
from support.nvml_capture import load

LOST = DeviceError("lost", "it is gone", code=15)
PROGRAM = [sys.executable, "-m", "inferometer.cli", "gpu-exporter", "record"]


@contextmanager
def start(fake: FakeNvml, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*PROGRAM, *words],
        env={**os.environ, **fake.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # of no use to one that has ended, and the end of one that hangs


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_capture_of_a_node_can_be_replayed(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, Scenario.node("h100", "t4"))
    path = tmp_path / "node.jsonl"
    with start(fake, str(path), "--seconds", "0.5", "--tick-s", "0.2") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith(f"{path}: 2 devices, ")
    assert lines(path)[-1]["end"] == "done"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    scenario = load(path.read_text().splitlines()).scenario
    assert scenario.get("dev.0.nvmlDeviceGetName.value") == "NVIDIA H100 80GB HBM3"
    assert scenario.get("dev.1.nvmlDeviceGetName.value") == "Tesla T4"


def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, "h100")
    path = tmp_path / "node.jsonl"
    with start(fake, str(path), "--seconds", "3600") as process:
        until(lambda: fake.counts(process.pid).total("nvmlEventSetWait_v2") > 0, within_s=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert lines(path)[-1]["end"] == "done"
    assert fake.counts(process.pid).live["gpm_samples"] == 0
    assert fake.counts(process.pid).live["init"] == 0


def test_a_full_file_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "node.jsonl"
    words = [str(path), "--seconds", "600", "--tick-s", "0.2", "--mib-max", "1"]
    crowd = [(pid, 1 << 40) for pid in range(10_000, 14_000)]
    node = Scenario.node("h100", "h100")
    fake = FakeNvml(tmp_path, node.processes(crowd, device=0).processes(crowd, device=1))
    with start(fake, *words) as process:
        out, _ = process.communicate(timeout=60)
    assert out.endswith(", full\n")
    assert lines(path)[-1]["end"] == "full"
    assert path.stat().st_size <= 1 << 20


def test_no_driver_is_told(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, Scenario.profile("h100").fail("nvmlInitWithFlags", 9, device=None))
    with start(fake, str(tmp_path / "none.jsonl")) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "driver_not_loaded" in err


def test_a_capture_that_is_there_outlives_an_attempt_without_a_driver(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    path.write_text("precious")
    with pytest.raises(WorldError):
        record.main([str(path), "--nvml-library", str(tmp_path / "none.so")])
    assert path.read_text() == "precious"


def test_a_driver_that_opens_no_device_is_told(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, Scenario.profile("h100").fail("*", 999))
    with start(fake, str(tmp_path / "none.jsonl")) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no device can be opened" in err
    assert lines(tmp_path / "none.jsonl")[0]["driver"] == "580.95.05"


@pytest.mark.parametrize(
    ("symbol", "device"), [("nvmlEventSetWait_v2", None), ("nvmlDeviceRegisterEvents", 0)]
)
def test_events_that_fail_at_once_are_not_asked_for_at_once_again(
    tmp_path: Path, symbol: str, device: int | None
) -> None:
    fake = FakeNvml(tmp_path, Scenario.profile("h100").fail(symbol, 999, device=device))
    path = tmp_path / "node.jsonl"
    with start(fake, str(path), "--seconds", "0.5", "--tick-s", "0.2") as process:
        assert process.wait(60) == 0
    assert 1 <= fake.counts(process.pid).total(symbol) <= 5
    assert lines(path)[-1]["end"] == "done"


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, "h100")
    with start(fake, str(tmp_path / "no" / "such.jsonl")) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written" in err


@pytest.mark.parametrize("words", [[], ["a", "b"]])
def test_one_file_is_needed(tmp_path: Path, words: list[str]) -> None:
    with start(FakeNvml(tmp_path, "h100"), *words) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"takes one file, got {len(words)}" in err


class Counting:
    """A device that notes its tiers, and fails in the slow one."""

    def __init__(self) -> None:
        self.tiers: list[Tier] = []

    def sample(self, tier: Tier) -> None:
        self.tiers.append(tier)
        if tier == "slow":
            raise LOST


def test_tiers_have_their_periods_and_a_failing_device_goes_on() -> None:
    device: Any = Counting()
    left = iter([True] * 59)
    record.run([device], 1.0, lambda _: next(left, False))
    assert [device.tiers.count(tier) for tier in ("fast", "process", "slow")] == [60, 12, 2]
