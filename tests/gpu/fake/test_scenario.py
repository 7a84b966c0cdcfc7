from pathlib import Path

import pytest

from inferometer.errors import UserError
from inferometer.gpu.fake.scenario import Fault, Scenario, load

ONCE = Scenario(faults=(Fault(10, 1, "hang", 5), Fault(20, None, "crash")))
AGAIN = Scenario(repeat_s=100, faults=(Fault(90, 1, "throttle", 10),))


def test_the_default_has_eight_devices_and_every_kind_of_trouble() -> None:
    scenario = load(None)
    assert scenario.devices == 8
    assert scenario.mig == (7,)
    assert {one.kind for one in scenario.faults} >= {"xid", "throttle", "hang", "lost", "crash"}


def test_a_fault_lasts_for_its_time_on_its_device() -> None:
    assert [ONCE.active("hang", age, 1) for age in (9, 10, 14, 15)] == [False, True, True, False]
    assert not ONCE.active("hang", 12, 2)
    assert not ONCE.active("lost", 12, 1)


def test_a_fault_strikes_once_in_a_span() -> None:
    assert ONCE.struck("crash", (19.5, 20.0), None)
    assert not ONCE.struck("crash", (20.0, 30.0), None)
    assert not ONCE.struck("crash", (0.0, 19.9), None)


def test_a_script_that_repeats_counts_each_time() -> None:
    assert AGAIN.active("throttle", 395, 1)
    assert not AGAIN.active("throttle", 389, 1)
    assert [AGAIN.count("throttle", age, 1) for age in (0, 90, 189, 190)] == [0, 1, 1, 2]
    assert [AGAIN.lasted_s("throttle", age, 1) for age in (50, 95, 150, 195)] == [0, 5, 10, 15]
    assert AGAIN.struck("throttle", (100, 200), 1)


def test_a_script_that_plays_once_ends() -> None:
    assert ONCE.count("hang", 1e6, 1) == 1
    assert ONCE.lasted_s("hang", 1e6, 1) == 5


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("devices: 2\nfaults: [{at_s: 1.5, device: 1, fault: lost, for_s: 3}]\n")
    assert load(path) == Scenario(2, (), 0.0, (Fault(1.5, 1, "lost", 3.0, 0),))


def test_an_empty_file_is_a_machine_without_faults(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("")
    assert load(path) == Scenario()


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "devices: 2\nmig: [2]\nfaults: [{fault: hangs, at_s: 1}, {fault: hang}]\nextra: 1\n"
    )
    with pytest.raises(UserError) as caught:
        load(path)
    told = str(caught.value)
    for words in ("mig must be", "did you mean 'hang'", "needs a field 'at_s'", "extra"):
        assert words in told
