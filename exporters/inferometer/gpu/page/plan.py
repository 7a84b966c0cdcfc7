"""How the series of one device are called: all text of them that does not change from tick to tick.

A plan is made anew when the device's identity, its instances, its owners or the list of fields
change, and holds for the ticks in between.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inferometer.gpu.page.families import (
    LAST_XID,
    MEMORY_SHARE,
    OF_COUNTERS,
    OF_SAMPLE,
    OF_TOTALS,
    PREFIX,
    SHOWN,
    Part,
)
from inferometer.gpu.page.fields import Fields
from inferometer.gpu.page.names import (
    Fixed,
    HolderLabels,
    Named,
    Names,
    dcgm_labels,
    info_labels,
    named,
    own_labels,
)
from inferometer.gpu.page.page import Labels
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import Identity, Instance


@dataclass(frozen=True, slots=True)
class Look:
    """What a user chose to see; replaced as a whole at a reload."""

    fields: Fields
    names: Names
    fixed: Fixed
    serial: bool = False

    @property
    def families(self) -> tuple[Named, ...]:
        """Return DCGM's families under the names that are wanted."""
        return () if self.names == "off" else named(self.fields, self.names)

    def shows(self, family: str) -> bool:
        """Return whether a family of our own is shown, by its name without the prefix."""
        return f"{PREFIX}{family}" not in self.fields.hidden


class GaugeLine(NamedTuple):
    """A series of a gauge."""

    family: str
    prefix: str
    quantity: Gauge
    divisor: float


class CounterLine(NamedTuple):
    """A series of what a driver counts."""

    family: str
    prefix: str
    quantity: Counter
    divisor: float


class SumLine(NamedTuple):
    """A series of a sum: of what a driver counts, of what a backend sums, or of both by turns."""

    family: str
    prefix: str
    counter: Counter | None
    counter_divisor: float
    total: Total | None
    total_divisor: float


class InstancePlan(NamedTuple):
    """The series of a MIG instance."""

    uuid: str
    info: str
    gauges: tuple[GaugeLine, ...]
    ratios: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The series of a device. `ratios` show memory in use, `xids` the last XID."""

    own: Labels
    info: str
    gauges: tuple[GaugeLine, ...]
    counters: tuple[CounterLine, ...]
    sums: tuple[SumLine, ...]
    ratios: tuple[tuple[str, str], ...]
    xids: tuple[tuple[str, Labels], ...]
    instances: tuple[InstancePlan, ...]


class Subject(NamedTuple):
    """What a plan depends on, besides the look of it all."""

    identity: Identity
    owners: HolderLabels
    instances: tuple[tuple[Instance, HolderLabels], ...] = ()


def make(subject: Subject, look: Look, families: Sequence[Named]) -> Plan:
    """Return the plan of a device; `families` are those of the look."""
    identity = subject.identity
    mig = identity.mig or bool(subject.instances)
    upper, lower = (_labels(subject, None, look, lower=lower) for lower in (False, True))
    shown = [one for one in families if not (mig and one.family.mig == "absent")]
    own = own_labels(identity)
    pairs = [(one, lower if one.lower else upper) for one in shown]
    info = info_labels(identity, look.fixed.hostname, serial=look.serial)
    return Plan(
        own=own,
        info=info.prefix(f"{PREFIX}info"),
        gauges=(*_gauges(pairs), *_own_gauges(own, look)),
        counters=(*_counters(pairs), *_own_counters(OF_SAMPLE, own, look)),
        sums=tuple(_own_sums(own, look)),
        ratios=_named_as(pairs, MEMORY_SHARE),
        xids=tuple(
            (one.name, labels.with_room())
            for one, labels in pairs
            if one.family.classic == LAST_XID
        ),
        instances=tuple(_instances(subject, look, shown)),
    )


def _labels(
    subject: Subject, pair: tuple[Instance, HolderLabels] | None, look: Look, *, lower: bool
) -> Labels:
    instance, owners = pair or (None, subject.owners)
    return dcgm_labels(subject.identity, instance, owners, fixed=look.fixed, lower=lower)


def _named_as(pairs: Sequence[tuple[Named, Labels]], classic: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (one.name, labels.prefix(one.name))
        for one, labels in pairs
        if one.family.classic == classic
    )


def _gauges(pairs: Sequence[tuple[Named, Labels]]) -> Iterator[GaugeLine]:
    for one, labels in pairs:
        shown = SHOWN.get(one.family.classic)
        if shown is not None and isinstance(shown.quantity, Gauge):
            prefix = labels.prefix(one.name)
            yield GaugeLine(one.name, prefix, shown.quantity, shown.divisor)


def _counters(pairs: Sequence[tuple[Named, Labels]]) -> Iterator[CounterLine]:
    for one, labels in pairs:
        shown = SHOWN.get(one.family.classic)
        if shown is not None and isinstance(shown.quantity, Counter):
            prefix = labels.prefix(one.name)
            yield CounterLine(one.name, prefix, shown.quantity, shown.divisor)


def _own_gauges(own: Labels, look: Look) -> Iterator[GaugeLine]:
    for family, label, (quantity, divisor) in _shown(OF_SAMPLE, look):
        if isinstance(quantity, Gauge):
            yield GaugeLine(family, own.prefix(family, label), quantity, divisor)


def _own_counters(parts: Sequence[Part], own: Labels, look: Look) -> Iterator[CounterLine]:
    for family, label, (quantity, divisor) in _shown(parts, look):
        if isinstance(quantity, Counter):
            yield CounterLine(family, own.prefix(family, label), quantity, divisor)


def _own_sums(own: Labels, look: Look) -> Iterator[SumLine]:
    found: dict[tuple[str, str], SumLine] = {}
    for family, label, (quantity, divisor) in _shown((*OF_COUNTERS, *OF_TOTALS), look):
        blank = SumLine(family, own.prefix(family, label), None, 1, None, 1)
        line = found.get((family, label), blank)
        if isinstance(quantity, Counter):
            line = line._replace(counter=quantity, counter_divisor=divisor)
        elif isinstance(quantity, Total):
            line = line._replace(total=quantity, total_divisor=divisor)
        found[family, label] = line
    yield from found.values()


def _shown(parts: Sequence[Part], look: Look) -> Iterator[Part]:
    for part in parts:
        if look.shows(part.family):
            yield part._replace(family=f"{PREFIX}{part.family}")


def _instances(subject: Subject, look: Look, shown: Sequence[Named]) -> Iterator[InstancePlan]:
    families = [one for one in shown if one.family.mig == "instance"]
    seen: set[int] = set()
    for instance, owners in subject.instances:
        labels = _instance_info(subject.identity, instance)
        pairs: list[tuple[Named, Labels]] = []
        if instance.gpu_instance not in seen:  # compute instances of one share its numbers
            seen.add(instance.gpu_instance)
            both = {
                lower: _labels(subject, (instance, owners), look, lower=lower)
                for lower in (False, True)
            }
            pairs = [(one, both[one.lower]) for one in families]
        yield InstancePlan(
            instance.uuid,
            labels.prefix(f"{PREFIX}instance_info"),
            tuple(_gauges(pairs)),
            _named_as(pairs, MEMORY_SHARE),
        )


def _instance_info(identity: Identity, instance: Instance) -> Labels:
    return Labels(
        (
            ("gpu", str(identity.index)),
            ("UUID", identity.uuid),
            ("GPU_I_ID", str(instance.gpu_instance)),
            ("GPU_I_PROFILE", instance.profile),
            ("mig_uuid", instance.uuid),
            ("slices", str(instance.slices)),
        )
    )
