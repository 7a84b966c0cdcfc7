"""Alerts on what measuring costs and misses, and on what a token costs."""

from decimal import Decimal
from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Selector,
    aggregate,
    any_of,
    binary,
    call,
    equal,
    number,
    window,
)
from inferometer.slo.shipped.places import COUNT, SERVER, SERVERS, pod_key, server_key, with_service
from inferometer.slo.shipped.record import (
    GPU,
    SIDECAR,
    Declare,
    Declared,
    Fires,
    Limit,
    above,
    enough,
)
from inferometer.slo.windows import HOUR_S

_TEN_S: Final = 600
_FIVE_S: Final = 300
_BOARD: Final = "inferometer-addon"
OVERHEAD_EDGE: Final = r"0\.005"
TOKENS_MIN: Final = 1000
"""Output tokens in ten minutes that a cost for each of them is made of."""

_JOULES: Final = Limit(
    alert="LLMEnergyPerTokenUp",
    default=Decimal("1.2"),
    unit="times",
    meaning="energy for an output token, compared with that of the last hour",
    source="aitra-meter",
)


def energy_per_token(options: Options) -> Declared:
    """Return the notice that tokens cost more energy than an hour ago."""
    pod = pod_key(options)
    energy = Selector("inferometer_gpu_share_energy_joules_total", (equal("share", "pod"),))
    tokens = options.counter("inferometer_tokens_total").where(equal("direction", "output"))

    def rate(of: Selector, seconds: int) -> Expr:
        return aggregate("sum", call("rate", window(of, seconds)), by=pod)

    def each(seconds: int) -> Expr:
        return binary(rate(energy, seconds), "/", rate(tokens, seconds))

    written = aggregate("sum", call("increase", window(tokens, _TEN_S)), by=pod)
    busy = binary(written, ">", number(TOKENS_MIN))
    more = above(binary(each(_TEN_S), "/", each(HOUR_S)), _JOULES)
    return Declared(
        name="LLMEnergyPerTokenUp",
        means="Each output token of a server costs more energy than it did an hour ago.",
        source="aitra-meter's rule",
        needs=(SIDECAR, f"{GPU}, which tells the energy of each pod"),
        board="inferometer-usage",
        variables=pod,
        limits=(_JOULES,),
        rules=(
            Fires(
                severity="info",
                expr=binary(more, "and", busy),
                summary="Tokens of {{ $labels.pod }} in {{ $labels.namespace }} cost more energy",
                description="An output token costs {{ $value | humanize }} times the energy of the"
                " last hour's mean: smaller batches, lower clocks, or work for nothing.",
                for_s=_TEN_S,
            ),
        ),
    )


_DELAYED: Final = Limit(
    alert="LLMSidecarOverhead",
    default=Decimal("0.01"),
    unit="ratio",
    meaning="share of requests or chunks that the sidecar holds up for more than 5 ms",
    source="ours: what it may cost at the 99th percentile",
)


def overhead(options: Options) -> Declared:
    """Return the alert on a sidecar that holds up what it relays."""
    key = (*server_key(options), "stage")
    metric, stages = "inferometer_sidecar_overhead_seconds", any_of("stage", ("head", "chunk"))

    def rose(part: str, *matchers: Matcher) -> Expr:
        counter = window(Selector(f"{metric}_{part}", (stages, *matchers)), _TEN_S)
        return aggregate("sum", call("increase", counter), by=key)

    every = rose("count")
    late = binary(every, "-", rose("bucket", Matcher("le", "=~", OVERHEAD_EDGE)))
    return Declared(
        name="LLMSidecarOverhead",
        means="The sidecar itself makes answers slower.",
        source="ours",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=pod_key(options),
        limits=(_DELAYED,),
        rules=(
            Fires(
                severity="warning",
                expr=binary(above(binary(late, "/", every), _DELAYED), "and", enough(late)),
                summary=f"The sidecar of {SERVER} holds up what it relays",
                description="{{ $value | humanizePercentage }} of what passes it (stage"
                " {{ $labels.stage }}) takes more than 5 ms: it has too little CPU.",
                for_s=_TEN_S,
            ),
        ),
    )


_LOST: Final = Limit(
    alert="LLMSidecarDropping",
    default=Decimal(0),
    unit="measurements",
    meaning="measurements lost in 5 minutes",
    source="ours: verdicts are wrong from the first one on",
)


def dropping(options: Options) -> Declared:
    """Return the alert on measurements that are lost."""
    key = server_key(options)
    lost = Selector("inferometer_sidecar_dropped_total", (any_of("what", ("events", "requests")),))
    dropped = aggregate("sum", call("increase", window(lost, _FIVE_S)), by=key)
    return Declared(
        name="LLMSidecarDropping",
        means="A sidecar cannot keep up with measuring: what it says of SLOs is not complete.",
        source="ours",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=pod_key(options),
        limits=(_LOST,),
        rules=(
            Fires(
                severity="critical",
                expr=with_service(SERVERS, above(dropped, _LOST), key),
                summary=f"The sidecar of {SERVER} loses measurements",
                description=f"{COUNT} measurements were lost in 5 minutes. Requests"
                " are served as ever; their verdicts, and the alerts on them, are not complete.",
                for_s=_FIVE_S,
            ),
        ),
    )


ADDON_ALERTS: Final[tuple[Declare, ...]] = (energy_per_token, overhead, dropping)
