"""Captures of real machines, made into scenarios that the fake driver replays.

What a call answered first holds from the beginning, what it answered later from then on; the
clock is frozen at the capture's start, and whoever replays moves it. See `inferometer.gpu.capture`
for the format.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from support.nvml_scenario import Scenario

TEXTS: Final = frozenset(
    {
        "nvmlDeviceGetName",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetSerial",
        "nvmlDeviceGetVbiosVersion",
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetNVMLVersion",
    }
)
STRUCTURES: Final = frozenset(
    {"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMarginTemperature", "nvmlGpmQueryDeviceSupport"}
)
"""Calls whose buffer is as large as a number, but is none."""
FOUND_BY_ITSELF: Final = re.compile(r"EventSet|RegisterEvents|GpmSample(Alloc|Free)|GetCount")
"""Calls that the fake answers out of other lines."""
NATURAL: Final = frozenset({6, 7, 10})
"""Codes that follow from what is asked: nothing new, too small a buffer, nothing happened."""
NO_VALUE: Final = 2**64 - 1
LONG_ROWS_DRIVER: Final = re.compile(r"535\.(4[3-9]|[5-7]\d|8[0-6])\b")
FIELD: Final = struct.Struct("<IIqqII8s")
METRIC: Final = struct.Struct("<IId24x")
PCI: Final = struct.Struct("<16s5I32s")
FORMATS: Final[Mapping[int, str]] = {0: "<d", 1: "<I", 2: "<Q", 3: "<Q", 4: "<q", 5: "<i", 6: "<H"}
"""How the eight bytes of a value are read, by its type."""


@dataclass
class Replay:
    """A scenario, and the events that happened."""

    scenario: Scenario
    start_us: int
    end_us: int = 0
    """When the last call was made, after the start."""
    events: list[tuple[int, Mapping[str, int]]] = field(default_factory=list)
    """(µs after the start, arguments of `FakeNvml.event`)."""


def load(lines: Iterable[str]) -> Replay:
    """Read a capture. Raises ValueError where a line or the version is wrong."""
    head, *rest = (json.loads(line) for line in lines)
    if head.get("capture") != 1:
        message = f"no capture of version 1: {head}"
        raise ValueError(message)
    return _Reader(head).read(rest)


class _Reader:
    """Turns calls into lines, each where it first holds."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        start_us = int(head["start_us"])
        scenario = Scenario([f"clock.origin_us {start_us}", f"clock.us {start_us}"])
        self.replay = Replay(scenario, start_us)
        self._last: dict[str, str] = {}
        self._good: set[str] = set()
        self._sampled_us: dict[str, int] = {}
        self._now_us = 0
        if LONG_ROWS_DRIVER.match(head["driver"]):
            scenario.set("lib.stride", 32)

    def read(self, lines: Sequence[Mapping[str, Any]]) -> Replay:
        missing = [line["missing"] for line in lines if "missing" in line]
        if missing:
            self.replay.scenario.set("lib.drop", *missing)
        for line in lines:
            if "call" in line:
                self._now_us = self.replay.end_us = int(line["t_us"])
                out = [bytes.fromhex(digits).ljust(size, b"\0") for size, digits in line["out"]]
                self._take(line["call"], line, out)
        return self.replay

    def _set(self, key: str, *values: object, at_us: int | None = None) -> None:
        """Write a line that holds from now on; the first of a key holds from the beginning."""
        text = " ".join(str(value) for value in values)
        if self._last.get(key) == text:
            return
        first = key not in self._last
        self._last[key] = text
        moment_us = self._now_us if at_us is None else at_us
        scenario = self.replay.scenario if first else self.replay.scenario.later(moment_us)
        scenario.set(key, text)

    def _code(self, path: str, code: int, *, at_us: int | None = None) -> bool:
        """Write the code, unless it is good and always was; returns whether it is good."""
        key = f"{path}.ret"
        if code in NATURAL or (code == 0 and key not in self._last):
            self._good.add(key)
            return code == 0
        if key in self._good and key not in self._last:
            self._set(key, 0)
        self._set(key, code, at_us=at_us)
        return code == 0

    def _take(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        place = _place(line["device"])
        if special := _SPECIAL.get(name.rstrip("_v23") if "Processes" in name else name):
            special(self, name, line, out)
            return
        if name == "nvmlDeviceGetHandleByIndex_v2":
            place = f"dev.{line['args'][0]}"
            self._code(f"{place}.{name}", line["code"])
            return
        if name == "nvmlDeviceGetCount_v2" and line["code"] == 0:
            self._set("lib.order", *range(int.from_bytes(out[0], "little")))
        path = ".".join([place, name, *_arguments(name, line, out)])
        if name == "nvmlGpmSampleGet":
            self._sampled_us[place] = self._now_us
        if not self._code(path, line["code"]) or FOUND_BY_ITSELF.search(name):
            return
        if name in TEXTS:
            self._set(f"{place}.{name}.value", out[0].split(b"\0")[0].decode())
        elif out and name not in STRUCTURES and all(len(data) in {4, 8} for data in out):
            numbers = [int.from_bytes(data, "little") for data in out]
            self._set(f"{path}.value", *numbers)
        elif out:
            self._set(f"{path}.hex", *(data.hex() for data in out))

    def slot(self, name: str, line: Mapping[str, Any], _: list[bytes]) -> None:
        """Take an instance or its absence, which is no natural code here."""
        path = f"{_place(line['device'])}.{name}.{line['args'][0]}"
        self._set(f"{path}.ret", line["code"])

    def temperature(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take a temperature: values are kept by sensor, codes by version."""
        version, sensor, celsius = struct.unpack("<IIi", out[0])
        path = f"{_place(line['device'])}.{name}"
        if self._code(f"{path}.{version >> 24}", line["code"]):
            self._set(f"{path}.{sensor}.value", celsius)

    def pci(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take a bus id: devices are found by it, so it is written as text."""
        path = f"{_place(line['device'])}.{name}"
        if self._code(path, line["code"]):
            *_, device_id, subsystem_id, bus_id = PCI.unpack(out[0])
            text = bus_id.split(b"\0")[0].decode()
            self._set(f"{path}.value", text, f"{device_id:08x}", f"{subsystem_id:08x}")

    def fields(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take each field by itself."""
        place = _place(line["device"])
        if not self._code(f"{place}.{name}", line["code"]):
            return
        for number, scope, _, _, kind, code, raw in FIELD.iter_unpack(out[0]):
            path = f"{place}.field.{number}.{scope}"
            if self._code(path, code):
                form = FORMATS.get(kind, "<Q")
                (value,) = struct.unpack(form, raw[: struct.calcsize(form)])
                self._set(f"{path}.type", kind)
                self._set(f"{path}.value", value)

    def samples(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take new samples, with their own moments."""
        path = f"{_place(line['device'])}.{name}.{line['args'][0]}"
        if self._code(path, line["code"]) and len(out) == 3:
            kind, count = (int.from_bytes(data, "little") for data in out[:2])
            rows = list(struct.iter_unpack("<QQ", out[2]))[:count]
            self._set(f"{path}.type", kind)
            self._set(f"{path}.rows", *(f"{moment_us}:{value}" for moment_us, value in rows))

    def uses(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take the use by process, with its own moments."""
        path = f"{_place(line['device'])}.{name}"
        if self._code(path, line["code"]):
            count = int.from_bytes(out[1], "little")
            rows = list(struct.iter_unpack("<I4xQ4I", out[0]))[:count]
            words = [f"{moment}:{pid}:{':'.join(map(str, use))}" for pid, moment, *use in rows]
            self._set(f"{path}.rows", *words)

    def processes(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take a list of processes, in rows of the size that the driver has."""
        path = f"{_place(line['device'])}.{name}"
        if not self._code(path, line["code"]):
            return
        form = "<I4xQ" if name.endswith("Processes") else "<I4xQII"
        if name.endswith("_v3") and self.replay.scenario.get("lib.stride"):
            form += "8x"
        count = int.from_bytes(out[0], "little")
        rows = struct.iter_unpack(form, out[1][: count * struct.calcsize(form)])
        words = (":".join("-" if n == NO_VALUE else str(n) for n in row) for row in rows)
        self._set(f"{path}.value", *words)

    def metrics(self, name: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take metrics; they are those of the moment of their later sample."""
        place = _place(line["device"])
        if not self._code(f"{place}.{name}", line["code"]):
            return
        at_us = self._sampled_us.get(place, self._now_us)
        (count,) = struct.unpack_from("<I", out[0], 4)
        for number, code, value in METRIC.iter_unpack(out[0][24 : 24 + METRIC.size * count]):
            path = f"{place}.gpm.{number}"
            if self._code(path, code, at_us=at_us):
                self._set(f"{path}.value", "nan" if math.isnan(value) else value, at_us=at_us)

    def instance_sample(self, name: str, line: Mapping[str, Any], _: list[bytes]) -> None:
        """Note when an instance was sampled: its number is that of the slot that tells it."""
        place, instance = _place(line["device"]), line["args"][0]
        self._code(f"{place}.{name}.{instance}", line["code"])
        for key, text in self._last.items():
            parts = key.split(".nvmlDeviceGetGpuInstanceId.value")
            if len(parts) == 2 and text == str(instance) and parts[0].startswith(f"{place}.mig."):
                self._sampled_us[parts[0]] = self._now_us

    def event(self, _: str, line: Mapping[str, Any], out: list[bytes]) -> None:
        """Take an event."""
        if line["code"] == 0 and isinstance(line["device"], int):
            kind, data, gi, ci = struct.unpack("<8xQQII", out[0])
            event = {"device": line["device"], "data": data, "kind": kind, "gi": gi, "ci": ci}
            self.replay.events.append((self._now_us, event))


_Special = Callable[[_Reader, str, Mapping[str, Any], list[bytes]], None]
_SPECIAL: Final[Mapping[str, _Special]] = {
    "nvmlDeviceGetMigDeviceHandleByIndex": _Reader.slot,
    "nvmlDeviceGetTemperatureV": _Reader.temperature,
    "nvmlDeviceGetPciInfo_v3": _Reader.pci,
    "nvmlDeviceGetFieldValues": _Reader.fields,
    "nvmlDeviceGetSamples": _Reader.samples,
    "nvmlDeviceGetProcessUtilization": _Reader.uses,
    "nvmlDeviceGetComputeRunningProcesses": _Reader.processes,
    "nvmlDeviceGetGraphicsRunningProcesses": _Reader.processes,
    "nvmlDeviceGetMPSComputeRunningProcesses": _Reader.processes,
    "nvmlGpmMetricsGet": _Reader.metrics,
    "nvmlGpmMigSampleGet": _Reader.instance_sample,
    "nvmlEventSetWait_v2": _Reader.event,
}


def _place(device: int | list[int] | None) -> str:
    if device is None:
        return "lib"
    if isinstance(device, int):
        return f"dev.{device}"
    return f"dev.{device[0]}.mig.{device[1]}"


def _arguments(name: str, line: Mapping[str, Any], out: list[bytes]) -> list[str]:
    """Return what tells calls of one symbol apart: arguments, or the version of a structure."""
    if name in TEXTS:
        return []
    plain = [str(arg) for arg in line["args"] if isinstance(arg, int)]
    if not plain and len(out) == 1 and len(out[0]) > 8:
        (version,) = struct.unpack_from("<I", out[0])
        if version & 0xFFFFFF == len(out[0]):
            return [str(version >> 24)]
    return plain[:2]
