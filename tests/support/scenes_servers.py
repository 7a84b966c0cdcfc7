"""Scenes for the alerts on model servers, their pods, and what measuring and tokens cost."""

from typing import Final

from support.scenes_requests import LATE, NOTHING, counter
from support.shipped import Scene, Table, merged, overridden

_STEADY: Final = "1x90"
_GONE: Final = "1x10 _x80"
_DEPLOYMENT: Final = "chat-7d9f8b6c5d-abcde"
_PEOPLE: Final = {"service": "llama", "owner": "team"}


def gauge(metric: str, values: str, **labels: str) -> dict[str, str]:
    """Return one series with its values."""
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {f"{metric}{{{inside}}}": values}


def _place(namespace: str, pod: str) -> dict[str, str]:
    return {"namespace": namespace, "pod": pod, "instance": f"{pod}:9464"}


def _sidecar(namespace: str, pod: str, *, up: str = _STEADY, info: str = _STEADY) -> dict[str, str]:
    place = _place(namespace, pod)
    return merged(
        gauge("up", up, job="sidecar", **place),
        gauge("inferometer_sidecar_info", info, **place, version="1"),
    )


def _promise(namespace: str, *pods: str, slo: str = "chat") -> dict[str, str]:
    """Return an SLO that the sidecars of some pods judge."""
    who = {"namespace": namespace, "slo": slo, **_PEOPLE}
    return merged(
        gauge("inferometer:slo_info", _STEADY, **who, page="true", ticket="true"),
        *(
            gauge("inferometer_slo_objective_ratio", "0.99x90", slo=slo, **_place(namespace, pod))
            for pod in pods
        ),
    )


def _deployment(namespace: str, wanted: str, ready: str) -> dict[str, str]:
    of = {"namespace": namespace, "deployment": "chat"}
    return merged(
        gauge("kube_deployment_spec_replicas", wanted, **of),
        gauge("kube_deployment_status_replicas_ready", ready, **of),
    )


def _down(problem: str, namespace: str, pod: str, **more: str) -> dict[str, str]:
    return {"severity": "critical", "problem": problem, **_place(namespace, pod), **more}


DOWN: Final = Table(
    "LLMServerDown",
    (
        Scene(
            "the server refuses, the sidecar is not reached, and one of them is fine",
            LATE,
            merged(
                _sidecar("a", "p-0"),
                gauge("inferometer_sidecar_upstream_up", "1x10 0x80", **_place("a", "p-0")),
                _sidecar("b", "p-0", up="1x10 0x80", info=_GONE),
                _promise("b", "p-0"),
                _sidecar("c", "p-0"),
                gauge("inferometer_sidecar_upstream_up", _STEADY, **_place("c", "p-0")),
                gauge("up", "0x90", job="something-else", namespace="d", pod="q", instance="q"),
            ),
            [_down("refused", "a", "p-0"), _down("unreachable", "b", "p-0", **_PEOPLE)],
        ),
        Scene(
            "pods that are being deleted",
            LATE,
            merged(
                _sidecar("e", "p-0"),
                gauge("inferometer_sidecar_upstream_up", "1x10 0x80", **_place("e", "p-0")),
                gauge("kube_pod_deletion_timestamp", "_x10 600x80", namespace="e", pod="p-0"),
                _sidecar("f", "p-0", up="1x10 0x80", info=_GONE),
                gauge("kube_pod_deletion_timestamp", "_x10 600x80", namespace="f", pod="p-0"),
            ),
        ),
        Scene(
            "a minute is not enough",
            11,
            merged(_sidecar("b", "p-0", up="1x10 0x80", info=_GONE)),
        ),
        Scene(
            "targets are gone that a Deployment wants, and others that it does not want",
            LATE,
            merged(
                _sidecar("gone", _DEPLOYMENT, up=_GONE, info=_GONE),
                _deployment("gone", "2x90", "2x90"),
                _promise("gone", _DEPLOYMENT),
                _sidecar("scaled-to-zero", _DEPLOYMENT, up=_GONE, info=_GONE),
                _deployment("scaled-to-zero", "2x10 0x80", "2x10 0x80"),
                _sidecar("replaced", _DEPLOYMENT, up=_GONE, info=_GONE),
                _sidecar("replaced", "chat-7d9f8b6c5d-fghij"),
                _deployment("replaced", "2x90", "2x90"),
            ),
            [
                {
                    "severity": "critical",
                    "problem": "gone",
                    "namespace": "gone",
                    "deployment": "chat",
                    **_PEOPLE,
                }
            ],
        ),
        NOTHING,
    ),
)

