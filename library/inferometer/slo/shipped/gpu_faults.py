"""Alerts on GPUs that are broken: XIDs, devices that are gone, memory errors, remapped rows.

XIDs are told by when they were last seen: a counter that is born with the first error shows no
increase, and DCGM's gauge keeps the last code for ever.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Matching,
    Selector,
    aggregate,
    any_of,
    binary,
    call,
    equal,
    number,
    vector,
    window,
)
from inferometer.slo.shipped.places import COUNT, DEVICE, device_key, fleet, on_machine, per_device
from inferometer.slo.shipped.record import GPU, Declare, Declared, Fires, Limit, above, recent
from inferometer.slo.windows import HOUR_S

BOARD: Final = "inferometer-gpu"
VARIABLES: Final = ("hostname", "gpu")
RESET_XIDS: Final = ("62", "64", "95", "109", "119", "120", "140", "143", "155", "156", "158")
"""Codes for which NVIDIA's catalogue says RESET_GPU."""
LOST_XID: Final = "79"
APP_XIDS: Final = ("13", "31", "94")
"""Codes for which it says RESTART_APP; 43 and 45 follow from others and are left out."""

_MINUTE_S: Final = 60
_WINDOW_S: Final = 900
_CATALOGUE: Final = "NVIDIA's XID catalogue"
_SEEN: Final = "inferometer_gpu_xid_last_seen_timestamp_seconds"
_DEVICES: Final = "inferometer_gpu_devices"
_INFO: Final = "inferometer_gpu_info"


def _told_for(alert: str) -> Limit:
    return Limit(
        alert=alert,
        default=Decimal(_WINDOW_S),
        unit="seconds",
        meaning="how long after an XID it is told",
        source="ours: long enough to be seen, and gone soon after the repair",
    )


def _xids(codes: Iterable[str], limit: Limit, options: Options) -> Expr:
    """Return how long ago each of some XIDs was, where that is recent."""
    seen = per_device(vector(Selector(_SEEN, (any_of("xid", codes),))), options, "xid")
    return recent(seen, limit)


def xid_reset_needed(options: Options) -> Declared:
    """Return the alert on devices that need a reset."""
    limit = _told_for("GPUXidResetNeeded")
    wanted = Selector("inferometer_gpu_recovery_action", (Matcher("action", "!=", "none"),))
    return Declared(
        name="GPUXidResetNeeded",
        means="A GPU reported an error after which only a reset helps.",
        source=f"{_CATALOGUE}: RESET_GPU",
        needs=(GPU,),
        board=BOARD,
        variables=VARIABLES,
        limits=(limit,),
        rules=(
            Fires(
                severity="critical",
                expr=_xids(RESET_XIDS, limit, options),
                summary=f"{DEVICE} needs a reset: XID {{{{ $labels.xid }}}}",
                description="The driver reported XID {{ $labels.xid }} {{ $value |"
                " humanizeDuration }} ago. Work on this GPU may hang or be wrong until it is"
                " reset.",
                labels=(("problem", "xid"),),
            ),
            Fires(
                severity="critical",
                expr=binary(per_device(vector(wanted), options, "action"), "==", number(1)),
                summary=f"{DEVICE} needs a recovery: {{{{ $labels.action }}}}",
                description="The driver asks for {{ $labels.action }} before the GPU is used"
                " again.",
                labels=(("problem", "recovery_action"),),
            ),
        ),
    )


def fell_off_bus(options: Options) -> Declared:
    """Return the alert on devices that are gone."""
    limit = _told_for("GPUFellOffBus")
    key = device_key(options)
    state = vector(Selector("inferometer_gpu_state", (equal("state", "lost"),)))
    lost = binary(aggregate("max", state, by=key), "==", number(1))
    seen = aggregate("max", vector(Selector(_SEEN, (equal("xid", LOST_XID),))), by=key)
    return Declared(
        name="GPUFellOffBus",
        means="A GPU is gone: the machine no longer reaches it.",
        source=f"{_CATALOGUE}: RESTART_BM; dcgm-exporter's issue 348",
        needs=(GPU,),
        board=BOARD,
        variables=VARIABLES,
        limits=(limit,),
        rules=(
            Fires(
                severity="critical",
                expr=on_machine(binary(lost, "or", recent(seen, limit)), options),
                summary=f"{DEVICE} fell off the bus",
                description="The machine no longer reaches this GPU. Work on it is lost; mostly a"
                " restart of the machine brings it back.",
                labels=(("problem", "lost"),),
            ),
            Fires(
                severity="critical",
                expr=_fewer(options),
                summary="{{ or $labels.hostname $labels.instance }} has fewer GPUs than before",
                description="The driver lists {{ $value }} GPUs: fewer than an hour ago, or fewer"
                " than the bus has.",
                labels=(("problem", "count"),),
                variables=("hostname",),
                for_s=_MINUTE_S,
            ),
        ),
    )


