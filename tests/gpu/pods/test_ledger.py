from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.ledger import SERIES_END_NS
from inferometer.gpu.pods.shares import ProcessUse
from support.shared_device import SECOND, A, B, C, Device


def test_a_container_with_many_slots_is_one_holder() -> None:
    device = Device()
    device.tick(holders=(A,))
    assert [total.holder for total in device.shares.totals() if total.share == "pod"] == [A]


def test_a_series_ends_a_minute_after_its_pod_left() -> None:
    device = Device()
    device.tick(holders=(A,))
    for _ in range(SERIES_END_NS // SECOND - 1):
        device.tick(holders=())
    assert device.busy("pod", A) == SECOND // 2
    device.tick(holders=())
    assert device.total("pod", A) is None
    assert device.shares.error_ratio() == 0
    device.tick(holders=(A,))
    assert device.busy("pod", A) == SECOND // 2


def test_after_a_re_allocation_nothing_more_goes_to_the_pod_that_was_there() -> None:
    device = Device()
    device.tick(holders=(A,))
    for _ in range(10):
        device.tick(holders=(B,))
    assert device.busy("pod", A) == SECOND // 2
    assert device.busy("pod", B) == 10 * (SECOND // 2)
    total = device.total("pod", A)
    assert total is not None
    assert total.used_bytes is None


def test_containers_beyond_the_cap_are_other_and_counted() -> None:
    device = Device(processes=True, holders_max=2)
    processes = tuple(ProcessUse(one, SECOND // 10, 10) for one in (A, B, C))
    device.tick(holders=(A, B, C), processes=processes)
    assert [total.holder for total in device.shares.totals()] == [A, B, None, None]
    assert device.busy("other") == SECOND // 2 - 2 * (SECOND // 10)
    assert device.shares.overflowed == 1
    device.tick(holders=(C,), processes=())
    assert device.verdict == ("exclusive", "")
    assert device.busy("pod", C) is None
    assert device.shares.overflowed == 2


def test_the_usual_cap_is_512_containers() -> None:
    device = Device()
    many = tuple(Holder("n", f"p{n:04}", "c") for n in range(513))
    device.tick(holders=many)
    assert device.shares.overflowed == 1
