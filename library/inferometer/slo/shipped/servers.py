"""Alerts on model servers and their pods: down, not ready, restarting, pending, at their limit.

What a pod is told about comes from kube-state-metrics, that it is a model server from the sidecar
in it, and whose it is from the SLOs that its sidecar judges.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from inferometer.slo import names
from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Matching,
    Selector,
    aggregate,
    binary,
    call,
    chain,
    equal,
    number,
    vector,
    window,
)
from inferometer.slo.shipped.places import (
    COUNT,
    DEPLOYMENTS,
    POD_OF_DEPLOYMENT,
    SERVER,
    SERVERS,
    deployment_key,
    named_by,
    pod_key,
    server_key,
    space,
    with_service,
)
from inferometer.slo.shipped.record import (
    KUBE,
    SIDECAR,
    SLO,
    Declare,
    Declared,
    Fires,
    Limit,
    above,
)
from inferometer.slo.windows import HOUR_S

_BOARD: Final = "inferometer-replicas"
_ZERO: Final = number(0)
_MINUTE_S: Final = 60
_WAIT_S: Final = 900
_DEPLOYMENT: Final = (
    "{{ $labels.deployment }}{{ with $labels.namespace }} in {{ . }}{{ end }}"
    "{{ with $labels.service }} (service {{ . }}){{ end }}"
)
ACCELERATORS: Final = Matcher("resource", "=~", "nvidia_com_.+|amd_com_gpu|google_com_tpu")


def server_down(options: Options) -> Declared:
    """Return the alert on a model server that nobody reaches."""
    return Declared(
        name="LLMServerDown",
        means="A model server does not answer, or is gone although it should be there.",
        source="llm-d's rules; ours that a target which is gone has no `up`",
        needs=(SIDECAR, f"{KUBE} for servers that are gone or leave"),
        board=_BOARD,
        variables=(*space(options), "pod"),
        rules=tuple(_down(options)),
    )


def _down(options: Options) -> Iterator[Fires]:
    server, place = server_key(options), deployment_key(options)
    upstream = aggregate("min", vector("inferometer_sidecar_upstream_up"), by=server)
    refused = _staying(binary(upstream, "==", _ZERO), options)
    unreached = _staying(aggregate("group", binary(vector("up"), "==", _ZERO), by=server), options)
    yield Fires(
        severity="critical",
        expr=with_service(SERVERS, refused, server),
        summary=f"The model server of {SERVER} refuses connections",
        description="The sidecar beside it runs and cannot connect to it: every request that"
        " arrives there fails with 502.",
        labels=(("problem", "refused"),),
        for_s=_MINUTE_S,
    )
    yield Fires(
        severity="critical",
        expr=with_service(SERVERS, unreached, server),
        summary=f"{SERVER} cannot be scraped",
        description="Prometheus does not reach the sidecar, through which all requests go: the pod"
        " or its node is down, or the network between them is.",
        labels=(("problem", "unreachable"),),
        for_s=_MINUTE_S,
    )
    targets = binary(vector("up"), "and", vector(SERVERS), Matching(on=server))
    alive = named_by(targets, "deployment", "pod", POD_OF_DEPLOYMENT)
    wanted = aggregate("max", vector("kube_deployment_spec_replicas"), by=place)
    gone = chain(
        "unless",
        [binary(wanted, ">", _ZERO), aggregate("group", alive, by=place)],
        Matching(on=place),
    )
    yield Fires(
        severity="critical",
        expr=with_service(DEPLOYMENTS, gone, place),
        summary=f"No model server of {_DEPLOYMENT} is left",
        description="The Deployment wants {{ $value }} replicas, and not one of them is a target of"
        " Prometheus any more. Within the last day there was one.",
        labels=(("problem", "gone"),),
        variables=space(options),
        for_s=_MINUTE_S,
    )


def _staying(servers: Expr, options: Options) -> Expr:
    """Leave out pods that are being deleted: their containers end one after the other."""
    leaving = vector("kube_pod_deletion_timestamp")
    return binary(servers, "unless", leaving, Matching(on=pod_key(options)))


def no_ready_replicas(options: Options) -> Declared:
    """Return the alert on a service of which nothing is left."""
    place, server = deployment_key(options), server_key(options)
    ready = aggregate("max", vector("kube_deployment_status_replicas_ready"), by=place)
    wanted = aggregate("max", vector("kube_deployment_spec_replicas"), by=place)
    none = binary(binary(ready, "==", _ZERO), "and", binary(wanted, ">", _ZERO), Matching(on=place))
    # Only where the service is known: else two servers that have none would be one service.
    named = Selector(SERVERS, (Matcher("service", "!=", ""),))
    up = aggregate("max", vector("up"), by=server)
    each = binary(vector(named), "*", up, Matching(on=server, left=()))
    by = (*space(options), "service", "owner")
    return Declared(
        name="LLMNoReadyReplicas",
        means="Not one replica of a service is ready: it is down for everybody.",
        source="llm-d's rules",
        needs=(SIDECAR, KUBE, f"{SLO}, outside of Kubernetes"),
        board=_BOARD,
        variables=space(options),
        rules=(
            Fires(
                severity="critical",
                expr=with_service(DEPLOYMENTS, none, place),
                summary=f"No replica of {_DEPLOYMENT} is ready",
                description="The Deployment wants replicas, and not one of its pods is ready: every"
                " request fails or waits.",
                labels=(("problem", "not_ready"),),
                for_s=_MINUTE_S,
            ),
            Fires(
                severity="critical",
                expr=binary(aggregate("sum", each, by=by), "==", _ZERO),
                summary="No server of service {{ $labels.service }}"
                "{{ with $labels.namespace }} in {{ . }}{{ end }} can be scraped",
                description="All servers of the service are targets of Prometheus, and not one of"
                " them answers.",
                labels=(("problem", "all_unreachable"),),
                for_s=_MINUTE_S,
            ),
        ),
    )


_RESTARTS: Final = Limit(
    alert="LLMPodRestartLoop",
    default=Decimal(5),
    unit="restarts",
    meaning="restarts of a container in an hour",
    source="llm-d",
)


def restart_loop(options: Options) -> Declared:
    """Return the alert on a model server that restarts again and again."""
    pod = pod_key(options)
    restarts = call("increase", window("kube_pod_container_status_restarts_total", HOUR_S))
    often = above(aggregate("max", restarts, by=(*pod, "container")), _RESTARTS)
    return Declared(
        name="LLMPodRestartLoop",
        means="A container of a model server restarts again and again.",
        source="llm-d's rules",
        needs=(SIDECAR, KUBE),
        board=_BOARD,
        variables=pod,
        limits=(_RESTARTS,),
        rules=(
            Fires(
                severity="critical",
                expr=binary(often, "and", vector(SERVERS), Matching(on=pod)),
                summary="{{ $labels.container }} of {{ $labels.pod }} in {{ $labels.namespace }}"
                " restarts again and again",
                description=f"It restarted {COUNT} times in an hour. Each time it"
                " loads the model anew, and all its streams break off.",
            ),
        ),
    )


def pods_pending(options: Options) -> Declared:
    """Return the alert on pods that wait for an accelerator."""
    pod = pod_key(options)
    pending = Selector("kube_pod_status_phase", (equal("phase", "Pending"),))
    wants = Selector("kube_pod_container_resource_requests", (ACCELERATORS,))
    waiting = aggregate("max", binary(vector(pending), "==", number(1)), by=pod)
    return Declared(
        name="LLMPodsPendingGPU",
        means="A pod that asks for a GPU cannot be started.",
        source="llm-d's rules",
        needs=(KUBE,),
        board="inferometer-scaling",
        variables=pod,
        rules=(
            Fires(
                severity="warning",
                expr=binary(waiting, "and", binary(vector(wants), ">", _ZERO), Matching(on=pod)),
                summary="{{ $labels.pod }} in {{ $labels.namespace }} waits for a GPU",
                description="It is pending for 15 minutes: no node has a GPU free for it, or it"
                " cannot be started there.",
                for_s=_WAIT_S,
            ),
        ),
    )


def scale_maxed(options: Options) -> Declared:
    """Return the alert on an autoscaler that is at its limit while the SLO is broken."""
    hpa, place = (*space(options), "horizontalpodautoscaler"), deployment_key(options)

    def hpa_value(name: str) -> Expr:
        return aggregate("max", vector(f"kube_horizontalpodautoscaler_{name}"), by=hpa)

    maxed = binary(hpa_value("status_current_replicas"), ">=", hpa_value("spec_max_replicas"))
    scales = Selector(
        "kube_horizontalpodautoscaler_info", (equal("scaletargetref_kind", "Deployment"),)
    )
    target = named_by(vector(scales), "deployment", "scaletargetref_name")
    targets = aggregate("group", target, by=(*hpa, "deployment"))
    pods = named_by(vector(names.OBJECTIVE_SEEN), "deployment", "pod", POD_OF_DEPLOYMENT)
    promised = aggregate("group", pods, by=(*place, "slo"))
    rate = vector(names.burn("1h"))
    burns = binary(promised, "*", rate, Matching(on=options.key, left=()))
    worst = binary(aggregate("max", burns, by=place), ">", number(1))
    at_limit = binary(maxed, "*", targets, Matching(on=hpa, left=("deployment",)))
    return Declared(
        name="LLMScaleMaxed",
        means="The autoscaler is at its maximum, and the SLO is broken all the same.",
        source="kubernetes-mixin's KubeHpaMaxedOut; ours that the SLO must suffer",
        needs=(SIDECAR, KUBE, SLO),
        board="inferometer-scaling",
        variables=place,
        rules=(
            Fires(
                severity="critical",
                expr=binary(at_limit, "and", worst, Matching(on=place)),
                summary="{{ $labels.deployment }} in {{ $labels.namespace }} cannot grow, and its"
                " SLO is broken",
                description="{{ $labels.horizontalpodautoscaler }} is at its maximum of"
                " {{ $value }} replicas, and an SLO of these pods burns more budget than it has.",
                for_s=_WAIT_S,
            ),
        ),
    )


SERVER_ALERTS: Final[tuple[Declare, ...]] = (
    server_down,
    no_ready_replicas,
    restart_loop,
    pods_pending,
    scale_maxed,
)
