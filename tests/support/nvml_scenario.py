"""Scenarios of the fake GPU driver: composed in memory, written as the lines its C code reads.

A scenario is an ordered mapping of keys to values; tests/fake_nvml/README.md has the grammar. What
grows (energy, bytes, activity) is a value, a rate and the moment since when it holds; changing the
rate first folds what has grown so far into the value, so nothing is lost, also for a process that
loads the driver later.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, Self

SCENARIOS: Final = Path(__file__).parents[1] / "fake_nvml" / "scenarios"
NOWHERE: Final = 0xFFFFFFFF
"""The instance id of a process or event outside of MIG, and the scope that means all links."""

Device = int | Literal["*"]


def real_us() -> int:
    """Return the moment by the clock that the driver uses unless it is frozen."""
    return time.time_ns() // 1000


def _path(
    symbol: str, device: Device | None, args: Sequence[int] = (), mig: int | None = None
) -> str:
    place = ["lib"] if device is None else ["dev", str(device)]
    slot = [] if mig is None else ["mig", str(mig)]
    return ".".join([*place, *slot, symbol, *(str(arg) for arg in args)])


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


class Scenario:
    """Lines of a scenario. Methods change it and return it, so that calls can be chained."""

    def __init__(self, lines: Iterable[str] = (), *, now_us: Callable[[], int] = real_us) -> None:
        """Take lines `key value`; ramps start now unless the lines state an origin."""
        self._now_us = now_us
        self._lines: dict[str, str] = {}
        self._later: dict[int, Scenario] = {}
        into = self._lines
        for line in lines:
            key, _, text = line.partition("#")[0].strip().partition(" ")
            if key == "at":
                into = self.later(int(text))._lines
            elif key:
                into[key] = text.strip()
        if "clock.origin_us" not in self._lines:
            self._lines["clock.origin_us"] = self._lines.get("clock.us", str(now_us()))

    @classmethod
    def profile(cls, *names: str) -> Self:
        """Read files of the scenarios folder, such as a device and then the driver it runs on."""
        texts = [(SCENARIOS / f"{name}.scenario").read_text(encoding="utf-8") for name in names]
        return cls("\n".join(texts).splitlines())

    @classmethod
    def node(cls, *names: str) -> Self:
        """Compose a machine: device 0 of each named profile becomes device 0, 1, 2 and so on."""
        node = cls()
        for number, name in enumerate(names):
            for key, text in cls.profile(name)._lines.items():
                if key.startswith("dev.0."):
                    node._lines[f"dev.{number}.{key[6:]}"] = text
                elif key != "clock.origin_us":
                    node._lines[key] = text
            node._make_unique(number)
        return node

    def _make_unique(self, device: int) -> None:
        """Give a device an identity that no other one of the node has."""
        key = f"dev.{device}.nvmlDeviceGetPciInfo_v3.value"
        ids = self._lines.get(key, "").split()[1:]
        self._lines[key] = " ".join([f"0000:{0x10 + device:02x}:00.0", *ids])
        self.value("nvmlDeviceGetMinorNumber", device, device=device)
        name = f"{self._lines.get(f'dev.{device}.nvmlDeviceGetName.value')}/{device}"
        for key in self.keys("nvmlDeviceGetUUID.value"):
            if key.startswith(f"dev.{device}."):
                kind = self._lines[key][:4]  # "GPU-" or "MIG-"
                self._lines[key] = f"{kind}{uuid.uuid5(uuid.NAMESPACE_OID, name + key)}"

    # --- lines ---

    def set(self, key: str, *values: object) -> Self:
        """Write the line `key values`, in place of one with the same key."""
        self._lines.pop(key, None)
        self._lines[key] = " ".join(str(value) for value in values)
        return self

    def get(self, key: str) -> str | None:
        """Return what the line with this key says, or what a line for all devices says."""
        parts = key.split(".")
        if key not in self._lines and parts[0] == "dev":
            key = ".".join(["dev", "*", *parts[2:]])
        return self._lines.get(key)

    def keys(self, ending: str) -> list[str]:
        """Return the keys of all lines that end so."""
        return [key for key in self._lines if key.endswith("." + ending)]

    def drop(self, prefix: str) -> Self:
        """Forget the line with this key, and all those below it."""
        for key in list(self._lines):
            if key == prefix or key.startswith(prefix + "."):
                del self._lines[key]
        return self

    def later(self, us: int) -> "Scenario":
        """Return the lines that hold from `us` after the origin on, to be filled by the caller."""
        return self._later.setdefault(us, Scenario(["clock.origin_us 0"], now_us=self._now_us))

    def copy(self) -> "Scenario":
        """Return a scenario of its own with the same lines."""
        return Scenario(self.text().splitlines(), now_us=self._now_us)

    def text(self) -> str:
        """Return the file's content."""
        lines = [f"{key} {text}".rstrip() for key, text in self._lines.items()]
        for us, scenario in sorted(self._later.items()):
            lines.append(f"at {us}")
            lines += [
                line for line in scenario.text().splitlines() if not line.startswith("clock.")
            ]
        return "".join(line + "\n" for line in lines)

    # --- single calls ---

    def value(
        self,
        symbol: str,
        *values: object,
        device: Device | None = 0,
        args: Sequence[int] = (),
        mig: int | None = None,
    ) -> Self:
        """Say what a call answers; `device=None` is for calls without a device."""
        return self.set(_path(symbol, device, args, mig) + ".value", *values)

    def fail(
        self,
        symbol: str,
        code: int,
        *,
        device: Device | None = 0,
        args: Sequence[int] = (),
        mig: int | None = None,
    ) -> Self:
        """Make a call return `code`, or heal it with 0; symbol `*` is every call of the device."""
        return self.set(_path(symbol, device, args, mig) + ".ret", code)

    def delay(
        self,
        symbol: str,
        us: int,
        *,
        device: Device | None = 0,
        args: Sequence[int] = (),
        mig: int | None = None,
    ) -> Self:
        """Let a call take `us` of real time."""
        return self.set(_path(symbol, device, args, mig) + ".delay_us", us)

    def hang(
        self,
        symbol: str,
        *,
        device: Device | None = 0,
        args: Sequence[int] = (),
        mig: int | None = None,
    ) -> Self:
        """Let a call block until `release` is published."""
        return self.set(_path(symbol, device, args, mig) + ".hang", 1)

    def release(
        self,
        symbol: str,
        *,
        device: Device | None = 0,
        args: Sequence[int] = (),
        mig: int | None = None,
    ) -> Self:
        """Let calls that hang go on, and later ones pass."""
        return self.set(_path(symbol, device, args, mig) + ".hang", 0)

    def garbage(
        self,
        symbol: str,
        data: bytes | int,
        *,
        device: Device | None = 0,
        args: Sequence[int] = (),
        mig: int | None = None,
    ) -> Self:
        """Put these bytes over what a call tells, or noise over all of it: `data` is its seed."""
        path = _path(symbol, device, args, mig)
        if isinstance(data, int):
            return self.set(path + ".garbage", data)
        return self.set(path + ".hex", data.hex())

    # --- fields and metrics ---

    def field(
        self,
        field_id: int | tuple[int, int],
        value: float | None,
        *,
        device: Device = 0,
        ramp: float = 0.0,
        kind: int | None = None,
    ) -> Self:
        """Say what a field, or (field, scope), tells: from now on `value`, plus `ramp` a second.

        `kind` is the value's type as NVML numbers it (0 double, 1 u32, 3 u64). None keeps a
        counter's value and changes its rate only. One field alone fails by `fail("field", ...)`.
        """
        path = _path("field", device, [field_id] if isinstance(field_id, int) else field_id)
        self._grow(path, value, ramp)
        return self if kind is None else self.set(path + ".type", kind)

    def gpm(
        self,
        metric_id: int,
        value: float,
        *,
        device: Device = 0,
        mig: int | None = None,
        ret: int = 0,
    ) -> Self:
        """Let a metric's mean be `value` from now on: percent, or MiB a second."""
        path = _path("gpm", device, [metric_id], mig)
        self._grow(path, None, value)
        return self.set(path + ".ret", ret) if ret or self.get(path + ".ret") else self

    def _grow(self, path: str, value: float | None, rate: float) -> None:
        if value is None:
            value = self._grown(path)
        self.set(path + ".value", value)
        if rate or self.get(path + ".ramp"):
            self.set(path + ".ramp", repr(float(rate)), self.now_us)

    def _grown(self, path: str) -> int | float:
        value = _number(self.get(path + ".value") or "0")
        rate, *since = (self.get(path + ".ramp") or "0").split()
        since_us = int(since[0]) if since else int(self._lines["clock.origin_us"])
        grown = float(rate) * (self.now_us - since_us) / 1e6
        return value + (grown if isinstance(value, float) or grown % 1 else int(grown))

    @property
    def now_us(self) -> int:
        """The present of the fake clock."""
        frozen = self._lines.get("clock.us")
        return self._now_us() if frozen is None else int(frozen)

    # --- sets of calls that belong together ---

    def power(self, watts: float, *, device: Device = 0) -> Self:
        """Let the board draw `watts`: the call, fields 185 and 186, the growth of the energy."""
        milliwatts = round(watts * 1000)
        self.value("nvmlDeviceGetPowerUsage", milliwatts, device=device)
        for field_id in (185, 186):
            self.field((field_id, 0), milliwatts, device=device)
        self.value("nvmlDeviceGetSamples", milliwatts, device=device, args=[0])
        path = _path("field", device, [83])
        self.set(path + ".type", 3)
        value = self._grown(path)
        self._grow(path, round(value), watts * 1000)
        return self

    def busy(self, percent: float, *, device: Device = 0, mig: int | None = None) -> Self:
        """Let the GPU be busy for this share of the time: rates, samples and metric 1."""
        if mig is None:
            memory = (
                self.get(_path("nvmlDeviceGetUtilizationRates", device) + ".value") or "0 0"
            ).split()[1]
            self.value("nvmlDeviceGetUtilizationRates", round(percent), memory, device=device)
            self.value("nvmlDeviceGetSamples", round(percent), device=device, args=[1])
        return self.gpm(1, percent, device=device, mig=mig)

    def memory(
        self,
        *,
        used: int,
        total: int | None = None,
        reserved: int | None = None,
        device: Device = 0,
        mig: int | None = None,
    ) -> Self:
        """Let this much memory be used, in bytes; what is not given stays."""
        path = _path("nvmlDeviceGetMemoryInfo_v2", device, (), mig)
        before = [int(word) for word in (self.get(path + ".value") or "0 0 0 0").split()]
        total = before[0] if total is None else total
        reserved = before[1] if reserved is None else reserved
        return self.set(path + ".value", total, reserved, total - reserved - used, used)

    def processes(
        self,
        rows: Sequence[tuple[int, int]],
        *,
        device: Device = 0,
        mig: int | None = None,
        kind: Literal["Compute", "Graphics", "MPSCompute"] = "Compute",
    ) -> Self:
        """Let these processes run: (pid, bytes of memory); -1 bytes means not available."""
        words = [f"{pid}:{'-' if size < 0 else size}" for pid, size in rows]
        symbol = f"nvmlDeviceGet{kind}RunningProcesses_v3"
        return self.value(symbol, *words, device=device, mig=mig)

    def process_busy(self, rows: Sequence[tuple[int, int]], *, device: Device = 0) -> Self:
        """Let these processes use the GPU: (pid, percent of the time)."""
        words = [f"{pid}:{percent}:0:0:0" for pid, percent in rows]
        return self.value("nvmlDeviceGetProcessUtilization", *words, device=device)

    def lost(self, device: int) -> Self:
        """Let a device fall off the bus: every call about it returns 15."""
        return self.fail("*", 15, device=device)

    def order(self, *devices: int) -> Self:
        """Say which devices there are by NVML index, as the next init finds them."""
        return self.set("lib.order", *devices)

    def driver_reset(self, code: int = 999) -> Self:
        """Reload the driver: calls of a library that was initialised before return `code`."""
        generation = int((self.get("lib.driver") or "0").split()[0])
        return self.set("lib.driver", generation + 1, code)

    def mig(self, device: int, *slices: tuple[int, int, str]) -> Self:
        """Cut a device anew into (gi, ci, profile such as `1g.10gb`); none turns MIG off."""
        self.drop(f"dev.{device}.mig")
        self.value("nvmlDeviceGetMigMode", *([1, 1] if slices else [0, 0]), device=device)
        for symbol, args in _NOT_UNDER_MIG:
            self.fail(symbol, 3 if slices else 0, device=device, args=args)
        for slot, one in enumerate(slices):
            self._add_slice(device, slot, one)
        return self

    def _add_slice(self, device: int, slot: int, one: tuple[int, int, str]) -> None:
        gi, ci, profile = one
        compute, size = profile.removesuffix("gb").split("g.")
        parent = self.get(f"dev.{device}.nvmlDeviceGetUUID.value")
        seed = f"{parent}/{gi}/{ci}/{profile}"
        name = f"{self.get(f'dev.{device}.nvmlDeviceGetName.value')} MIG {profile}"
        answers = {
            "nvmlDeviceGetGpuInstanceId": gi,
            "nvmlDeviceGetComputeInstanceId": ci,
            "nvmlDeviceGetUUID": f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, seed)}",
            "nvmlDeviceGetName": name,
            "nvmlDeviceGetAttributes_v2": (
                f"{16 * int(compute)} 1 0 0 0 0 {compute} {compute} {int(size) * 1024}"
            ),
            "nvmlDeviceGetComputeRunningProcesses_v3": "",
        }
        for symbol, answer in answers.items():
            self.value(symbol, answer, device=device, mig=slot)
        total = int(size) << 30
        self.memory(used=total // 4, total=total, reserved=1 << 26, device=device, mig=slot)

    def clock(self, us: int | None) -> Self:
        """Freeze the fake clock at `us`; None follows real time. Ramps start at the first."""
        if us is None:
            return self.drop("clock.us")
        if "clock.us" not in self._lines:
            self.set("clock.origin_us", us)
        return self.set("clock.us", us)


_NOT_UNDER_MIG: Final[Sequence[tuple[str, Sequence[int]]]] = (
    ("nvmlDeviceGetUtilizationRates", ()),
    ("nvmlDeviceGetEncoderUtilization", ()),
    ("nvmlDeviceGetDecoderUtilization", ()),
    ("nvmlDeviceGetSamples", (1,)),
    ("nvmlDeviceGetSamples", (2,)),
    ("nvmlDeviceGetProcessUtilization", ()),
    ("nvmlDeviceGetProcessesUtilizationInfo", ()),
)
"""Calls that a device refuses while it is cut into instances."""
