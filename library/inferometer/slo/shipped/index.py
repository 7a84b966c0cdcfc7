"""Every alert that is shipped, and every one that waits for its series: for pages and their tests.

An alert whose series nobody exports would be silent for ever and look like good news, so it is
shipped with its series, not before.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from inferometer.slo import alerts
from inferometer.slo.names import Options
from inferometer.slo.rule import Alert, Severity
from inferometer.slo.shipped.groups import GPU_ALERTS, SERVING_ALERTS
from inferometer.slo.shipped.record import SIDECAR, SLO, Limit
from inferometer.slo.thresholds import THRESHOLDS
from inferometer.slo.windows import lengths_in_use


class Entry(NamedTuple):
    """An alert as a page shows it. `limits` are what a user may set."""

    name: str
    file: str
    means: str
    needs: tuple[str, ...]
    limits: tuple[Limit, ...]
    rules: tuple[Alert, ...]

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Return the severities of its rules, each once."""
        return tuple(dict.fromkeys(rule.severity for rule in self.rules))


class Waiting(NamedTuple):
    """An alert that is not shipped yet, and the series that it waits for."""

    name: str
    severity: Severity
    means: str
    waits_for: str


MEANS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "LLMSLOBurnFast": "An SLO is being broken now: in an hour 2 % of the month's budget goes,"
        " or almost everything fails.",
        "LLMSLOBurnMedium": "An SLO has been broken for hours: 5 % of the month's budget is gone.",
        "LLMSLOBurnSlow": "At this rate an SLO will not be met: a tenth of the budget went in a"
        " day.",
        "LLMSLOBudgetDrain": "For three days an SLO has used a little more than its budget allows.",
        "LLMSLOBudgetExhausted": "Nothing is left of the error budget of an SLO.",
        "LLMSLOTrickle": "A few of the few requests of an SLO fail: more than promised, too few for"
        " other alerts.",
        "LLMSLONoData": "An SLO has had no data for a while, though it had traffic yesterday"
        " in the hours before and after this time.",
        "LLMSLOInvalid": "The numbers of an SLO contradict each other, so that nothing it says can"
        " be trusted.",
        "LLMSLOWindowTruncated": "Prometheus remembers less than the window of an SLO, so its"
        " budget looks too good.",
    }
)
"""What the alerts on SLOs mean; the others say it where they are declared."""

_ENGINE: Final = "`inferometer_engine_*`: metrics of engines under one name"

WAITING: Final = (
    Waiting(
        "LLMEngineHung",
        "critical",
        "An engine has requests and generates nothing.",
        f"{_ENGINE}: running requests",
    ),
    Waiting(
        "LLMQueueBuildup",
        "warning",
        "Requests queue up in front of an engine.",
        f"{_ENGINE}: waiting requests",
    ),
    Waiting(
        "LLMQueueDominatesTTFT",
        "info",
        "First tokens are late for the queue, not for the prompt.",
        f"{_ENGINE}: times in the queue and in prefill",
    ),
    Waiting(
        "LLMPreemptions",
        "warning",
        "An engine throws work away for lack of memory.",
        f"{_ENGINE}: preemptions",
    ),
    Waiting(
        "LLMKVCachePressure",
        "warning",
        "The KV cache of an engine is full, and requests wait for it.",
        f"{_ENGINE}: use of the KV cache",
    ),
    Waiting(
        "LLMPrefixCacheCollapse",
        "info",
        "Prompts are found in the prefix cache much more rarely than before.",
        f"{_ENGINE}: hits of the prefix cache",
    ),
    Waiting(
        "LLMThroughputRegression",
        "warning",
        "An engine writes fewer tokens for each running request than a week ago.",
        f"{_ENGINE}: running requests",
    ),
    Waiting(
        "LLMPDImbalance",
        "warning",
        "Prefill and decode servers have unequal work.",
        f"{_ENGINE}: running requests by role",
    ),
    Waiting(
        "LLMColdStartSlow",
        "info",
        "A new replica takes much longer to its first token than replicas use to.",
        "the time from a pod's creation to its first token, which no series tells yet",
    ),
    Waiting(
        "LLMTenantBudgetExceeded",
        "warning",
        "A tenant spends more than its budget.",
        "spend and budgets of tenants: the sidecar has no label for tenants, on purpose",
    ),
)


def entries() -> tuple[Entry, ...]:
    """Return every shipped alert, in the order of the files."""
    options = Options()
    return (*_of_slos(options), *_declared(options))


def _of_slos(options: Options) -> Iterator[Entry]:
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts.generic(options, lengths_in_use(())).alerts:
        by_name.setdefault(alert.name, []).append(alert)
    for name, rules in by_name.items():
        limits = [Limit(alert=name, **THRESHOLDS[name]._asdict())] if name in THRESHOLDS else []
        yield Entry(name, "slo.yaml", MEANS[name], (SIDECAR, SLO), tuple(limits), tuple(rules))


def _declared(options: Options) -> Iterator[Entry]:
    for file, declared in (("serving.yaml", SERVING_ALERTS), ("gpu.yaml", GPU_ALERTS)):
        for declare in declared:
            one = declare(options)
            rules = tuple(one.alerts(options))
            yield Entry(one.name, file, one.means, one.needs, one.limits, rules)