NOT_READY: Final = Table(
    "LLMNoReadyReplicas",
    (
        Scene(
            "no pod is ready, one is ready, none is wanted, and one that is no model server",
            LATE,
            merged(
                _sidecar("down", _DEPLOYMENT),
                _deployment("down", "2x90", "2x10 0x80"),
                _sidecar("half", _DEPLOYMENT),
                _deployment("half", "2x90", "2x10 1x80"),
                _sidecar("off", _DEPLOYMENT),
                _deployment("off", "2x10 0x80", "2x10 0x80"),
                _deployment("other", "2x90", "0x90"),
            ),
            [
                {
                    "severity": "critical",
                    "problem": "not_ready",
                    "namespace": "down",
                    "deployment": "chat",
                }
            ],
        ),
        Scene(
            "every target of a service is down, and one of two",
            LATE,
            merged(
                _sidecar("down", "p-0", up="1x10 0x80", info=_GONE),
                _sidecar("down", "p-1", up="1x10 0x80", info=_GONE),
                _promise("down", "p-0", "p-1"),
                _sidecar("half", "p-0", up="1x10 0x80", info=_GONE),
                _sidecar("half", "p-1"),
                _promise("half", "p-0", "p-1"),
            ),
            [
                {
                    "severity": "critical",
                    "problem": "all_unreachable",
                    "namespace": "down",
                    **_PEOPLE,
                }
            ],
        ),
        NOTHING,
    ),
)


def _restarting(namespace: str, values: str) -> dict[str, str]:
    of = {"namespace": namespace, "pod": "p-0", "container": "engine"}
    return gauge("kube_pod_container_status_restarts_total", values, **of)


def _loop(namespace: str) -> dict[str, str]:
    of = {"namespace": namespace, "pod": "p-0", "container": "engine"}
    return {"severity": "critical", **of}


_RESTARTS: Final = merged(
    _restarting("loop", "0+0.1x90"),
    _sidecar("loop", "p-0"),
    _restarting("just-below", "0+0.08x90"),
    _sidecar("just-below", "p-0"),
    _restarting("no-server", "0+0.1x90"),
)
RESTARTS: Final = Table(
    "LLMPodRestartLoop",
    (
        Scene("6 in an hour", 70, _RESTARTS, [_loop("loop")]),
        Scene(
            "a lower limit",
            70,
            merged(_RESTARTS, overridden("LLMPodRestartLoop", "4")),
            [_loop("loop"), _loop("just-below")],
        ),
        NOTHING,
    ),
)


def _pod(namespace: str, pending: str, resource: str) -> dict[str, str]:
    of = {"namespace": namespace, "pod": "p-0"}
    wants = {"container": "engine", "resource": resource}
    return merged(
        gauge("kube_pod_status_phase", pending, **of, phase="Pending"),
        gauge("kube_pod_container_resource_requests", "1x90", **of, **wants),
    )


PENDING: Final = Table(
    "LLMPodsPendingGPU",
    (
        Scene(
            "15 minutes of waiting for a GPU, and others that wait for less",
            30,
            merged(
                _pod("waits", "1x90", "nvidia_com_gpu"),
                _pod("waits-for-amd", "1x90", "amd_com_gpu"),
                _pod("starts", "1x10 0x80", "nvidia_com_gpu"),
                _pod("no-gpu", "1x90", "cpu"),
            ),
            [
                {"severity": "warning", "namespace": namespace, "pod": "p-0"}
                for namespace in ("waits", "waits-for-amd")
            ],
        ),
        Scene("not yet", 14, _pod("waits", "1x90", "nvidia_com_gpu")),
        NOTHING,
    ),
)


def _scaled(namespace: str, replicas: int, burn: float) -> dict[str, str]:
    hpa = {"namespace": namespace, "horizontalpodautoscaler": "hpa"}
    target = {"scaletargetref_kind": "Deployment", "scaletargetref_name": "chat"}
    of = "kube_horizontalpodautoscaler"
    return merged(
        gauge(f"{of}_status_current_replicas", f"{replicas}x90", **hpa),
        gauge(f"{of}_spec_max_replicas", "4x90", **hpa),
        gauge(f"{of}_info", _STEADY, **hpa, **target),
        _promise(namespace, _DEPLOYMENT),
        gauge("inferometer:slo_burn:rate1h", f"{burn}x90", namespace=namespace, slo="chat"),
    )