def _fewer(options: Options) -> Expr:
    """Return how many devices a machine has, where it should have more.

    Its name comes from its devices. Where none is left it is remembered for an hour, and a machine
    that never had one is told by its address.
    """
    host = (*fleet(options), "instance")
    driver = Selector(_DEVICES, (equal("source", "driver"),))
    listed = aggregate("min", vector(driver), by=host)
    before = aggregate("max", call("max_over_time", window(driver, HOUR_S)), by=host)
    bus = aggregate("max", vector(Selector(_DEVICES, (equal("source", "pci"),))), by=host)
    fewer = binary(binary(listed, "<", before), "or", binary(listed, "<", bus))
    present, remembered = (
        aggregate("group", of, by=(*host, "hostname"))
        for of in (vector(_INFO), call("last_over_time", window(_INFO, HOUR_S)))
    )
    names = binary(present, "or", remembered, Matching(on=host))
    named = binary(names, "*", fewer, Matching(on=host, left=()))
    return binary(named, "or", fewer, Matching(on=host))


def app_fault(options: Options) -> Declared:
    """Return the alert on faults of what runs on a device."""
    limit = _told_for("GPUAppFault")
    return Declared(
        name="GPUAppFault",
        means="A program on a GPU did what it must not, and was ended.",
        source=f"{_CATALOGUE}: RESTART_APP; 43 and 45 only follow from others",
        needs=(GPU,),
        board=BOARD,
        variables=VARIABLES,
        limits=(limit,),
        rules=(
            Fires(
                severity="warning",
                expr=_xids(APP_XIDS, limit, options),
                summary=f"A program on {DEVICE} failed: XID {{{{ $labels.xid }}}}",
                description="The driver ended a program {{ $value | humanizeDuration }} ago. The"
                " GPU itself is fine; the model server restarts, or should.",
            ),
        ),
    )


_ECC: Final = Limit(
    alert="GPUEccUncorrectable",
    default=Decimal(0),
    unit="errors",
    meaning="uncorrectable memory errors in 15 minutes",
    source=f"{_CATALOGUE}: 48",
)


def ecc_uncorrectable(options: Options) -> Declared:
    """Return the alert on memory errors that ECC cannot correct."""
    errors = Selector("inferometer_gpu_ecc_errors_total", (equal("severity", "uncorrected"),))
    rose = call("increase", window(errors, _WINDOW_S))
    return Declared(
        name="GPUEccUncorrectable",
        means="Memory of a GPU held a wrong value that could not be corrected.",
        source=f"{_CATALOGUE}: 48",
        needs=(f"{GPU}, and a board with ECC switched on",),
        board=BOARD,
        variables=VARIABLES,
        limits=(_ECC,),
        rules=(
            Fires(
                severity="critical",
                expr=above(per_device(rose, options), _ECC),
                summary=f"{DEVICE} has uncorrectable memory errors",
                description=f"{COUNT} memory errors in 15 minutes could not be"
                " corrected. What ran there was ended; more may follow.",
            ),
        ),
    )


_ROWS: Final = Limit(
    alert="GPURowRemap",
    default=Decimal(512),
    unit="rows",
    meaning="rows remapped for uncorrectable errors, from which the board is replaced",
    source="DCGM: its hardware limit",
)


def row_remap(options: Options) -> Declared:
    """Return the alert on memory whose spare rows run out."""
    rows = Selector("inferometer_gpu_remapped_rows_total", (equal("severity", "uncorrected"),))

    def flag(name: str) -> Expr:
        value = per_device(vector(f"inferometer_gpu_remap_{name}"), options)
        return binary(value, "==", number(1))

    return Declared(
        name="GPURowRemap",
        means="A GPU replaces broken memory by spare memory, and needs a reset or has none left.",
        source="DCGM's hardware limits",
        needs=(f"{GPU}, and a data centre board from Ampere on",),
        board=BOARD,
        variables=VARIABLES,
        limits=(_ROWS,),
        rules=(
            Fires(
                severity="critical",
                expr=flag("failed"),
                summary=f"{DEVICE} has no spare memory left",
                description="Remapping a broken row failed. Replace the board; until then its"
                " memory cannot be trusted.",
                labels=(("problem", "failed"),),
            ),
            Fires(
                severity="critical",
                expr=above(per_device(vector(rows), options), _ROWS, operator=">="),
                summary=f"{DEVICE} has remapped {{{{ $value }}}} broken rows",
                description="That many rows remapped for uncorrectable errors are reason to"
                " replace the board.",
                labels=(("problem", "rows"),),
            ),
            Fires(
                severity="warning",
                expr=flag("pending"),
                summary=f"{DEVICE} waits for a reset to replace broken memory",
                description="A row will be remapped at the next reset of the GPU; until then it may"
                " fail again.",
                labels=(("problem", "pending"),),
            ),
        ),
    )


FAULT_ALERTS: Final[tuple[Declare, ...]] = (
    xid_reset_needed,
    fell_off_bus,
    app_fault,
    ecc_uncorrectable,
    row_remap,
)
