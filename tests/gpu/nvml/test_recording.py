"""What is recorded of a driver is what it answered, and the fake driver answers it again."""

import ctypes
import io
import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inferometer.gpu.backend import Device, DeviceError, Options
from inferometer.gpu.capture import Writer
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml import library
from inferometer.gpu.nvml.backend import NvmlBackend
from inferometer.gpu.nvml.clock import Clock
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.recording import Clocks, Recorder
from inferometer.gpu.quantities import Tier
from inferometer.gpu.sample import Identity, Reading
from support.fake_nvml import FakeNvml, Scenario
from support.nvml_capture import Replay, load

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
TIERS: tuple[Tier, ...] = ("fast", "process", "slow")

Change = Callable[[Scenario], object]


class Run:
    """What a backend said, tick by tick, and the capture of it."""

    def __init__(self) -> None:
        self.file = io.BytesIO()
        self.identities: list[Identity] = []
        self.unsupported: list[Mapping[str, str]] = []
        self.readings: list[Reading | int | None] = []

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.file.getvalue().splitlines()]

    def calls(self, name: str) -> list[Any]:
        return [line for line in self.lines if line.get("call") == name]


@contextmanager
def recorded(fake: FakeNvml, run: Run, *, raw: bool) -> Iterator[NvmlBackend]:
    writer = Writer(run.file, bytes_max=1 << 24)
    clocks = Clocks(now_us=lambda: fake.scenario.now_us, timer_ns=lambda: 0)
    loaded = Recorder(writer, raw=raw, clocks=clocks).library(library.load())
    clock = Clock(
        now_ns=lambda: fake.scenario.now_us * 1000,
        sleep=lambda wait_s: fake.step(round(wait_s * SECOND_US)),
    )
    options = Options(processes=True, graphics_processes=True)
    backend = NvmlBackend(loaded, options, clock=clock)
    try:
        yield backend
    finally:
        backend.close()
        writer.end()


def sample(device: Device, tier: Tier) -> Reading | int | None:
    try:
        return device.sample(tier)
    except DeviceError as error:
        return error.code


def record(
    folder: Path, scenario: Scenario, changes: Sequence[Change] = (), *, raw: bool = True
) -> Run:
    """Record some ticks; each change of the scenario comes before a tick."""
    run = Run()
    folder.mkdir()
    with FakeNvml.loaded(folder, scenario) as fake, recorded(fake, run, raw=raw) as backend:
        run.identities += backend.discover()
        devices = [backend.open_device(identity, Meter()) for identity in run.identities]
        for device in devices:
            run.unsupported.append(device.probe())
        for change in [*changes, unchanged]:
            change(fake.scenario)
            fake.step(SECOND_US)
            run.readings += [sample(device, tier) for tier in TIERS for device in devices]
        for device in devices:
            device.close()
    return run


def replay(folder: Path, run: Run, *, ticks: int, raw: bool = True) -> tuple[Replay, Run]:
    again = load(run.file.getvalue().decode().splitlines())
    return again, record(folder, again.scenario, [unchanged] * ticks, raw=raw)


def unchanged(_: Scenario) -> None:
    """Leave all as it is."""


CHANGES: Sequence[Change] = (
    lambda s: s.power(123.5).busy(12).gpm(5, 3.25),
    lambda s: s.memory(used=5 << 30).processes([(4711, 1 << 30), (4712, -1)]),
    lambda s: s.fail("nvmlDeviceGetClockInfo", 999, args=[1]).fail("field", 3, args=[82]),
    lambda s: s.fail("nvmlDeviceGetClockInfo", 0, args=[1]).value("nvmlDeviceGetTemperature", 91),
    lambda s: s.gpm(1, 77).process_busy([(4712, 33)]).field(5, 17),
)


@pytest.mark.parametrize("name", ["t4", "v100", "a100", "a100_mig", "h100", "h100_mig", "b200"])
def test_a_replay_gives_what_the_recorded_driver_gave(tmp_path: Path, name: str) -> None:
    first = record(tmp_path / "first", Scenario.profile(name).clock(START_US), CHANGES)
    _, second = replay(tmp_path / "second", first, ticks=len(CHANGES))
    assert second.identities == first.identities
    assert second.unsupported == first.unsupported
    assert second.readings == first.readings
    assert len(first.readings) == 3 * 6


@pytest.mark.parametrize("driver", ["r470", "r535_86", "r535_98"])
def test_a_replay_lacks_what_the_old_driver_lacked(tmp_path: Path, driver: str) -> None:
    scenario = Scenario.profile("a100", driver).clock(START_US)
    first = record(tmp_path / "first", scenario, CHANGES)
    again, second = replay(tmp_path / "second", first, ticks=len(CHANGES))
    assert "nvmlDeviceGetTemperatureV" in str(again.scenario.get("lib.drop"))
    assert second.unsupported == first.unsupported
    assert second.readings == first.readings


def test_a_replay_loses_a_device_when_it_was_lost(tmp_path: Path) -> None:
    changes: list[Change] = [lambda s: s.lost(1), lambda s: s.fail("*", 0, device=1)]
    node = Scenario.node("h100", "l40s").clock(START_US)
    first = record(tmp_path / "first", node, changes)
    _, second = replay(tmp_path / "second", first, ticks=len(changes))
    assert second.identities == first.identities
    assert 15 in first.readings
    assert second.readings == first.readings