MAXED: Final = Table(
    "LLMScaleMaxed",
    (
        Scene(
            "at its maximum and burning, only one of both, and neither",
            30,
            merged(
                _scaled("both", 4, 2), _scaled("could-grow", 3, 2), _scaled("just-below", 4, 0.9)
            ),
            [
                {
                    "severity": "critical",
                    "namespace": "both",
                    "horizontalpodautoscaler": "hpa",
                    "deployment": "chat",
                }
            ],
        ),
        NOTHING,
    ),
)


def _energy(namespace: str, joules: str, tokens: str = "0+1000x200") -> dict[str, str]:
    of = {"namespace": namespace, "pod": "p-0"}
    share = {"gpu": "0", "UUID": f"GPU-{namespace}", "share": "pod", "container": "engine"}
    counts = {"vantage": "sidecar", "model": "m", "direction": "output", "usage_source": "server"}
    return merged(
        gauge("inferometer_gpu_share_energy_joules_total", joules, **of, **share),
        gauge("inferometer_tokens_total", tokens, **of, **counts),
    )


def _costly(namespace: str) -> dict[str, str]:
    return {"severity": "info", "namespace": namespace, "pod": "p-0"}


_ENERGY: Final = merged(
    _energy("costly", "0+1000x100 100000+1500x100"),
    _energy("just-below", "0+1000x100 100000+1150x100"),
    _energy("idle", "0+1000x100 100000+1500x100", "0+1000x100 100000+10x100"),
)
ENERGY: Final = Table(
    "LLMEnergyPerTokenUp",
    (
        Scene("half as much again", 122, _ENERGY, [_costly("costly")]),
        Scene(
            "a lower limit",
            122,
            merged(_ENERGY, overridden("LLMEnergyPerTokenUp", "1.05")),
            [_costly("costly"), _costly("just-below")],
        ),
        NOTHING,
    ),
)


def _delays(namespace: str, stage: str, quick: float, every: float) -> dict[str, str]:
    of = {**_place(namespace, "p-0"), "stage": stage}
    name = "inferometer_sidecar_overhead_seconds"
    return merged(
        counter(f"{name}_bucket", quick, **of, le="0.005"), counter(f"{name}_count", every, **of)
    )


def _delayed(namespace: str, stage: str) -> dict[str, str]:
    return {"severity": "warning", **_place(namespace, "p-0"), "stage": stage}


_DELAYS: Final = merged(
    _delays("late", "head", 97, 100),
    _delays("late", "chunk", 100, 100),
    _delays("late", "dial", 0, 100),
    _delays("just-below", "chunk", 396.1, 400),
)
OVERHEAD: Final = Table(
    "LLMSidecarOverhead",
    (
        Scene(
            "3 % of heads, however long dialling takes", LATE, _DELAYS, [_delayed("late", "head")]
        ),
        Scene(
            "a lower limit",
            LATE,
            merged(_DELAYS, overridden("LLMSidecarOverhead", "0.009")),
            [_delayed("late", "head"), _delayed("just-below", "chunk")],
        ),
        NOTHING,
    ),
)

_LOST: Final = merged(
    *(
        merged(
            _sidecar(what, "p-0"),
            counter("inferometer_sidecar_dropped_total", 1, **_place(what, "p-0"), what=what),
        )
        for what in ("events", "requests", "spans")
    ),
    _sidecar("none", "p-0"),
    counter("inferometer_sidecar_dropped_total", 0, **_place("none", "p-0"), what="events"),
)
DROPPING: Final = Table(
    "LLMSidecarDropping",
    (
        Scene(
            "one a minute, but spans are no measurements",
            LATE,
            _LOST,
            [{"severity": "critical", **_place(what, "p-0")} for what in ("events", "requests")],
        ),
        Scene("a higher limit", LATE, merged(_LOST, overridden("LLMSidecarDropping", "6"))),
        NOTHING,
    ),
)

SERVER_TABLES: Final = (
    DOWN,
    NOT_READY,
    RESTARTS,
    PENDING,
    MAXED,
    ENERGY,
    OVERHEAD,
    DROPPING,
)
