"""GX-06: a kubelet that is missing, hanging, closing or lying costs labels, and no more."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from inferometer.gpu.pods.attribution import Attribution
from inferometer.gpu.pods.direct import Direct
from inferometer.gpu.pods.holders import MAP_AGE_S_MAX, Holder, Snapshot, Target
from inferometer.gpu.pods.kubelet import Kubelet
from inferometer.gpu.pods.mapfile import MapFile
from inferometer.gpu.pods.podmap import PodMap
from inferometer.gpu.pods.tick import Tick
from support.fake_kubelet import GPU_A, GPU_B, Call, GrpcKubelet, RawKubelet, pod
from support.sidecar import wait_until

pytestmark = pytest.mark.req("GX-06")

A = Holder("serving", "a", "vllm")
B = Holder("serving", "b", "vllm")
ONE = Target(uuid=GPU_A, minor=0)
TWO = Target(uuid=GPU_B, minor=1)


class Exporter:
    """The map as the exporter has it, with a clock that the test moves."""

    def __init__(self, socket_path: Path, logs: Path, *, timeout_s: float = 30) -> None:
        self.now_s = 1000.0
        clock = lambda: self.now_s  # noqa: E731 - a clock, not a function to be named
        source = Direct(Kubelet(socket_path, timeout_s=timeout_s), log_root=logs, clock=clock)
        self.map = PodMap(source, clock=clock)

    def look(self) -> Snapshot:
        self.now_s += 5
        self.map.cycle()
        return self.map.snapshot()


@pytest.fixture
def exporter(socket_path: Path, tmp_path: Path) -> Exporter:
    return Exporter(socket_path, tmp_path)


def hang(call: Call) -> None:
    call.stopped.wait(10)


def close(_call: Call) -> None:
    return


def close_in_the_middle(call: Call) -> None:
    call.head()
    call.message(b"\x0a", length=1000)


def lie_in_http(call: Call) -> None:
    call.sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" * 100)


def lie_in_grpc(call: Call) -> None:
    call.head()
    call.message(b"\x0a\x7f" + b"certainly not a pod")
    call.trailers()


def refuse(call: Call) -> None:
    call.head(("grpc-status", "7"), ("grpc-message", "no"), end=True)


def go_away(call: Call) -> None:
    call.h2.close_connection()
    call.flush()
    call.stopped.wait(10)


@pytest.mark.parametrize(
    ("script", "reasons"),
    [
        (close, {"closed"}),
        (close_in_the_middle, {"closed"}),
        (lie_in_http, {"closed", "protocol"}),
        (lie_in_grpc, {"garbage"}),
        (refuse, {"grpc_status"}),
        (go_away, {"goaway"}),
    ],
)
def test_a_kubelet_that_does_not_tell_the_truth_costs_the_labels_and_is_counted(
    exporter: Exporter, socket_path: Path, script: Callable[[Call], None], reasons: set[str]
) -> None:
    with RawKubelet(socket_path, script):
        found = exporter.look()
    assert not found.attributed
    assert found.of(ONE) is None
    (reason,) = found.errors
    assert reason in reasons
    assert found.errors[reason] == 1


def test_a_kubelet_that_hangs_costs_the_labels_and_is_counted(
    socket_path: Path, tmp_path: Path
) -> None:
    with RawKubelet(socket_path, hang):
        found = Exporter(socket_path, tmp_path, timeout_s=0.3).look()
    assert (found.attributed, found.of(ONE), found.errors) == (False, None, {"timeout": 1})


def test_a_missing_socket_costs_the_labels_and_is_counted(exporter: Exporter) -> None:
    found = exporter.look()
    assert (found.attributed, found.of(ONE), found.errors) == (False, None, {"socket_missing": 1})


def test_a_socket_that_is_made_anew_is_found_without_a_restart(
    exporter: Exporter, socket_path: Path
) -> None:
    for holder in (A, B):
        with GrpcKubelet(socket_path, [pod(holder.pod, GPU_A)]):
            assert exporter.look().of(ONE) == (holder,)
        assert exporter.look().of(ONE) == (holder,)  # the kubelet is away: believed for a while
    exporter.now_s += MAP_AGE_S_MAX
    assert exporter.look().of(ONE) is None


def test_after_a_re_allocation_the_old_pod_is_named_nowhere(
    exporter: Exporter, socket_path: Path
) -> None:
    with GrpcKubelet(socket_path, [pod("a", GPU_A), pod("b", GPU_B)]) as kubelet:
        assert (exporter.look().of(ONE), exporter.look().of(TWO)) == ((A,), (B,))
        kubelet.hold(pod("a", GPU_B), pod("b", GPU_A))
        found = exporter.look()
        assert (found.of(ONE), found.of(TWO)) == ((B,), (A,))
        kubelet.hold(pod("b", GPU_A))
        found = exporter.look()
        assert (found.of(ONE), found.of(TWO)) == ((B,), ())
        kubelet.hold(pod("a"))
        found = exporter.look()
        assert (found.of(ONE), found.of(TWO)) == ((), ())


def test_a_device_that_two_pods_are_listed_with_is_labelled_with_neither(
    exporter: Exporter, socket_path: Path
) -> None:
    with GrpcKubelet(socket_path, [pod("ended", GPU_A), pod("b", GPU_A)]):
        holders = exporter.look().of(ONE)
    assert holders is not None
    assert len(holders) == 2


def test_work_after_a_re_allocation_is_the_new_pods(exporter: Exporter, socket_path: Path) -> None:
    shares = Attribution(processes=False)
    with GrpcKubelet(socket_path, [pod("a", GPU_A)]) as kubelet:
        for name in ("a", "b"):
            kubelet.hold(pod(name, GPU_A))
            tick = Tick(dt_ns=10, busy_ns=10, holders=exporter.look().of(ONE))
            shares.take(tick, int(exporter.now_s * 1e9))
    busy = {total.holder: total.busy_ns for total in shares.totals()}
    assert (busy[A], busy[B]) == (10, 10)


def test_a_kubelet_without_dynamic_resources_is_as_good_as_one_with(
    exporter: Exporter, socket_path: Path
) -> None:
    listed = pod("a", GPU_A)
    assert listed.containers[0].claimed == ()
    with GrpcKubelet(socket_path, [listed]):
        assert exporter.look().of(ONE) == (A,)


def test_nobody_ever_waits_for_a_kubelet_that_hangs(socket_path: Path, tmp_path: Path) -> None:
    exporter = Exporter(socket_path, tmp_path)
    with GrpcKubelet(socket_path, [pod("a", GPU_A)]) as kubelet:
        kubelet.slow.clear()
        looking = threading.Thread(target=exporter.look)
        looking.start()
        wait_until(lambda: bool(kubelet.calls), what="the call that hangs")
        for _ in range(1000):
            assert not exporter.map.snapshot().attributed
        assert looking.is_alive()
        kubelet.slow.set()
        looking.join()
    assert exporter.map.snapshot().of(ONE) == (A,)


def test_of_a_pod_only_its_three_names_can_become_labels(
    exporter: Exporter, socket_path: Path
) -> None:
    with GrpcKubelet(socket_path, [pod("a", GPU_A)]):
        holders = exporter.look().of(ONE)
    assert holders is not None
    assert [one._fields for one in holders] == [("namespace", "pod", "container")]


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"version":2}', b"\xff" * 100])
def test_a_map_file_that_is_missing_or_broken_costs_the_labels_and_is_counted(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "map.json").write_bytes(content)
    pods = PodMap(MapFile(tmp_path / "map.json"))
    pods.cycle()
    found = pods.snapshot()
    assert (found.attributed, found.of(ONE)) == (False, None)
    assert sum(found.errors.values()) == 1
