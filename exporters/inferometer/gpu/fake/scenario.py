"""What happens to the machine that the backend `fake` shows: a script of faults, from YAML.

    devices: 8            # how many; 1 to 32
    mig: [7]              # those that are cut into MIG instances
    repeat_s: 300         # the script begins anew; 0 plays it once
    faults:
      - {at_s: 20, device: 1, fault: xid, code: 31}
      - {at_s: 60, device: 3, fault: hang, for_s: 30}

`fault` is one of `FAULTS`; `driver` and `crash` befall the whole driver, whatever the device. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from inferometer.documents import Report, parse, read
from inferometer.errors import SettingsError
from inferometer.schema import Reader, Record, Value, decimal, integer, listed, one_of

DEVICES_MAX: Final = 32
FAULTS_MAX: Final = 200
FAULTS: Final = (
    "xid",  # an XID of the given code, at that moment
    "ecc",  # an uncorrected error: an event, and the counters go up for good
    "throttle",  # clocks are held back by heat
    "hang",  # calls do not return
    "lost",  # every call says that the device fell off the bus
    "reset_required",  # every call says that it needs a reset
    "no_permission",  # every call is refused
    "driver",  # every call of every device fails, as while a driver is replaced
    "crash",  # the library takes the process down
)
DAY_S: Final = "86400"

DEFAULT: Final = b"""
devices: 8
mig: [7]
repeat_s: 300
faults:
  - {at_s: 20, device: 1, fault: xid, code: 31}
  - {at_s: 30, device: 2, fault: throttle, for_s: 60}
  - {at_s: 45, device: 4, fault: ecc}
  - {at_s: 60, device: 3, fault: hang, for_s: 30}
  - {at_s: 120, device: 5, fault: xid, code: 79}
  - {at_s: 120, device: 5, fault: lost, for_s: 50}
  - {at_s: 200, device: 1, fault: xid, code: 31}
  - {at_s: 240, fault: crash}
"""


class Fault(NamedTuple):
    """A fault of a device, or of all (`device` None), from `at_s` on for `for_s` seconds."""

    at_s: float
    device: int | None
    kind: str
    for_s: float = 0.0
    code: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A machine and its script."""

    devices: int = 8
    mig: tuple[int, ...] = ()
    repeat_s: float = 0.0
    faults: tuple[Fault, ...] = ()

    def moment_s(self, age_s: float) -> float:
        """Return where in the script a machine of that age is."""
        return age_s % self.repeat_s if self.repeat_s else age_s

    def active(self, kind: str, age_s: float, device: int | None = None) -> bool:
        """Return whether a fault lasts at the moment."""
        now_s = self.moment_s(age_s)
        return any(one.at_s <= now_s < one.at_s + one.for_s for one in self._of(kind, device))

    def struck(self, kind: str, span_s: tuple[float, float], device: int | None) -> list[Fault]:
        """Return the faults that begin in a span of ages, its end included."""
        return [
            one
            for one in self._of(kind, device)
            if self._times(one, span_s[1]) > self._times(one, span_s[0])
        ]

    def count(self, kind: str, age_s: float, device: int | None) -> int:
        """Return how often such a fault has begun so far."""
        return sum(self._times(one, age_s) for one in self._of(kind, device))

    def lasted_s(self, kind: str, age_s: float, device: int | None) -> float:
        """Return for how long such a fault has lasted so far, all in all."""
        return sum(self._lasted_s(one, age_s) for one in self._of(kind, device))

    def _lasted_s(self, fault: Fault, age_s: float) -> float:
        whole = int(age_s // self.repeat_s) if self.repeat_s else 0
        now_s = self.moment_s(age_s) - fault.at_s
        return whole * fault.for_s + min(max(now_s, 0.0), fault.for_s)

    def _of(self, kind: str, device: int | None) -> Iterator[Fault]:
        for one in self.faults:
            if one.kind == kind and one.device in (None, device):
                yield one

    def _times(self, fault: Fault, age_s: float) -> int:
        if age_s < fault.at_s:
            return 0
        return 1 + int((age_s - fault.at_s) // self.repeat_s) if self.repeat_s else 1


def load(path: Path | None) -> Scenario:
    """Return the scenario of a file, the default without one. Raises UserError."""
    documents = parse(DEFAULT, "scenario") if path is None else read(path)
    report = Report()
    found = None
    for document in documents[:1]:
        found = _scenario(Value("the scenario", document, report))
    if report.problems:
        raise SettingsError(report.problems)
    return found or Scenario()


def _seconds(value: Value) -> float | None:
    found = decimal(minimum="0", maximum=DAY_S)(value)
    return None if found is None else float(found)


def _scenario(value: Value) -> Scenario:
    record = Record(value)
    devices = record.take("devices", integer(minimum=1, maximum=DEVICES_MAX)) or 8
    device = integer(minimum=0, maximum=devices - 1)
    mig = record.take("mig", listed(device, minimum=0, maximum=DEVICES_MAX)) or ()
    repeat_s = record.take("repeat_s", _seconds) or 0.0
    faults = record.take(
        "faults", listed(lambda v: _fault(v, device), minimum=0, maximum=FAULTS_MAX)
    )
    record.close()
    return Scenario(devices, mig, repeat_s, faults or ())


def _fault(value: Value, device: Reader[int]) -> Fault | None:
    record = Record(Value("a fault", value.node, value.report))
    kind = record.need("fault", one_of(*FAULTS))
    at_s = record.need("at_s", _seconds)
    which = record.take("device", device)
    for_s = record.take("for_s", _seconds) or 0.0
    code = record.take("code", integer(minimum=0, maximum=999)) or 0
    record.close()
    if kind is None or at_s is None:
        return None
    return Fault(at_s, None if kind in ("driver", "crash") else which, kind, for_s, code)
