"""What a scenario file means: its lines, its mistakes, its clock, its profiles."""

from pathlib import Path
from typing import Any

import pytest

from support.fake_nvml import FakeNvml, Scenario, until
from support.nvml_scenario import SCENARIOS

BROKEN = 888
DEVICES = sorted(
    path.stem for path in SCENARIOS.glob("*.scenario") if not path.stem.startswith("r")
)


def loads(binding: Any, fake: FakeNvml) -> Any:
    assert fake.scenario_path.exists()
    binding.nvmlInit()
    return binding.nvmlDeviceGetHandleByIndex(0)


@pytest.mark.parametrize("name", DEVICES)
def test_every_profile_is_a_device_that_tells_who_it_is(
    tmp_path: Path, binding: Any, name: str
) -> None:
    with FakeNvml.loaded(tmp_path, name) as fake:
        device = loads(binding, fake)
        assert binding.nvmlDeviceGetName(device)
        assert binding.nvmlDeviceGetUUID(device).startswith("GPU-")
        memory = binding.nvmlDeviceGetMemoryInfo(device, binding.nvmlMemory_v2)
        assert memory.total == memory.used + memory.free + memory.reserved
        assert binding.nvmlDeviceGetCount() == (8 if name == "h100x8" else 1)


def test_a_node_of_profiles_has_devices_that_differ(tmp_path: Path, binding: Any) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.node("t4", "h100_mig", "t4")) as fake:
        loads(binding, fake)
        devices = [binding.nvmlDeviceGetHandleByIndex(i) for i in range(3)]
        names = [binding.nvmlDeviceGetName(device) for device in devices]
        assert names == ["Tesla T4", "NVIDIA H100 80GB HBM3", "Tesla T4"]
        assert len({binding.nvmlDeviceGetUUID(device) for device in devices}) == 3
        assert len({binding.nvmlDeviceGetPciInfo(device).busId for device in devices}) == 3
        assert [binding.nvmlDeviceGetMinorNumber(device) for device in devices] == [0, 1, 2]
        assert binding.nvmlDeviceGetMigMode(devices[1]) == [1, 1]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "dev.0.nvmlNoSuchCall.ret 3",
        "dev.64.nvmlDeviceGetName.value x",
        "dev.0.mig.16.nvmlDeviceGetName.value x",
        "dev.0.nvmlDeviceGetName.colour red",
        "dev.0.nvmlDeviceGetName.ret",
        "dev.0.nvmlDeviceGetName.ret many",
        "dev.0.nvmlDeviceGetClockInfo.x.value 3",
        "dev.0.field.83.ramp quickly",
        "dev.0.field.83.hex 0g",
        "lib.stride 25",
        "lib.order 0 x",
        "lib.delay unrealistic",
        "clock.us soon",
        "at noon",
    ],
)
def test_a_wrong_line_is_told_and_fails_every_call(
    tmp_path: Path, binding: Any, code: Any, capfd: pytest.CaptureFixture[str], line: str
) -> None:
    scenario = Scenario.profile("t4")
    number = len(scenario.text().splitlines()) + 1
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        binding.nvmlInit()
        right = fake.scenario_path.read_text()
        fake.scenario_path.write_text(right + line + "\n")
        assert code(binding.nvmlDeviceGetCount) == BROKEN
        assert code(binding.nvmlInit) == BROKEN
        assert f"nvml.scenario:{number}: " in capfd.readouterr().err
        assert "scenario" in str(binding.NVMLError(BROKEN))
        fake.publish()
        assert binding.nvmlDeviceGetCount() == 1


def test_remarks_and_blanks_mean_nothing(tmp_path: Path, binding: Any) -> None:
    with FakeNvml.loaded(tmp_path, "t4") as fake:
        binding.nvmlInit()
        with fake.scenario_path.open("a") as file:
            file.write("\n  # remark\n\tdev.0.nvmlDeviceGetName.value \t A  name  # of it\r\n")
        device = binding.nvmlDeviceGetHandleByIndex(0)
        assert binding.nvmlDeviceGetName(device) == "A name"


def test_a_missing_scenario_fails_init(tmp_path: Path, binding: Any, code: Any) -> None:
    with FakeNvml.loaded(tmp_path, "t4") as fake:
        fake.scenario_path.unlink()
        assert code(binding.nvmlInit) == BROKEN


