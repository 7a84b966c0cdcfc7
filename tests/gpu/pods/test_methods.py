import pytest

from inferometer.gpu.pods.methods import HELD_NS_MAX
from inferometer.gpu.pods.shares import MEMORY_UNKNOWN, ProcessUse
from inferometer.gpu.pods.tick import ShareTotal
from support.shared_device import GIB, SECOND, A, B, C, Device


def test_sharers_are_told_by_their_processes() -> None:
    device = Device(processes=True)
    device.tick(
        holders=(A, B, C),
        processes=(
            ProcessUse(A, SECOND // 4, GIB // 4),
            ProcessUse(B, SECOND // 8, GIB // 2),
            ProcessUse(None, SECOND // 100, 5),
        ),
    )
    assert device.verdict == ("process", "")
    assert device.shares.totals() == (
        ShareTotal("pod", A, SECOND // 4, 150_000, GIB // 4),
        ShareTotal("pod", B, SECOND // 8, 75_000, GIB // 2),
        ShareTotal("pod", C, 0, 0, 0),
        ShareTotal("other", None, SECOND // 8, 75_000, GIB // 4),
        ShareTotal("idle", None, SECOND // 2, 0, None),
    )


def test_a_pod_that_never_asked_is_found_by_its_processes() -> None:
    device = Device(processes=True)
    device.tick(holders=(A,), processes=(ProcessUse(C, SECOND // 2, GIB),))
    assert device.verdict == ("process", "")
    assert device.busy("pod", A) == 0
    assert device.busy("pod", C) == SECOND // 2
    for _ in range(HELD_NS_MAX // SECOND + 1):
        device.tick(holders=(A,))
    assert device.verdict == ("exclusive", "")  # its process was last seen too long ago


@pytest.mark.parametrize(
    "harmless",
    [ProcessUse(None, 0, GIB), ProcessUse(None, None, None), ProcessUse(None, 9, 9, "server")],
)
def test_what_does_no_work_takes_nothing_from_a_sole_holder(harmless: ProcessUse) -> None:
    device = Device(processes=True)
    device.tick(holders=(A,), processes=(harmless,))
    assert device.verdict == ("exclusive", "")


def test_a_process_of_the_host_that_works_is_other() -> None:
    device = Device(processes=True)
    device.tick(
        holders=(A,), processes=(ProcessUse(None, SECOND // 4, 0), ProcessUse(A, SECOND // 4, 0))
    )
    assert device.busy("other") == SECOND // 4


def test_clients_of_mps_are_told_apart_if_the_driver_does() -> None:
    device = Device(processes=True)
    processes = (
        ProcessUse(A, SECOND // 4, 1, "client"),
        ProcessUse(B, SECOND // 4, 1, "client"),
        ProcessUse(None, 0, 1, "server"),
    )
    device.tick(holders=(A, B), processes=processes)
    assert device.verdict == ("mps", "")
    assert device.busy("pod", A) == SECOND // 4


@pytest.mark.parametrize("client_ns", [0, None])
def test_work_that_only_the_server_of_mps_shows_is_other(client_ns: int | None) -> None:
    device = Device(processes=True)
    processes = (
        ProcessUse(A, client_ns, 7, "client"),
        ProcessUse(None, SECOND // 2, 1, "server"),
    )
    device.tick(holders=(A, B), processes=processes)
    assert device.verdict == ("mps", "mps_server_only")
    assert device.busy("other") == SECOND // 2
    total = device.total("pod", A)
    assert total is not None
    assert total.used_bytes == 7


def test_clients_of_mps_without_any_utilization_have_their_reason() -> None:
    device = Device(processes=True)
    device.tick(holders=(A, B), processes=(ProcessUse(A, None, 7, "client"),))
    assert device.verdict == ("mps", "mps_server_only")


def test_processes_without_utilization_still_tell_of_memory() -> None:
    device = Device(processes=True)
    device.tick(holders=(A, B), processes=(ProcessUse(A, None, 7),))
    assert device.verdict == ("process", "no_process_utilization")
    assert device.total("pod", A) == ShareTotal("pod", A, 0, 0, 7)
    assert device.busy("other") == SECOND // 2


def test_sharers_of_a_device_of_unknown_busy_time_have_memory_only() -> None:
    device = Device(processes=True)
    device.tick(holders=(A, B), busy_ns=None, processes=(ProcessUse(A, 5, 7),))
    assert device.verdict == ("process", "no_busy")
    assert device.total("pod", A) == ShareTotal("pod", A, None, None, 7)


def test_memory_of_the_unknown_kind_leaves_pod_and_other_without_a_value() -> None:
    device = Device(processes=True)
    device.tick(holders=(A, B), processes=(ProcessUse(A, 5, MEMORY_UNKNOWN),))
    totals = {(t.share, t.holder): t.used_bytes for t in device.shares.totals()}
    assert totals == {("pod", A): None, ("pod", B): 0, ("other", None): None, ("idle", None): None}
