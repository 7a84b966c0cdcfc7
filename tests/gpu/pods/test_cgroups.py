import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.pods import cgroups
from inferometer.gpu.pods.cgroups import Cgroups, Membership, parse, sees_host

UID = "5f1d2c3b-aaaa-bbbb-cccc-0123456789ab"
STATIC = "0123456789abcdef0123456789abcdef"
ID = "f" * 64
UNDERSCORED = UID.replace("-", "_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"0::/kubepods.slice/kubepods-burstable-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope",
            Membership(UID, ID),
        ),
        (
            f"0::/../../kubepods-pod{UNDERSCORED}.slice/crio-{ID}.scope/container",
            Membership(UID, ID),
        ),
        (f"0::/kubepods/besteffort/pod{UID}/{ID}", Membership(UID, ID)),
        (
            f"0::/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/docker-{ID}.scope",
            Membership(UID, ID),
        ),
        (
            f"13:misc:/\n4:devices:/kubepods/burstable/pod{UID}/{ID}\n1:name=systemd:/kubepods/x",
            Membership(UID, ID),
        ),
        (f"0::/kubepods/pod{STATIC}/{ID}", Membership(STATIC, ID)),
        (f"0::/kubepods.slice/kubepods-pod{UNDERSCORED}.slice", Membership(UID, "")),
        (f"0::/kubepods/pod{UID}/crio-conmon-{ID}", Membership(UID, "")),
        ("0::/", None),
        ("0::/system.slice/sshd.service", None),
        (f"0::/system.slice/docker-{ID}.scope", None),
        (f"0::/kubepods/pod{UID}0/{ID}", None),
        ("0::/kubepods/pod1234/x", None),
        ("", None),
    ],
)
def test_a_pod_is_told_from_the_cgroups_of_every_runtime(
    text: str, expected: Membership | None
) -> None:
    assert parse(text) == expected


@given(st.text(max_size=300))
def test_random_text_is_read_or_refused(text: str) -> None:
    found = parse(text)
    assert found is None or len(found.pod_uid) in (32, 36)


class Proc:
    """A folder like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now_s = 0.0

    def process(self, pid: int, cgroup: str | None, *, started: int = 1, name: str = "x") -> None:
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        fields = " ".join(["S", *["0"] * 18, str(started), *["0"] * 5])
        (folder / "stat").write_text(f"{pid} ({name}) {fields}\n")
        if cgroup is not None:
            (folder / "cgroup").write_text(cgroup)

    def end(self, pid: int) -> None:
        for file in (self.root / str(pid)).iterdir():
            file.unlink()
        (self.root / str(pid)).rmdir()


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.fixture
def groups(proc: Proc) -> Cgroups:
    return Cgroups(proc.root, clock=lambda: proc.now_s)


def in_pod(uid: str = UID) -> str:
    return f"0::/kubepods/pod{uid}/{ID}\n"


def test_a_process_is_found_in_its_pod(proc: Proc, groups: Cgroups) -> None:
    proc.process(7, in_pod(), name="a ) b (")
    assert groups.of(7) == Membership(UID, ID)


def test_a_process_of_the_host_and_one_that_is_not_there_are_in_no_pod(
    proc: Proc, groups: Cgroups
) -> None:
    proc.process(7, "0::/init.scope\n")
    proc.process(8, None)
    assert [groups.of(pid) for pid in (7, 8, 9)] == [None, None, None]


def test_a_number_that_a_new_process_has_is_looked_up_anew(proc: Proc, groups: Cgroups) -> None:
    other = UID.replace("5", "6")
    proc.process(7, in_pod(), started=100)
    assert groups.of(7) == Membership(UID, ID)
    proc.process(7, in_pod(other), started=100)
    assert groups.of(7) == Membership(UID, ID)  # the same process: remembered
    proc.process(7, in_pod(other), started=101)
    assert groups.of(7) == Membership(other, ID)


def test_a_process_that_has_ended_is_remembered_for_a_while(proc: Proc, groups: Cgroups) -> None:
    proc.process(7, in_pod())
    assert groups.of(7) == Membership(UID, ID)
    proc.end(7)
    proc.now_s = cgroups.GONE_S
    assert groups.of(7) == Membership(UID, ID)
    proc.now_s += 0.1
    assert groups.of(7) is None
    assert groups.of(7) is None


def test_the_number_of_remembered_processes_is_bounded(proc: Proc) -> None:
    groups = Cgroups(proc.root, clock=lambda: 0.0, processes_max=100)
    for pid in range(1, 102):
        proc.process(pid, in_pod())
        groups.of(pid)
        proc.end(pid)
    assert groups.of(1) is None
    assert groups.of(2) == Membership(UID, ID)


@pytest.mark.parametrize("stat", ["", "7 (x", "7 (x) S 1 2", "\x00\xff"])
def test_a_stat_of_another_form_is_no_process(proc: Proc, groups: Cgroups, stat: str) -> None:
    proc.process(7, in_pod())
    (proc.root / "7" / "stat").write_text(stat)
    assert groups.of(7) is None


def test_this_process_is_found_in_the_real_proc() -> None:
    assert Cgroups().of(os.getpid()) == parse(Path("/proc/self/cgroup").read_text(encoding="utf-8"))


def test_the_host_is_seen_where_the_second_process_is_the_kernels(proc: Proc) -> None:
    assert not sees_host(proc.root)
    proc.process(2, None, name="sh")
    assert not sees_host(proc.root)
    proc.process(2, None, name="kthreadd")
    assert sees_host(proc.root)