def test_too_few_columns_are_a_mistake_not_a_zero(
    tmp_path: Path, binding: Any, code: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario = Scenario.profile("t4").value("nvmlDeviceGetUtilizationRates", 5)
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        device = loads(binding, fake)
        assert code(binding.nvmlDeviceGetUtilizationRates, device) == BROKEN
        assert "nvmlDeviceGetUtilizationRates" in capfd.readouterr().err


def test_the_most_specific_line_wins(tmp_path: Path, binding: Any) -> None:
    scenario = Scenario.profile("h100x8")
    scenario.value("nvmlDeviceGetClockInfo", 1, device="*")
    scenario.value("nvmlDeviceGetClockInfo", 2, device=3, args=[1])
    scenario.value("nvmlDeviceGetClockInfo", 3, device=3, args=[7])
    with FakeNvml.loaded(tmp_path, scenario):
        binding.nvmlInit()
        devices = [binding.nvmlDeviceGetHandleByIndex(i) for i in range(4)]
        assert binding.nvmlDeviceGetClockInfo(devices[0], 1) == 1755
        assert binding.nvmlDeviceGetClockInfo(devices[0], 7) == 1
        assert binding.nvmlDeviceGetClockInfo(devices[3], 1) == 2
        assert binding.nvmlDeviceGetClockInfo(devices[3], 7) == 3


def test_lines_can_hold_from_a_moment_on(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.later(1_000_000).value("nvmlDeviceGetPowerUsage", 7)
    fake.scenario.later(2_000_000).value("nvmlDeviceGetPowerUsage", 8)
    fake.publish()
    told = []
    for _ in range(5):
        told.append(binding.nvmlDeviceGetPowerUsage(device))
        fake.step(500_000)
    assert told == [512000, 512000, 7, 7, 8]
    assert fake.scenario.copy().text() == fake.scenario.text()


def test_a_change_of_rate_loses_nothing(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.field(83, 100, kind=3).power(300)
    fake.publish()
    fake.step(2_000_000)
    fake.scenario.power(50)
    fake.step(1_000_000)
    fake.scenario.power(0)
    fake.step(9_000_000)
    assert binding.nvmlDeviceGetTotalEnergyConsumption(device) == 100 + 600_000 + 50_000
    assert binding.nvmlDeviceGetPowerUsage(device) == 0


def test_a_counter_starts_again_where_it_is_set(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.step(10_000_000)
    fake.scenario.field(83, 0, ramp=1000)
    fake.step(1_000_000)
    assert binding.nvmlDeviceGetTotalEnergyConsumption(device) == 1000


def test_the_clock_runs_unless_it_is_frozen(tmp_path: Path, binding: Any) -> None:
    with FakeNvml.loaded(tmp_path, "h100") as fake:
        device = loads(binding, fake)
        first = binding.nvmlDeviceGetTotalEnergyConsumption(device)
        # 512 mJ a millisecond
        until(lambda: binding.nvmlDeviceGetTotalEnergyConsumption(device) > first)
        fake.scenario.clock(fake.scenario.now_us + 60_000_000)
        fake.publish()
        frozen = binding.nvmlDeviceGetTotalEnergyConsumption(device)
        assert binding.nvmlDeviceGetTotalEnergyConsumption(device) == frozen


def test_another_loading_of_the_driver_counts_on(tmp_path: Path, binding: Any) -> None:
    scenario = Scenario.profile("h100")
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        first = binding.nvmlDeviceGetTotalEnergyConsumption(loads(binding, fake))
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        assert binding.nvmlDeviceGetTotalEnergyConsumption(loads(binding, fake)) >= first


def test_busy_sets_all_that_tells_it(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.busy(12)
    fake.publish()
    rates = binding.nvmlDeviceGetUtilizationRates(device)
    assert (rates.gpu, rates.memory) == (12, 41)
    assert binding.nvmlDeviceGetSamples(device, 1, 0)[1][0].sampleValue.uiVal == 12
    assert fake.scenario.get("dev.0.gpm.1.ramp") == f"12.0 {fake.scenario.now_us}"
