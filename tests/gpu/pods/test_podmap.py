import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.gpu.pods.apiserver import ApiServer
from inferometer.gpu.pods.holders import (
    MAP_AGE_S_MAX,
    DeviceKey,
    Holder,
    MapError,
    Snapshot,
)
from inferometer.gpu.pods.mapfile import MapFile, decode
from inferometer.gpu.pods.podmap import Places, PodMap, direct, run_podmap
from inferometer.stopping import Stop
from support.fake_kubelet import GPU_A, GPU_B, GrpcKubelet, pod

A = Holder("serving", "a", "vllm")
B = Holder("serving", "b", "vllm")
GPU = DeviceKey(uuid=GPU_A)


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.005)


class Source:
    """A source that says what the test puts into it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.says: Snapshot | Exception = Snapshot()
        self.errors: Mapping[str, int] = {}

    def read(self) -> Snapshot:
        if isinstance(self.says, Exception):
            raise self.says
        return replace(self.says, taken_s=self.now_s)

    def hold(self, **devices: Holder) -> None:
        holders = {DeviceKey(uuid=uuid): (holder,) for uuid, holder in devices.items()}
        self.says = Snapshot(holders=holders, attributed=True)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def podmap(source: Source) -> PodMap:
    return PodMap(source, clock=lambda: source.now_s)


def test_before_the_first_map_nothing_is_attributed(podmap: PodMap) -> None:
    assert podmap.snapshot() == Snapshot()


def test_the_newest_map_is_the_only_one(source: Source, podmap: PodMap) -> None:
    source.hold(one=A, two=B)
    podmap.cycle()
    source.hold(one=B)
    podmap.cycle()
    assert podmap.snapshot().holders == {DeviceKey(uuid="one"): (B,)}


def test_the_last_map_stays_for_a_minute_and_then_names_nobody(
    source: Source, podmap: PodMap
) -> None:
    source.hold(one=A)
    podmap.cycle()
    source.says = MapError(reason="timeout")
    source.now_s = MAP_AGE_S_MAX
    podmap.cycle()
    assert podmap.snapshot().holders == {DeviceKey(uuid="one"): (A,)}
    source.now_s += 1
    podmap.cycle()
    dropped = podmap.snapshot()
    assert dropped == Snapshot(taken_s=0.0, errors={"timeout": 2})
    assert dropped.age_s(source.now_s) == MAP_AGE_S_MAX + 1
    source.hold(one=B)
    podmap.cycle()
    assert podmap.snapshot().holders == {DeviceKey(uuid="one"): (B,)}


def test_a_thread_that_hangs_does_not_keep_the_map_alive(source: Source, podmap: PodMap) -> None:
    source.hold(one=A)
    podmap.cycle()
    source.now_s = MAP_AGE_S_MAX + 1
    assert not podmap.snapshot().attributed
    assert podmap.snapshot().holders == {}


def test_errors_of_the_source_and_of_reading_it_add_up(source: Source, podmap: PodMap) -> None:
    source.errors = {"device_id": 2, "timeout": 1}
    source.says = MapError(reason="timeout")
    podmap.cycle()
    assert podmap.snapshot().errors == {"device_id": 2, "timeout": 2}


def test_a_fault_of_ours_is_counted_and_the_next_cycle_comes(
    source: Source, podmap: PodMap
) -> None:
    source.says = ZeroDivisionError()
    podmap.cycle()
    assert podmap.snapshot().errors == {"internal": 1}
    source.hold(one=A)
    podmap.cycle()
    assert podmap.snapshot().attributed


def test_other_tasks_are_done_in_each_cycle_and_may_fail(source: Source) -> None:
    done: list[int] = []

    def failing() -> None:
        raise ZeroDivisionError

    podmap = PodMap(source, clock=lambda: 0.0, also=[failing, lambda: done.append(1)])
    source.hold(one=A)
    podmap.cycle()
    podmap.cycle()
    assert done == [1, 1]
    assert podmap.snapshot().errors == {"internal": 2}
    assert podmap.snapshot().attributed


def test_what_is_published_is_what_is_read_and_may_fail(source: Source) -> None:
    published: list[Snapshot] = []

    def publish(snapshot: Snapshot) -> None:
        published.append(snapshot)
        raise PermissionError(13, "no")

    podmap = PodMap(source, clock=lambda: 0.0, published=publish)
    podmap.cycle()
    podmap.cycle()
    assert [one.errors for one in published] == [{}, {"write": 1}]


def test_the_thread_reads_at_once_and_ends_when_told(source: Source) -> None:
    source.hold(one=A)
    podmap = PodMap(source, period_s=0.01, clock=lambda: 0.0)
    podmap.start()
    wait_for(lambda: podmap.snapshot().attributed)
    podmap.stop()
    wait_for(lambda: not any(one.name == "podmap" for one in threading.enumerate()))


def test_a_source_that_hangs_delays_neither_start_nor_snapshot_nor_stop() -> None:
    released = threading.Event()

    class Hanging(Source):
        def read(self) -> Snapshot:
            released.wait(30)
            return super().read()

    started_s = time.monotonic()
    podmap = PodMap(Hanging())
    podmap.start()
    assert not podmap.snapshot().attributed
    podmap.stop()
    assert time.monotonic() - started_s < 5
    released.set()


def test_a_map_that_was_never_started_can_be_stopped(podmap: PodMap) -> None:
    podmap.stop()


def test_places_may_have_an_api_server(tmp_path: Path) -> None:
    api = ApiServer(host="127.0.0.1", port=1, node="n")
    for places in (Places(api=api), Places(kubelet_socket=tmp_path / "none")):
        assert direct(places).errors == {}


def test_the_program_writes_the_map_until_it_is_told_to_stop(
    socket_path: Path, tmp_path: Path
) -> None:
    file, stop = tmp_path / "map.json", Stop()
    places = Places(kubelet_socket=socket_path, log_root=tmp_path)
    codes: list[int] = []
    program = threading.Thread(
        target=lambda: codes.append(run_podmap(places, file, period_s=0.05, stop=stop))
    )
    reader = PodMap(MapFile(file))
    with GrpcKubelet(socket_path, [pod("a", GPU_A)]) as kubelet:
        program.start()

        def says(holders: Mapping[DeviceKey, tuple[Holder, ...]]) -> bool:
            reader.cycle()
            return reader.snapshot().holders == holders

        wait_for(lambda: says({GPU: (A,)}))
        kubelet.hold(pod("b", GPU_A), pod("a", GPU_B))
        wait_for(lambda: says({GPU: (B,), DeviceKey(uuid=GPU_B): (A,)}))
    stop.set()
    program.join(10)
    assert codes == [0]


PROGRAM = """
import sys
from pathlib import Path
from inferometer.gpu.pods.podmap import Places, run_podmap
socket, logs, file = map(Path, sys.argv[1:])
sys.exit(run_podmap(Places(kubelet_socket=socket, log_root=logs), file, period_s=0.05))
"""


@contextlib.contextmanager
def running(socket_path: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [str(socket_path), str(tmp_path), str(tmp_path / "map.json")]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_even_while_the_kubelet_hangs(
    socket_path: Path, tmp_path: Path, number: int
) -> None:
    file = tmp_path / "map.json"
    with GrpcKubelet(socket_path) as kubelet, running(socket_path, tmp_path) as process:
        wait_for(file.exists)
        kubelet.slow.clear()
        asked = len(kubelet.calls)
        wait_for(lambda: len(kubelet.calls) > asked)
        started_s = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - started_s < 2


def test_the_program_says_in_the_file_what_fails(socket_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    with running(socket_path, tmp_path):
        wait_for(file.exists)
        wait_for(lambda: json.loads(file.read_bytes())["errors"].get("socket_missing", 0) > 1)
        assert not decode(file.read_bytes(), now_s=0.0).attributed
