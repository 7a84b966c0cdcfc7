"""One NVIDIA device: all parts of this package put together, for one thread."""

import ctypes
import functools
from collections import Counter as Tally
from collections.abc import Mapping
from ctypes import byref
from dataclasses import replace
from typing import Final, NamedTuple

from inferometer.gpu.backend import Calls, DeviceError, Options
from inferometer.gpu.nvml import codes, fields
from inferometer.gpu.nvml.asking import Questioner
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.clock import Clock
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.events import KINDS
from inferometer.gpu.nvml.fields import FieldReader
from inferometer.gpu.nvml.gpm import Gpm, Limits
from inferometer.gpu.nvml.identity import Asker
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.mig import Mig
from inferometer.gpu.nvml.processes import Processes
from inferometer.gpu.nvml.questions import QUESTIONS
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.nvml.sums import Sums
from inferometer.gpu.nvml.traffic import Traffic
from inferometer.gpu.quantities import Gauge, Quantity, Tier, Total
from inferometer.gpu.sample import Identity, Reading, Reason

LINK_TOTALS: Final = frozenset(
    {
        Total.PCIE_TRANSMIT_BYTES,
        Total.PCIE_RECEIVE_BYTES,
        Total.NVLINK_TRANSMIT_BYTES,
        Total.NVLINK_RECEIVE_BYTES,
    }
)
"""Bytes that a driver counts, or else rates times time. Counters have the same names."""


EVENT_NAMES: Final = {
    bit: kind if kind == "xid" else f"event_{kind}" for bit, kind in KINDS.items()
}


class Means(NamedTuple):
    """What a device is read with, apart from its handle."""

    library: Library
    options: Options
    clock: Clock