def test_a_replay_cuts_a_device_anew(tmp_path: Path) -> None:
    changes: list[Change] = [
        lambda s: s.mig(0, (1, 0, "3g.40gb"), (2, 0, "3g.40gb")),
        lambda s: s.mig(0, (9, 0, "1g.10gb")),
        unchanged,
    ]
    first = record(tmp_path / "first", Scenario.profile("h100_mig").clock(START_US), changes)
    _, second = replay(tmp_path / "second", first, ticks=len(changes))
    assert second.readings == first.readings


def test_what_names_a_machine_is_not_in_a_capture(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100_mig").clock(START_US)
    fabric = "00112233445566778899aabbccddeeff"
    scenario.value("nvmlDeviceGetGpuFabricInfoV", fabric, 0, 1, 3, 0, 1)
    secrets = [scenario.get("dev.0.nvmlDeviceGetSerial.value") or ""]
    secrets += [scenario.get(key) or "" for key in scenario.keys("nvmlDeviceGetUUID.value")]
    assert len(secrets) == 5
    plain = record(tmp_path / "plain", scenario.copy(), CHANGES, raw=True)
    hidden = record(tmp_path / "hidden", scenario.copy(), CHANGES, raw=False)
    raw, text = plain.file.getvalue().decode(), hidden.file.getvalue().decode()
    for secret in [secret.encode().hex() for secret in secrets] + [fabric]:
        assert secret in raw
        assert secret not in text
    assert plain.lines[0]["host"] == socket.gethostname()
    assert "host" not in hidden.lines[0]


def test_a_capture_that_hides_names_replays_as_well(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").clock(START_US)
    first = record(tmp_path / "first", scenario, CHANGES, raw=False)
    _, second = replay(tmp_path / "second", first, ticks=len(CHANGES))
    assert second.readings == first.readings
    assert [i.model for i in second.identities] == [i.model for i in first.identities]
    assert second.identities[0].uuid == "GPU-00000000-0000-0000-0000-000000000002"


def test_calls_are_written_with_device_arguments_code_and_buffers(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100_mig").clock(START_US)
    run = record(tmp_path / "first", scenario, [unchanged] * 3)
    assert run.lines[0] == {
        "capture": 1,
        "start_us": START_US,
        "driver": "580.95.05",
        "raw": True,
        "host": socket.gethostname(),
    }
    assert run.lines[-1]["end"] == "done"
    clock = run.calls("nvmlDeviceGetClockInfo")[0]
    assert (clock["device"], clock["args"], clock["code"]) == (0, [1], 0)
    assert clock["out"] == [[4, (1755).to_bytes(2, "little").hex()]]
    assert {str(call["device"]) for call in run.calls("nvmlGpmMetricsGet")} == {
        "0",
        "[0, 0]",
        "[0, 1]",
        "[0, 2]",
    }
    fan = run.calls("nvmlDeviceGetFanSpeed")[0]
    assert fan["code"] == 3


def recording(file: io.BytesIO, functions: Mapping[str, Any], *, raw: bool) -> Library:
    recorder = Recorder(Writer(file, bytes_max=10_000), raw=raw)
    return recorder.library(Library(functions.get, shutdown=lambda: None))


def test_texts_and_numbers_given_by_value_are_arguments() -> None:
    file = io.BytesIO()
    loaded = recording(file, {"f": lambda *_: 0}, raw=True)
    function = loaded.function("f")
    assert function is not None
    function(ctypes.c_char_p(b"GPU-1"), ctypes.c_uint64(7), 8, None, ctypes.c_void_p(9))
    head, call = (json.loads(line) for line in file.getvalue().splitlines())
    assert call["args"] == ["GPU-1", 7, 8, None, None]
    assert call["out"] == []
    assert head["driver"] == ""  # this library lacks the call that tells it


def test_a_text_argument_is_hidden_as_where_it_was_told() -> None:
    uuid = b"GPU-11111111-2222-3333-4444-555555555555"
    file = io.BytesIO()

    def tell(text: Any, _: object) -> int:
        text.value = uuid
        return 0

    functions = {"nvmlDeviceGetUUID": tell, "f": lambda _: 0}
    loaded = recording(file, functions, raw=False)
    told, asked = loaded.function("nvmlDeviceGetUUID"), loaded.function("f")
    assert told is not None
    assert asked is not None
    told(ctypes.create_string_buffer(96), ctypes.c_uint32(96))
    asked(ctypes.c_char_p(uuid))
    _, first, second = (json.loads(line) for line in file.getvalue().splitlines())
    hidden = bytes.fromhex(first["out"][0][1]).decode()
    assert hidden.startswith("GPU-0000")
    assert second["args"] == [hidden]


def test_events_are_recorded_with_their_device(tmp_path: Path) -> None:
    run = Run()
    with (
        FakeNvml.loaded(tmp_path, Scenario.node("h100", "h100").clock(START_US)) as fake,
        recorded(fake, run, raw=True) as backend,
    ):
        backend.discover()
        assert not backend.wait_events(0)
        fake.event(1, 79)
        fake.step(SECOND_US)
        (event,) = backend.wait_events(1) or ()
    again = load(run.file.getvalue().decode().splitlines())
    expected = {"device": 1, "data": 79, "kind": 8, "gi": 0xFFFFFFFF, "ci": 0xFFFFFFFF}
    assert event.xid == 79
    assert again.events == [(SECOND_US, expected)]
    assert again.end_us >= SECOND_US


def test_another_version_of_captures_is_refused() -> None:
    with pytest.raises(ValueError, match="version 1"):
        load(['{"capture": 2}'])
