from pathlib import Path

import pytest

from inferometer.gpu.pods.cgroups import Cgroups
from inferometer.gpu.pods.holders import DeviceKey, Holder, PodName, Snapshot, Target
from inferometer.gpu.pods.owners import Owners
from inferometer.gpu.pods.shares import ProcessUse
from inferometer.gpu.sample import Process

A = Holder("serving", "a", "vllm")
UID = "5f1d2c3b-aaaa-bbbb-cccc-0123456789ab"
GPU = Target(minor=0)
NAMED = Snapshot(
    attributed=True,
    holders={DeviceKey(minor=0): (A,)},
    pods={UID: PodName("serving", "a", ("proxy", "vllm"))},
)


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    for pid, cgroup in {7: f"0::/kubepods/pod{UID}/{'f' * 64}", 8: "0::/init.scope"}.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (python) S" + " 1" * 30)
        (tmp_path / str(pid) / "cgroup").write_text(cgroup)
    return Owners(Cgroups(tmp_path))


def test_processes_are_told_by_their_pod_with_what_they_did_since_before(owners: Owners) -> None:
    first = (Process(7, 100, 5_000, mps="client"), Process(8, None, None), Process(9, 1, 1))
    then = (Process(7, 200, 5_500), Process(9, 1, 7))
    assert owners.uses(first, read_ns=1, snapshot=NAMED, target=GPU) == (
        ProcessUse(A, 5_000, 100, "client"),
        ProcessUse(None, None, None),
        ProcessUse(None, 1, 1),
    )
    assert owners.uses(then, read_ns=2, snapshot=NAMED, target=GPU) == (
        ProcessUse(A, 500, 200),
        ProcessUse(None, 6, 1),
    )


def test_a_total_that_falls_is_that_of_a_new_process(owners: Owners) -> None:
    owners.uses((Process(7, 0, 5_000),), read_ns=1, snapshot=NAMED, target=GPU)
    uses = owners.uses((Process(7, 0, 300),), read_ns=2, snapshot=NAMED, target=GPU)
    assert uses == (ProcessUse(A, 300, 0),)


@pytest.mark.parametrize("read_ns", [5, None])
def test_the_same_data_are_given_once(owners: Owners, read_ns: int | None) -> None:
    listed = (Process(7, 0, 5_000),)
    assert owners.uses(listed, read_ns=read_ns, snapshot=NAMED, target=GPU) is not None
    assert owners.uses(listed, read_ns=read_ns, snapshot=NAMED, target=GPU) is None


def test_equal_data_of_another_moment_are_new(owners: Owners) -> None:
    for moment_ns in (1, 2):
        assert owners.uses((), read_ns=moment_ns, snapshot=NAMED, target=GPU) == ()


def test_without_names_of_pods_processes_are_not_known_rather_than_nobodys(owners: Owners) -> None:
    nameless = Snapshot(attributed=True)
    listed = (Process(7, 0, 5_000),)
    assert owners.uses(listed, read_ns=1, snapshot=nameless, target=GPU) is None
    then = owners.uses((Process(7, 0, 5_001),), read_ns=2, snapshot=NAMED, target=GPU)
    assert then == (ProcessUse(A, 1, 0),)


def test_no_data_is_no_data(owners: Owners) -> None:
    assert owners.uses(None, read_ns=None, snapshot=NAMED, target=GPU) is None


def test_a_process_that_is_not_told_for_once_goes_on_from_where_it_was(owners: Owners) -> None:
    owners.uses((Process(7, 0, 5_000),), read_ns=1, snapshot=NAMED, target=GPU)
    blank = owners.uses((Process(7, 0, None),), read_ns=2, snapshot=NAMED, target=GPU)
    assert blank == (ProcessUse(A, None, 0),)
    uses = owners.uses((Process(7, 0, 5_300),), read_ns=3, snapshot=NAMED, target=GPU)
    assert uses == (ProcessUse(A, 300, 0),)
    owners.uses((), read_ns=4, snapshot=NAMED, target=GPU)
    anew = owners.uses((Process(7, 0, 6_000),), read_ns=5, snapshot=NAMED, target=GPU)
    assert anew == (ProcessUse(A, 6_000, 0),), "one that was not listed is another process"
