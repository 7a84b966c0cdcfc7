"""`--list`: what each device can and cannot tell, with the reason, as a table for people."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from inferometer.gpu.page.draw import unsupported
from inferometer.gpu.page.families import NEEDS, PREFIX
from inferometer.gpu.page.fields import Field
from inferometer.gpu.page.names import named
from inferometer.gpu.page.plan import Look
from inferometer.gpu.quantities import XID
from inferometer.gpu.sample import BackendView, DeviceView
from inferometer.metrics.dcgm import FAMILIES

WAIT_S: Final = 20.0
"""How long backends have to come up: a driver may take ten seconds to wake eight devices."""
SETTLE_S: Final = 3.5
"""How long a device is watched once it answers: profiling needs three samples."""
LOOK_S: Final = 0.1
YES: Final = "yes"
UNKNOWN: Final = "no_data"


class Supervised(Protocol):
    """A backend's supervisor."""

    def start(self) -> None:
        """Start the backend."""
        ...

    def views(self) -> Sequence[DeviceView]:
        """Return what is known of each device."""
        ...

    def backend(self) -> BackendView:
        """Return how the backend is."""
        ...

    def begin_stop(self) -> None:
        """Begin to end it."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


class Group(NamedTuple):
    """Devices that can tell the same, and for each family `yes` or why not."""

    devices: tuple[DeviceView, ...]
    told: tuple[str, ...]


def show(
    supervisors: Sequence[Supervised],
    look: Look,
    *,
    clock_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Print the list and return the exit code: 0 if any backend runs, else 1."""
    try:
        for supervisor in supervisors:
            supervisor.start()
        _await(supervisors, clock_s=clock_s, sleep=sleep)
        backends = [one.backend() for one in supervisors]
        views = [view for one in supervisors for view in one.views()]
    finally:
        for supervisor in supervisors:
            supervisor.begin_stop()
        for supervisor in supervisors:
            supervisor.stop()
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines(backends, views, look)))
    return 0 if any(one.state == "running" for one in backends) else 1


def lines(
    backends: Sequence[BackendView], views: Sequence[DeviceView], look: Look
) -> Iterator[str]:
    """Yield the lines of the list."""
    yield from _table(
        ("backend", "state", "reason", "driver", "devices"),
        [
            (b.name, b.state, b.reason, b.driver_version, str(b.devices_listed or 0))
            for b in backends
        ],
    )
    if not views:
        yield ""
        yield "No device is known."
        return
    yield ""
    yield from _table(
        ("GPU", "state", "MIG", "model", "UUID"),
        [
            (
                str(view.identity.index),
                view.state,
                "on" if view.identity.mig else "off",
                view.identity.model,
                view.identity.uuid,
            )
            for view in views
        ],
    )
    yield ""
    names = families()
    found = groups(views, look, names)
    head = ("family", "shown", *(_called(group.devices) for group in found))
    shown = {one.family.classic for one in look.fields.chosen} if look.names != "off" else set()
    shown |= {name for name in names if name.startswith(PREFIX)} - look.fields.hidden
    rows = [
        (name, YES if name in shown else "", *(group.told[row] for group in found))
        for row, name in enumerate(names)
    ]
    yield from _table(head, rows)


def families() -> list[str]:
    """Return every family that a device may be able to tell, DCGM's by their older names."""
    return [*(f.classic for f in FAMILIES), *(name for name in NEEDS if name.startswith(PREFIX))]


def groups(views: Sequence[DeviceView], look: Look, names: Sequence[str]) -> list[Group]:
    """Return the devices by what they can tell."""
    everything = look.fields.__class__(
        chosen=tuple(Field(family, family.kind, family.help) for family in FAMILIES)
    )
    older = {one.name: one.family.classic for one in named(everything, "classic")}
    whole = Look(everything, "classic", look.fixed)
    found: dict[tuple[str, ...], list[DeviceView]] = {}
    for view in views:
        refused = unsupported(view, whole, older)
        told = tuple(_told(view, name, refused) for name in names)
        found.setdefault(told, []).append(view)
    return [Group(tuple(devices), told) for told, devices in found.items()]


def _told(view: DeviceView, name: str, refused: dict[str, str]) -> str:
    if name in refused:
        return refused[name]
    if NEEDS.get(name) == (XID,):
        return YES if view.xid_last is not None else UNKNOWN
    if view.sample is None:
        return view.state
    sample = view.sample
    had = {*sample.gauges, *sample.counters, *sample.totals}
    return YES if had.intersection(NEEDS.get(name, ())) else UNKNOWN


def _called(views: Sequence[DeviceView]) -> str:
    """Return `GPU 0-6` or `GPU 7`."""
    spans: list[list[int]] = []
    for index in sorted(view.identity.index for view in views):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    return f"GPU {','.join(words)}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, tuple("-" * width for width in widths), *rows):
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))


def _await(
    supervisors: Sequence[Supervised],
    *,
    clock_s: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Wait until each backend is absent, or has devices that have been watched for a while."""
    end_s = clock_s() + WAIT_S
    settled_s: float | None = None
    while clock_s() < end_s:
        if all(map(_settled, supervisors)):
            settled_s = clock_s() if settled_s is None else settled_s
            if clock_s() - settled_s >= SETTLE_S or not any(one.views() for one in supervisors):
                return
        sleep(LOOK_S)


def _settled(supervisor: Supervised) -> bool:
    backend, views = supervisor.backend(), supervisor.views()
    if backend.state == "running":  # it is told how many devices there are before each of them
        complete = len(views) >= (backend.devices_listed or 0)
        return complete and all(view.sample is not None for view in views)
    return backend.state != "starting"
