from dataclasses import replace

import pytest

from inferometer.gpu.fake.scenario import Scenario
from inferometer.gpu.page.fields import default
from inferometer.gpu.page.listing import families, groups, lines, show
from inferometer.gpu.page.names import Fixed
from inferometer.gpu.page.plan import Look
from inferometer.gpu.sample import BackendView, DeviceView
from support.gpu_views import Machine

LOOK = Look(default(), "classic", Fixed("n"))


class Started(Machine):
    """A machine that notes when it is started and ended."""

    calls: tuple[str, ...] = ()

    def start(self) -> None:
        self.calls += ("start",)

    def begin_stop(self) -> None:
        self.calls += ("begin_stop",)

    def stop(self) -> None:
        self.calls += ("stop",)


def test_devices_that_tell_the_same_share_a_column() -> None:
    views = Machine(Scenario(devices=4, mig=(2,))).views()
    found = groups(views, LOOK, families())
    assert [[one.identity.index for one in group.devices] for group in found] == [[0, 1, 3], [2]]


def test_every_family_has_a_line_with_yes_or_the_reason() -> None:
    machine = Machine(Scenario(devices=2, mig=(1,)))
    text = "\n".join(lines([machine.backend()], machine.views(), LOOK))
    table = {line.split()[0]: line.split()[1:] for line in text.split("\n\n")[2].splitlines()}
    assert set(families()) <= set(table)
    assert table["DCGM_FI_DEV_GPU_UTIL"] == ["yes", "yes", "mig_mode"]
    assert table["DCGM_FI_DEV_FAN_SPEED"] == ["not_supported", "not_supported"]
    assert table["DCGM_FI_DEV_PSTATE"] == ["yes", "yes"]
    assert table["DCGM_FI_DEV_XID_ERRORS"] == ["yes", "yes", "yes"]
    assert table["inferometer_gpu_energy_joules_total"] == ["yes", "yes", "yes"]
    assert "GPU 0" in text


def test_a_device_that_is_not_well_says_so_in_every_line() -> None:
    (view,) = Machine(Scenario(devices=1)).views()
    sick = replace(view, sample=None, state="lost", xid_last=None)
    (group,) = groups([sick], LOOK, families())
    told = dict(zip(families(), group.told, strict=True))
    assert told["DCGM_FI_DEV_SM_CLOCK"] == "lost"
    assert told["DCGM_FI_DEV_FAN_SPEED"] == "not_supported"
    assert told["DCGM_FI_DEV_XID_ERRORS"] == "no_data"


def test_without_a_device_the_backends_and_their_reasons_are_all_there_is() -> None:
    absent = BackendView(name="nvml", state="absent", reason="library_not_found")
    text = "\n".join(lines([absent], [], LOOK))
    assert "library_not_found" in text
    assert text.endswith("No device is known.")


def test_with_names_off_only_our_families_are_shown() -> None:
    machine = Machine(Scenario(devices=1))
    look = replace(LOOK, names="off")
    text = "\n".join(lines([machine.backend()], machine.views(), look))
    row = next(line for line in text.splitlines() if line.startswith("DCGM_FI_DEV_SM_CLOCK"))
    assert row.split() == ["DCGM_FI_DEV_SM_CLOCK", "yes"]


@pytest.mark.parametrize(("running", "code"), [(True, 0), (False, 1)])
def test_the_list_is_printed_and_all_is_ended(
    running: bool,  # noqa: FBT001  (a column of the table)
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = Started(Scenario(devices=1))
    if not running:
        machine.state = "absent"
        machine.views = list[DeviceView]  # type: ignore[method-assign]
    naps: list[float] = []
    assert show([machine], LOOK, clock_s=lambda: sum(naps), sleep=naps.append) == code
    assert machine.calls == ("start", "begin_stop", "stop")
    assert capsys.readouterr().out.startswith("backend")