class NvmlDevice:
    """A device that one thread samples."""

    def __init__(self, means: Means, handle: Handle, *, identity: Identity, calls: Calls) -> None:
        """Make no call yet."""
        library, options, clock = means
        self._library = library
        self._handle = handle
        self._identity = identity
        self._caller = caller = Caller(calls)
        self._refusals: Tally[str] = Tally()
        self._questions = Questioner(library, caller, clock=clock.now_ns)
        values = library.function(fields.SYMBOL)
        self._fields = FieldReader(values, caller, clock=clock.now_ns)
        self._traffic = Traffic()
        self._gpm = Gpm(library, caller, clock=clock, refusals=self._refusals)
        self._sums = Sums(library, caller, clock=clock.now_ns)
        self._mig = Mig(library, caller, clock=clock, refusals=self._refusals)
        self._processes = Processes(
            library,
            caller,
            clock=clock.now_ns,
            driver_version=identity.driver_version,
            graphics=options.graphics_processes,
        )
        self._lists_processes = options.processes
        self._limits = Limits(self._traffic.pcie_limit, self._traffic.nvlink_limit)

    @property
    def identity(self) -> Identity:
        """Who it is; sources of totals are final after `probe`."""
        return self._identity

    def probe(self) -> Mapping[str, Reason]:
        """Find out what the device can tell; returns what it cannot, with the reason.

        Sums go on from where they were. Raises DeviceError, also if it is another device by now.
        """
        self._caller.begin()
        self._check_uuid()
        draft = Draft(self._refusals)
        self._mig.probe(self._handle)
        missing = self._probe_values(draft)
        self._identity = replace(
            self._identity,
            busy_source=self._sums.busy_source,
            energy_source=self._sums.energy_source,
            mig=self._mig.on,
        )
        unsupported: dict[str, Reason] = {str(each): why for each, why in missing.items()}
        unsupported.update(self._processes.probe(self._handle, draft, mig=self._mig.on))
        self._watch_instances()
        unsupported.update(self._probe_events())
        self._caller.end()
        return unsupported

    def _check_uuid(self) -> None:
        """See that the handle is still that of this device, which numbering has no part in."""
        uuid = Asker(self._library, self._caller.call).text("nvmlDeviceGetUUID", self._handle)
        if uuid and uuid != self._identity.uuid:
            message = f"{self._identity.uuid} is not where it was, but {uuid}"
            raise DeviceError(codes.LOST, message)

    def _probe_values(self, draft: Draft) -> dict[Quantity, Reason]:
        """Probe the parts in the order in which they need each other."""
        missing: dict[Quantity, Reason] = {Gauge.VGPU_LICENSE_STATUS: "backend"}
        missing.update(self._fields.probe(self._handle, draft))
        self._probe_questions(missing, draft)
        uncounted = dict(self._traffic.probe(self._fields, draft))
        unmeasured = self._gpm.probe(self._handle, mig=self._mig.on)
        aliased = {each for each in self._traffic.narrow if Total(each) not in unmeasured}
        self._traffic.leave(aliased)
        uncounted.update(dict.fromkeys(aliased, "implausible"))
        self._traffic.begin(self._fields)
        self._fields.prepare()
        self._mig.start(self._gpm.functions if self._gpm.supported else None)
        # Bytes of a link are one quantity, whether counted or made of rates.
        missing.update({**unmeasured, **uncounted})
        for total in LINK_TOTALS:
            if total not in uncounted or total not in unmeasured:
                missing.pop(total, None)
        self._limits = Limits(
            self._traffic.pcie_limit,
            self._traffic.nvlink_limit,
            counted=LINK_TOTALS.difference(uncounted),
        )
        missing.pop(Total.BUSY_NS, None)  # there are other sources
        missing.update(self._sums.probe(self._handle, missing, mig=self._mig.on))
        for quantity in self._gpm.unbelieved.difference(self._limits.counted):
            missing.setdefault(quantity, "implausible")  # its next value may be better
        return missing

    def _probe_questions(self, missing: dict[Quantity, Reason], draft: Draft) -> None:
        """Ask for what fields do not give; `missing` is what is missing before and after."""
        given = {field.quantity for field in fields.FIELDS} - missing.keys()
        asked = [each for each in QUESTIONS if each.in_mig or not self._mig.on]
        unanswered = self._questions.probe(self._handle, asked, known=given, draft=draft)
        for question in QUESTIONS:
            for quantity in question.quantities:
                if question not in asked:
                    missing[quantity] = "mig_mode"
                elif quantity in unanswered:
                    missing[quantity] = unanswered[quantity]
                else:
                    missing.pop(quantity, None)

    def _watch_instances(self) -> None:
        """In MIG mode, list the processes of instances: those of the whole device need root."""
        if self._mig.on:
            self._processes.watch(self._mig.targets())

    def _probe_events(self) -> Mapping[str, Reason]:
        """Return the kinds of events that this device has not: "xid", "event_" and the others."""
        function = self._library.function("nvmlDeviceGetSupportedEventTypes")
        if function is None:
            return dict.fromkeys(EVENT_NAMES.values(), "function_not_found")
        kinds = ctypes.c_uint64()
        call = functools.partial(function, self._handle, byref(kinds))
        code = self._caller.call("DeviceGetSupportedEventTypes", call)
        if code != codes.SUCCESS:
            return dict.fromkeys(EVENT_NAMES.values(), codes.reason(code))
        return {name: "not_supported" for bit, name in EVENT_NAMES.items() if not kinds.value & bit}

    def sample(self, tier: Tier) -> Reading:
        """Read what is due in this tier. Raises DeviceError where the device as a whole fails."""
        try:
            return self._sample(tier)
        except DeviceError:
            self._traffic.forget()  # whatever it is, the device may be reset in the meantime
            raise

    def _sample(self, tier: Tier) -> Reading:
        self._caller.begin()
        draft = Draft(self._refusals)
        self._questions.read(tier, draft)
        self._fields.read(tier, draft)
        self._traffic.finish(draft)
        self._gpm.read(tier, draft, limits=self._limits)
        self._sums.read(tier, draft)
        instances = self._mig.read(tier)
        if self._mig.on != self._identity.mig:
            self._identity = replace(self._identity, mig=self._mig.on)
        processes = None
        if self._lists_processes:
            self._watch_instances()
            processes = self._processes.read(tier, draft)
        if tier != "process":
            self._caller.end()
        return replace(draft.reading(), instances=instances, processes=processes)

    def alive(self) -> bool:
        """Look the device up where it is on the bus; what is found there is read from now on."""
        self._traffic.forget()
        function = self._library.function("nvmlDeviceGetHandleByPciBusId_v2")
        if function is None:
            return True  # whether it is shows with the next tick
        handle = Handle()
        bus_id = ctypes.c_char_p(self._identity.pci_bus_id.encode())
        call = functools.partial(function, bus_id, byref(handle))
        code = self._caller.call_instance("DeviceGetHandleByPciBusId_v2", call)
        if code == codes.SUCCESS:
            self._handle = handle
        return code == codes.SUCCESS

    def close(self) -> None:
        """Let go of its buffers, in the thread that used them."""
        self._gpm.close()
        self._mig.close()
