from dataclasses import replace

from inferometer.gpu.pods.shares import InstanceUse, ProcessUse
from inferometer.gpu.pods.tick import Tick, Work
from support.shared_device import A, B, C


def test_a_tick_knows_everyone_who_is_there() -> None:
    tick = Tick(dt_ns=1, holders=(A,), processes=(ProcessUse(B, 0, 0), ProcessUse(None, 0, 0)))
    assert tick.present() == {A, B}
    assert replace(tick, instances=(InstanceUse((C,), 1, 0, 0),)).present() == {A, B, C}


def test_work_adds_up_and_unknown_energy_is_not_zero() -> None:
    assert Work(1, 1, None).plus(Work(2, 1, None)) == Work(3, 2, None)
    assert Work(1, 1, 5).plus(Work(2, 1, None)) == Work(3, 2, 5)
    assert Work(1, 1, 5).plus(Work(2, 1, 6)) == Work(3, 2, 11)
