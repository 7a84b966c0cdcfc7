from inferometer.gpu.pods import floor
from support.shared_device import SECOND


def test_the_floor_forgets_slowly_and_knows_nothing_at_first() -> None:
    idle = floor.IdleFloor()
    idle.learn(SECOND, busy_ns=0, energy_mj=1000)
    assert not idle.known
    assert idle.energy_mj(SECOND) == 0
    for _ in range(600):
        idle.learn(SECOND, busy_ns=0, energy_mj=1000)
    assert idle.energy_mj(SECOND) == 1000
    for _ in range(600):
        idle.learn(SECOND, busy_ns=0, energy_mj=3000)
    assert 2900 <= idle.energy_mj(SECOND) <= 3000


def test_power_that_sinks_after_work_is_no_floor() -> None:
    idle = floor.IdleFloor()
    for _ in range(100):
        idle.learn(SECOND, busy_ns=1, energy_mj=9000)
        for _ in range(5):
            idle.learn(SECOND, busy_ns=0, energy_mj=9000)
    assert not idle.known
