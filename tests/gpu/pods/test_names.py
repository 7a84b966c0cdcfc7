import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.pods import names
from inferometer.gpu.pods.holders import PodName
from inferometer.gpu.pods.names import PodNames, parse

UID = "5f1d2c3b-aaaa-bbbb-cccc-0123456789ab"
STATIC = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (f"serving_llama-0_{UID}", (UID, "serving", "llama-0")),
        (f"kube-system_kube-proxy.node-1_{STATIC}", (STATIC, "kube-system", "kube-proxy.node-1")),
        (f"serving_{UID}", None),
        (f"Serving_a_{UID}", None),
        (f"serving_a_b_{UID}", None),
        ("serving_a_1234", None),
        ("x" * 1000, None),
    ],
)
def test_a_folder_names_a_pod(folder: str, expected: tuple[str, str, str] | None) -> None:
    assert parse(folder) == expected


@given(st.text(max_size=100))
def test_random_text_is_read_or_refused(folder: str) -> None:
    assert parse(folder) is None or "_" in folder


def add(root: Path, folder: str, *containers: str) -> Path:
    for container in containers:
        (root / folder / container).mkdir(parents=True)
    (root / folder).mkdir(exist_ok=True)
    return root / folder


def test_pods_are_listed_with_their_containers(tmp_path: Path) -> None:
    add(tmp_path, f"serving_llama-0_{UID}", "vllm", "proxy", "Not-A-Name")
    add(tmp_path, f"kube-system_etcd_{STATIC}")
    (tmp_path / "README").write_text("no pod")
    assert PodNames(tmp_path).read() == {
        UID: PodName("serving", "llama-0", ("proxy", "vllm")),
        STATIC: PodName("kube-system", "etcd", ()),
    }


def test_a_folder_is_read_again_only_when_it_changes(tmp_path: Path) -> None:
    folder = add(tmp_path, f"serving_llama-0_{UID}", "vllm")
    found = PodNames(tmp_path)
    assert found.read()[UID].containers == ("vllm",)
    before = folder.stat().st_mtime_ns
    (folder / "later").mkdir()
    os.utime(folder, ns=(before, before))
    assert found.read()[UID].containers == ("vllm",)
    os.utime(folder, ns=(before + 1, before + 1))
    assert found.read()[UID].containers == ("later", "vllm")


def test_a_pod_that_is_gone_is_gone(tmp_path: Path) -> None:
    folder = add(tmp_path, f"serving_llama-0_{UID}")
    found = PodNames(tmp_path)
    assert set(found.read()) == {UID}
    folder.rmdir()
    assert found.read() == {}


def test_a_folder_that_is_no_folder_costs_only_its_containers(tmp_path: Path) -> None:
    (tmp_path / f"serving_llama-0_{UID}").write_text("a file")
    (tmp_path / f"serving_gone_{STATIC}").symlink_to(tmp_path / "nowhere")
    assert PodNames(tmp_path).read() == {
        UID: PodName("serving", "llama-0"),
        STATIC: PodName("serving", "gone"),
    }


def test_pods_and_containers_are_bounded(tmp_path: Path) -> None:
    for n in range(names.PODS_MAX + 1):
        (tmp_path / f"serving_p_{n:032x}").mkdir()
    add(tmp_path / "one", f"serving_p_{UID}", *(f"c{n}" for n in range(names.CONTAINERS_MAX + 1)))
    assert len(PodNames(tmp_path).read()) == names.PODS_MAX
    assert len(PodNames(tmp_path / "one").read()[UID].containers) == names.CONTAINERS_MAX


def test_a_root_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        PodNames(tmp_path / "nowhere").read()
