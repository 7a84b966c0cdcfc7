"""Alerts on GPUs that are slower than they should be: heat, power, NVLink and PCIe."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Selector,
    aggregate,
    any_of,
    binary,
    call,
    chain,
    equal,
    number,
    vector,
    window,
)
from inferometer.slo.shipped.gpu_faults import BOARD, VARIABLES
from inferometer.slo.shipped.places import DEVICE, device_key, named_by, per_device
from inferometer.slo.shipped.record import DCGM, GPU, Declare, Declared, Fires, Limit, above

_MINUTE_S: Final = 60
_TEN_S: Final = 600
_QUARTER_S: Final = 900
_THROTTLED: Final = "inferometer_gpu_throttled_seconds_total"
_HEAT: Final = ("thermal", "hw_thermal", "sw_thermal")
_SHARE: Final = "{{ $value | humanizePercentage }}"
BUSY_RATIO: Final = Decimal("0.5")
"""A link is slower while a device rests: only of a busy one it is a fault."""

_HOT: Final = Limit(
    alert="GPUThrottledHot",
    part="share",
    default=Decimal("0.1"),
    unit="ratio",
    meaning="share of time in which heat held the clocks back",
    source="ours",
)
_SLOWDOWNS: Final = Limit(
    alert="GPUThrottledHot",
    part="slowdowns",
    default=Decimal("0.6"),
    unit="a minute",
    meaning="how often the hardware slowed itself down",
    source="gpud",
)
_MARGIN: Final = Limit(
    alert="GPUThrottledHot",
    part="margin",
    default=Decimal(5),
    unit="degrees Celsius",
    meaning="degrees left before the hardware slows itself down",
    source="ours: each model has its own limit, so none is written here",
)


def throttled_hot(options: Options) -> Declared:
    """Return the alert on devices that are too hot."""
    return Declared(
        name="GPUThrottledHot",
        means="A GPU runs slower because it is too hot.",
        source="gpud for slow-downs, else ours",
        needs=(f"{GPU}; the margin from Ada on",),
        board=BOARD,
        variables=VARIABLES,
        limits=(_HOT, _SLOWDOWNS, _MARGIN),
        rules=tuple(_hot(options)),
    )


def _hot(options: Options) -> Iterator[Fires]:
    heat = Selector(_THROTTLED, (any_of("reason", _HEAT),))
    share = per_device(call("rate", window(heat, _TEN_S)), options)
    yield Fires(
        severity="warning",
        expr=above(share, _HOT),
        summary=f"{DEVICE} is slowed down by heat",
        description=f"Heat held its clocks back in {_SHARE} of the last ten minutes.",
        labels=(("problem", "heat"),),
        for_s=_TEN_S,
    )
    slowed = Selector("inferometer_gpu_throttle_active", (equal("reason", "hw_slowdown"),))
    # Each slow-down begins and ends: two changes, counted over ten minutes.
    times = binary(call("changes", window(slowed, _TEN_S)), "/", number(20))
    yield Fires(
        severity="warning",
        expr=above(per_device(times, options), _SLOWDOWNS),
        summary=f"The hardware of {DEVICE} slows itself down again and again",
        description="It does so {{ $value | humanize }} times a minute: heat, or a power supply"
        " that cannot keep up.",
        labels=(("problem", "slowdowns"),),
        for_s=_TEN_S,
    )
    margin = per_device(vector("inferometer_gpu_temperature_margin_celsius"), options)
    yield Fires(
        severity="warning",
        expr=above(margin, _MARGIN, operator="<="),
        summary=f"{DEVICE} is about to get too hot",
        description="{{ $value }} degrees are left before it slows itself down.",
        labels=(("problem", "margin"),),
        for_s=_TEN_S,
    )


_CAPPED: Final = Limit(
    alert="GPUPowerCapped",
    default=Decimal("0.2"),
    unit="ratio",
    meaning="share of time in which the power limit held the clocks back",
    source="ours",
)


def power_capped(options: Options) -> Declared:
    """Return the notice that the power limit costs speed."""
    capped = Selector(_THROTTLED, (equal("reason", "power"),))
    share = per_device(call("rate", window(capped, _QUARTER_S)), options)
    return Declared(
        name="GPUPowerCapped",
        means="A GPU runs slower because of its power limit.",
        source="ours",
        needs=(GPU,),
        board=BOARD,
        variables=VARIABLES,
        limits=(_CAPPED,),
        rules=(
            Fires(
                severity="info",
                expr=above(share, _CAPPED),
                summary=f"{DEVICE} is slowed down by its power limit",
                description=f"The power limit held its clocks back in {_SHARE} of the last 15"
                " minutes.",
                for_s=_QUARTER_S,
            ),
        ),
    )


_CRC: Final = Limit(
    alert="GPUNvlinkErrors",
    part="crc",
    default=Decimal(100),
    unit="errors a second",
    meaning="damaged transfers (CRC errors) of all NVLinks of a device",
    source="DCGM: its hardware limit",
)
_REPLAYS: Final = Limit(
    alert="GPUNvlinkErrors",
    part="replays",
    default=Decimal(1),
    unit="errors",
    meaning="replays and recoveries of NVLinks in ten minutes",
    source="DCGM: its hardware limit",
)


def _dcgm(name: str, renamed: str, function: str, options: Options) -> Expr:
    """Return what a DCGM counter did in ten minutes, by device, under either of its names."""
    both = [
        named_by(call(function, window(f"DCGM_FI_DEV_{one}", _TEN_S)), "hostname", "Hostname")
        for one in (name, renamed)
    ]
    by = (*device_key(options), "hostname")
    return aggregate("max", chain("or", both), by=by)


def nvlink_errors(options: Options) -> Declared:
    """Return the alert on links between devices that make errors."""

    def errors(what: str, function: str) -> Expr:
        older, newer = f"NVLINK_{what}_ERROR_COUNT_TOTAL", f"NVLINK_{what}_ERROR_TOTAL"
        return _dcgm(older, newer, function, options)

    crc = binary(errors("CRC_FLIT", "rate"), "+", errors("CRC_DATA", "rate"))
    replays = chain(
        "or",
        [
            above(errors(what, "increase"), _REPLAYS, operator=">=")
            for what in ("REPLAY", "RECOVERY")
        ],
    )
    return Declared(
        name="GPUNvlinkErrors",
        means="The links between GPUs make errors: work that spans GPUs is slow or fails.",
        source="DCGM's hardware limits",
        needs=(DCGM, "NVLink up to generation 4"),
        board=BOARD,
        variables=VARIABLES,
        limits=(_CRC, _REPLAYS),
        rules=(
            Fires(
                severity="warning",
                expr=above(crc, _CRC, operator=">="),
                summary=f"NVLinks of {DEVICE} make errors",
                description="{{ $value | humanize }} CRC errors a second: each is sent again, which"
                " costs bandwidth.",
                labels=(("problem", "crc"),),
                for_s=_MINUTE_S,
            ),
            Fires(
                severity="warning",
                expr=replays,
                summary=f"NVLinks of {DEVICE} had to be restarted",
                description="{{ $value | humanize }} replays or recoveries in ten minutes: the link"
                " broke off for a moment.",
                labels=(("problem", "replays"),),
                for_s=_MINUTE_S,
            ),
        ),
    )


_PCIE: Final = Limit(
    alert="GPUPcieDegraded",
    default=Decimal(8),
    unit="a minute",
    meaning="replays on the PCIe link of a device",
    source="DCGM: its hardware limit",
)


def pcie_degraded(options: Options) -> Declared:
    """Return the alert on a device whose link to its machine is slow."""
    key = device_key(options)

    def link(quantity: str, which: str) -> Expr:
        selector = Selector(f"inferometer_gpu_pcie_link_{quantity}", (equal("which", which),))
        return aggregate("max", vector(selector), by=key)

    def narrow(quantity: str) -> Expr:
        share = binary(link(quantity, "current"), "/", link(quantity, "max"))
        return binary(share, "<", number(1))

    busy = aggregate(
        "max", call("rate", window("inferometer_gpu_busy_seconds_total", _TEN_S)), by=key
    )
    slow = binary(narrow("width_lanes"), "or", narrow("generation"))
    at_work = binary(slow, "and", binary(busy, ">", number(BUSY_RATIO)))
    replays = _dcgm("PCIE_REPLAY_COUNTER", "PCIE_REPLAY_TOTAL", "rate", options)
    return Declared(
        name="GPUPcieDegraded",
        means="The link between a GPU and its machine is slower than it should be.",
        source="DCGM's PCIe watch",
        needs=(GPU, "replays from dcgm-exporter as well"),
        board=BOARD,
        variables=VARIABLES,
        limits=(_PCIE,),
        rules=(
            Fires(
                severity="warning",
                expr=per_device(at_work, options),
                summary=f"The PCIe link of {DEVICE} is degraded",
                description=f"It runs at {_SHARE} of its lanes or of its generation, although the"
                " GPU is busy.",
                labels=(("problem", "link"),),
                for_s=_TEN_S,
            ),
            Fires(
                severity="warning",
                expr=above(binary(replays, "*", number(60)), _PCIE),
                summary=f"The PCIe link of {DEVICE} makes errors",
                description="{{ $value | humanize }} transfers a minute had to be repeated.",
                labels=(("problem", "replays"),),
                for_s=_TEN_S,
            ),
        ),
    )


LINK_ALERTS: Final[tuple[Declare, ...]] = (
    throttled_hot,
    power_capped,
    nvlink_errors,
    pcie_degraded,
)
