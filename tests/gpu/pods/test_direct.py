from pathlib import Path

import pytest

from inferometer.gpu.pods import direct
from inferometer.gpu.pods.apiserver import ApiServer, Slices
from inferometer.gpu.pods.direct import Direct
from inferometer.gpu.pods.holders import DeviceKey, Holder, MapError, PodName
from inferometer.gpu.pods.kubelet import Kubelet
from inferometer.gpu.pods.proto import (
    ClaimedDevice,
    ContainerResources,
    PluginDevices,
    PodResources,
    encode_list,
)
from support.fake_kubelet import DISABLED, GPU_A, GPU_B, GrpcKubelet, pod

A = Holder("serving", "a", "vllm")
B = Holder("serving", "b", "vllm")
PATIENCE_S = 30.0
UID = "5f1d2c3b-aaaa-bbbb-cccc-0123456789ab"


@pytest.fixture
def source(socket_path: Path, tmp_path: Path) -> Direct:
    return Direct(
        Kubelet(socket_path, timeout_s=PATIENCE_S), log_root=tmp_path, clock=lambda: 100.0
    )


def claiming(name: str, *claims: ClaimedDevice) -> PodResources:
    return PodResources(name, "serving", (ContainerResources("vllm", (), claims),))


def test_the_map_says_who_holds_what_and_since_when_it_is_true(
    source: Direct, socket_path: Path, tmp_path: Path
) -> None:
    (tmp_path / f"serving_a_{UID}" / "vllm").mkdir(parents=True)
    with GrpcKubelet(socket_path, [pod("a", GPU_A), pod("b", f"{GPU_B}::0"), pod("none")]):
        found = source.read()
    assert found.attributed
    assert found.taken_s == 100.0
    assert found.holders == {DeviceKey(uuid=GPU_A): (A,), DeviceKey(uuid=GPU_B): (B,)}
    assert found.pods == {UID: PodName("serving", "a", ("vllm",))}
    assert source.errors == {}


def test_many_slots_are_one_holder_and_sharers_are_all_told(
    source: Direct, socket_path: Path
) -> None:
    pods = [pod("b", f"{GPU_A}::3"), pod("a", f"{GPU_A}::0", f"{GPU_A}::1")]
    with GrpcKubelet(socket_path, pods):
        assert source.read().holders == {DeviceKey(uuid=GPU_A): (A, B)}


def test_an_id_of_ours_that_cannot_be_read_is_counted_and_costs_only_itself(
    source: Direct, socket_path: Path
) -> None:
    pods = [pod("a", GPU_A, "GPU-what"), pod("b", "rdma0", resource="rdma/hca")]
    with GrpcKubelet(socket_path, pods):
        assert source.read().holders == {DeviceKey(uuid=GPU_A): (A,)}
    assert source.errors == {"device_id": 1}


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "a\n", "a" * 300, 'x"} 1', "\u202e"])
def test_what_kubernetes_would_not_name_is_no_label(
    source: Direct, socket_path: Path, name: str
) -> None:
    pods = [
        pod(name, GPU_A),
        pod("a", GPU_A, namespace=name),
        pod("a", GPU_A, container=name),
        pod("b", GPU_B),
    ]
    with GrpcKubelet(socket_path, pods):
        assert source.read().holders == {DeviceKey(uuid=GPU_B): (B,)}
    assert source.errors == {"bad_name": 3}


def test_claims_are_told_by_their_names_without_the_api(source: Direct, socket_path: Path) -> None:
    pods = [
        claiming("a", ClaimedDevice("gpu.nvidia.com", "node", "gpu-1")),
        claiming("b", ClaimedDevice("gpu.nvidia.com", "node", "what")),
        claiming("c", ClaimedDevice("nic.example.com", "node", "nic-0")),
    ]
    with GrpcKubelet(socket_path, pods) as kubelet:
        assert source.read().holders == {DeviceKey(minor=1): (A,)}
        assert kubelet.calls == ["List"]  # with claims in the list, the gate is open
    assert source.errors == {"dra_unresolved": 1}


def test_consumers_of_one_claimed_device_are_all_its_holders(
    source: Direct, socket_path: Path
) -> None:
    shared = ClaimedDevice("gpu.nvidia.com", "node", "gpu-1", share_id="1")
    pods = [claiming("a", shared), claiming("b", shared._replace(share_id="2"))]
    with GrpcKubelet(socket_path, pods):
        assert source.read().holders == {DeviceKey(minor=1): (A, B)}


def test_an_api_server_that_fails_is_counted_and_names_must_do(
    socket_path: Path, tmp_path: Path
) -> None:
    api = ApiServer(host="127.0.0.1", port=1, node="n", token_path=tmp_path / "none")
    source = Direct(
        Kubelet(socket_path, timeout_s=PATIENCE_S), log_root=tmp_path, slices=Slices(api)
    )
    with GrpcKubelet(socket_path, [pod("a", GPU_A)]) as kubelet:
        source.read()
        assert source.errors == {}  # without claims it is not asked
        kubelet.hold(claiming("a", ClaimedDevice("gpu.nvidia.com", "node", "gpu-1")))
        assert source.read().holders == {DeviceKey(minor=1): (A,)}
        source.read()
    assert source.errors == {"api": 1}


def test_a_shut_gate_is_counted_once_for_each_kubelet(source: Direct, socket_path: Path) -> None:
    for _ in range(2):
        with GrpcKubelet(socket_path) as kubelet:
            kubelet.get_failure = DISABLED
            source.read()
            source.read()
    assert source.errors == {"dra_gate": 2}


def test_logs_that_cannot_be_read_cost_names_and_not_the_map(
    socket_path: Path, tmp_path: Path
) -> None:
    source = Direct(Kubelet(socket_path, timeout_s=PATIENCE_S), log_root=tmp_path / "nowhere")
    with GrpcKubelet(socket_path, [pod("a", GPU_A)]):
        found = source.read()
    assert found.holders == {DeviceKey(uuid=GPU_A): (A,)}
    assert found.pods == {}
    assert source.errors == {"names": 1}


def test_without_the_kubelet_there_is_no_map(source: Direct) -> None:
    with pytest.raises(MapError) as caught:
        source.read()
    assert caught.value.reason == "socket_missing"


def test_the_containers_of_one_device_are_bounded(source: Direct, socket_path: Path) -> None:
    containers = tuple(
        ContainerResources(f"c{n}", (PluginDevices("nvidia.com/gpu", (GPU_A, GPU_A)),))
        for n in range(direct.HOLDERS_MAX + 1)
    )
    with GrpcKubelet(socket_path) as kubelet:
        kubelet.answer = encode_list((PodResources("a", "serving", containers),))
        found = source.read()
    assert len(found.holders[DeviceKey(uuid=GPU_A)]) == direct.HOLDERS_MAX
    assert source.errors == {"too_many": 2}
