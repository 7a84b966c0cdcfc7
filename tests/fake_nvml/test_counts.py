"""The driver tells what was called, by whom, and which rules were broken."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.fake_nvml import Counts, FakeNvml, until

PROGRAM = """
import sys, pynvml
pynvml.nvmlInit()
device = pynvml.nvmlDeviceGetHandleByIndex(0)
print(pynvml.nvmlDeviceGetName(device), flush=True)
if "wait" in sys.argv:
    sys.stdin.readline()
    pynvml.nvmlDeviceGetPowerUsage(device)
while "loop" in sys.argv:
    pynvml.nvmlDeviceGetUtilizationRates(device)
"""


@contextmanager
def start(fake: FakeNvml, how: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        env={**os.environ, **fake.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # of no use to one that has ended, and the end of one that hangs


def in_thread(work: Callable[[], Any]) -> int:
    """Do the work in another thread; return its id."""
    ids: list[int] = []

    def run() -> None:
        work()
        ids.append(threading.get_native_id())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return ids[0]


def test_calls_are_counted_by_symbol_device_and_thread(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    binding.nvmlDeviceGetPowerUsage(device)
    other = in_thread(lambda: binding.nvmlDeviceGetPowerUsage(device))
    here = threading.get_native_id()
    counts = fake.counts()
    assert counts.calls["nvmlDeviceGetPowerUsage", 0, -1, here] == 1
    assert counts.calls["nvmlDeviceGetPowerUsage", 0, -1, other] == 1
    assert counts.calls["nvmlInitWithFlags", -1, -1, here] == 1
    assert counts.total("nvmlDeviceGetPowerUsage") == 2
    assert counts.total("nvmlDeviceGetPowerUsage", device=1) == 0
    assert counts.threads(device=0) == {here, other}
    assert counts.live["init"] == 1


def test_forbidden_calls_are_told(binding: Any, fake: FakeNvml, device: Any, code: Any) -> None:
    assert fake.counts().violations["forbidden"] == 0
    code(binding.nvmlDeviceGetPcieThroughput, device, 0)
    code(binding.nvmlDeviceGetGpuInstances, device, 0, None, None)
    assert fake.counts().violations["forbidden"] == 2


def test_a_buffer_of_samples_belongs_to_one_thread(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    sample = binding.nvmlGpmSampleAlloc()  # allocating in the main thread is no use
    in_thread(lambda: binding.nvmlGpmSampleGet(device, sample))
    assert fake.counts().violations["gpm_threads"] == 0
    in_thread(lambda: binding.nvmlGpmSampleGet(device, sample))
    assert fake.counts().violations["gpm_threads"] == 1


def test_each_of_the_two_buffers_of_a_request_counts(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    request = binding.c_nvmlGpmMetricsGet_t(version=1, numMetrics=1)
    request.sample1, request.sample2 = binding.nvmlGpmSampleAlloc(), binding.nvmlGpmSampleAlloc()
    in_thread(lambda: binding.nvmlGpmSampleGet(device, request.sample1))
    fake.step(1_000_000)
    binding.nvmlGpmSampleGet(device, request.sample2)
    binding.nvmlGpmMetricsGet(request)
    assert fake.counts().violations["gpm_threads"] == 1


def test_the_use_of_a_freed_buffer_is_told_and_harmless(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    sample = binding.nvmlGpmSampleAlloc()
    binding.nvmlGpmSampleFree(sample)
    assert code(binding.nvmlGpmSampleGet, device, sample) == 2
    assert code(binding.nvmlGpmSampleFree, sample) == 2
    assert fake.counts().violations["gpm_freed"] == 2


def test_a_whole_program_loads_it_and_leaves_its_counts(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, "l40s")
    with start(fake, "end") as process:
        out, _ = process.communicate(timeout=30)
    assert out == "NVIDIA L40S\n"
    assert fake.counts(process.pid).total("nvmlDeviceGetName", device=0) == 1


def test_a_running_program_is_asked(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, "l40s")
    with start(fake, "loop") as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = fake.counts(process.pid)
        second = fake.counts(process.pid)
    assert second.total("nvmlDeviceGetUtilizationRates") > first.total(
        "nvmlDeviceGetUtilizationRates"
    )


def test_a_program_that_hangs_answers_too(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, "l40s")
    with start(fake, "wait") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        fake.scenario.hang("nvmlDeviceGetPowerUsage")
        fake.publish()
        process.stdin.write("\n")
        process.stdin.flush()
        until(lambda: fake.counts(process.pid).live["hung"] == 1)


def test_what_was_written_is_read_back() -> None:
    text = "call a 0 -1 7 3\ncall a 1 -1 7 4\nviolation forbidden 2\nlive hung 1\nwish 5\n"
    counts = Counts.parse(text)
    assert counts.total("a") == 7
    assert counts.total("a", device=1) == 4
    assert (counts.violations["forbidden"], counts.live["hung"], counts.wish) == (2, 1, 5)
    assert (counts.violations["other"], counts.live["other"]) == (0, 0)
