from pathlib import Path

import pytest

from inferometer.gpu.pods.kubelet import Kubelet
from inferometer.gpu.pods.proto import PodResources, encode_list
from inferometer.gpu.pods.unary import CallError
from support.fake_kubelet import DISABLED, GPU_A, NOT_FOUND, GrpcKubelet, pod

PATIENCE_S = 30.0


def test_the_list_of_a_real_grpc_server_is_read(socket_path: Path) -> None:
    with GrpcKubelet(socket_path, [pod("a", GPU_A), pod("idle")]):
        assert Kubelet(socket_path, timeout_s=PATIENCE_S).pods() == (pod("a", GPU_A), pod("idle"))


@pytest.mark.parametrize("bytes_min", [64 << 10, 4 << 20])
def test_a_list_of_many_shared_devices_is_read_whole(socket_path: Path, bytes_min: int) -> None:
    count = bytes_min // 40 // 100 + 1
    pods = tuple(pod(f"p{n}", *(f"{GPU_A}::{slot}" for slot in range(100))) for n in range(count))
    with GrpcKubelet(socket_path, pods) as kubelet:
        assert len(kubelet.answer) > bytes_min
        assert Kubelet(socket_path, timeout_s=PATIENCE_S).pods() == pods


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x0a\x7fno such message", "garbage"),
        (encode_list((PodResources(),) * 5000), "too_many"),
    ],
)
def test_an_answer_that_is_no_list_has_its_reason(
    socket_path: Path, answer: bytes, reason: str
) -> None:
    with GrpcKubelet(socket_path) as server:
        server.answer = answer
        with pytest.raises(CallError) as caught:
            Kubelet(socket_path, timeout_s=PATIENCE_S).pods()
    assert caught.value.reason == reason


def test_get_that_is_disabled_tells_of_a_shut_gate_once(socket_path: Path) -> None:
    kubelet = Kubelet(socket_path, timeout_s=PATIENCE_S)
    with GrpcKubelet(socket_path) as server:
        server.get_failure = DISABLED
        assert [kubelet.gate_is_shut() for _ in range(3)] == [True, False, False]
        assert server.calls == ["Get"]


@pytest.mark.parametrize("failure", [NOT_FOUND, None])
def test_get_that_answers_tells_of_an_open_gate(
    socket_path: Path, failure: tuple[object, str] | None
) -> None:
    kubelet = Kubelet(socket_path, timeout_s=PATIENCE_S)
    with GrpcKubelet(socket_path) as server:
        server.get_failure = None if failure is None else NOT_FOUND
        assert [kubelet.gate_is_shut() for _ in range(3)] == [False, False, False]
        assert server.calls == ["Get"]


def test_a_new_kubelet_is_asked_again(socket_path: Path) -> None:
    kubelet = Kubelet(socket_path, timeout_s=PATIENCE_S)
    for _ in range(2):
        with GrpcKubelet(socket_path) as server:
            server.get_failure = DISABLED
            assert kubelet.gate_is_shut()


def test_a_kubelet_that_does_not_answer_is_asked_again_later(socket_path: Path) -> None:
    kubelet = Kubelet(socket_path, timeout_s=PATIENCE_S)
    assert not kubelet.gate_is_shut()  # there is no socket yet
    with GrpcKubelet(socket_path) as server:
        server.get_failure = (DISABLED[0].__class__.UNAVAILABLE, "starting")
        assert not kubelet.gate_is_shut()
        server.get_failure = DISABLED
        assert kubelet.gate_is_shut()


def test_a_kubelet_without_get_has_no_gate(socket_path: Path) -> None:
    kubelet = Kubelet(socket_path, timeout_s=PATIENCE_S)
    with GrpcKubelet(socket_path) as server:
        server.get_failure = (DISABLED[0].__class__.UNIMPLEMENTED, "unknown method Get")
        assert not kubelet.gate_is_shut()
        assert not kubelet.gate_is_shut()
        assert server.calls == ["Get"]
