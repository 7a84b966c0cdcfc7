"""The two containers of a pod: one asks the kubelet and writes the map, one shows the devices."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_kubelet import GrpcKubelet, pod, socket_folder
from support.gpu_exporter import PROGRAM, Exporter
from support.samples import Samples

FIRST = "GPU-fa4e0000-0000-4000-8000-000000000000"
SECOND = "GPU-fa4e0000-0000-4000-8000-000000000001"
USED = "DCGM_FI_DEV_FB_USED"


@pytest.fixture
def kubelet() -> Iterator[GrpcKubelet]:
    with socket_folder() as folder:
        yield GrpcKubelet(folder / "kubelet.sock", [pod("alice", FIRST)])


@pytest.fixture
def exporter(tmp_path: Path, kubelet: GrpcKubelet) -> Iterator[Exporter]:
    scenario, file = tmp_path / "s.yaml", tmp_path / "pods.json"
    scenario.write_text("devices: 2\n")
    with kubelet:
        argv = [*PROGRAM, "podmap", str(file), "--kubelet-socket", str(kubelet.path)]
        argv += ["--log-root", str(tmp_path), "--period-s", "1"]
        podmap = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            flags = (
                "--backend",
                "fake",
                "--scenario",
                str(scenario),
                "--tick-s",
                "0.2",
                "--no-processes",
            )
            with Exporter(*flags, "--podmap", str(file)) as running:
                yield running
        finally:
            podmap.send_signal(signal.SIGTERM)
            assert podmap.wait(10) == 0, sys.argv


def pods(page: Samples, uuid: str) -> set[str]:
    return {labels.get("pod", "") for labels, _ in page.find(USED, UUID=uuid)}


@pytest.mark.req("GX-06")
def test_a_pod_is_named_on_its_device_and_goes_with_its_allocation(
    exporter: Exporter, kubelet: GrpcKubelet
) -> None:
    page = exporter.wait_for(
        lambda page: (pods(page, FIRST), pods(page, SECOND)) == ({"alice"}, {""})
    )
    assert page.find(USED, pod="alice", namespace="serving", container="vllm")
    kubelet.hold(pod("bob", FIRST), pod("alice", SECOND))
    page = exporter.wait_for(lambda page: pods(page, FIRST) == {"bob"})
    assert pods(page, SECOND) == {"alice"}
    kubelet.hold(pod("bob", FIRST), pod("carol", FIRST))
    page = exporter.wait_for(lambda page: pods(page, FIRST) == {""})
    shares = "inferometer_gpu_share_seconds_total"
    exporter.wait_for(
        lambda page: page.total("inferometer_gpu_attribution_info", UUID=FIRST, method="none")
    )
    page = exporter.wait_for(lambda page: page.total(shares, UUID=FIRST, share="other") > 0)
    assert page.total("inferometer_gpu_attribution_error_ratio") == 0
