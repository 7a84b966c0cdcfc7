"""Alerts of users on quantiles of latency: W06. They have no budget, and noise at night."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from inferometer.documents import shown
from inferometer.errors import Place, Problem
from inferometer.prom.client import AlertingRule, Client
from inferometer.slo.classes import OBJECTIVE_MAX, OBJECTIVE_MIN
from inferometer.slo.quantile import Limit, limits

NO_BUDGET: Final = "W06"

_CONDITIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gen_ai_server_time_to_first_token_seconds": "ttft",
        "gen_ai_server_time_per_output_token_seconds": "tpot",
        "gen_ai_server_request_duration_seconds": "e2e",
    }
)
"""Latencies that a class of a document can promise."""


def problems(client: Client) -> Iterator[Problem]:
    """Yield the alerting rules of a Prometheus that an SLO would do better, each limit once.

    Raises PrometheusError.
    """
    for rule in client.alerting_rules():
        for limit in limits(rule.query):
            yield _problem(rule, limit, str(client.endpoint))


def _problem(rule: AlertingRule, limit: Limit, endpoint: str) -> Problem:
    place = Place(shown(rule.file)[1:-1] or endpoint)
    who = f"the alert {shown(rule.name)} in the group {shown(rule.group)}"
    what = f"histogram_quantile of {shown(limit.metric)[1:-1]} with {limit.limit.normalize():f}"
    message = f"{who} compares {what}: it has no budget, and is undefined at low traffic"
    return Problem(place, message, _hint(limit), NO_BUDGET)


def _hint(limit: Limit) -> str:
    """Return the SLO that stands for it, as far as it is known."""
    unit = "" if limit.metric.endswith("_ms") else "s"
    threshold = f"{limit.limit.normalize():f}{unit}"
    condition = _CONDITIONS.get(limit.metric)
    parts = [f"objective: {objective:f}"] if (objective := _objective(limit)) else []
    if condition:
        parts.append(f"good: {{{condition}: {threshold}}}")
    else:
        name = shown(limit.metric)[1:-1]
        parts.append(f'histogram: {{metric: "{name}", threshold: {threshold}}}')
    return f"make it an SLO with that threshold: {', '.join(parts)}"


def _objective(limit: Limit) -> Decimal | None:
    """Return the quantile in percent, None if it is not known or no objective."""
    if limit.quantile is None:
        return None
    percent = (100 * limit.quantile).normalize()
    return percent if Decimal(OBJECTIVE_MIN) <= percent <= Decimal(OBJECTIVE_MAX) else None
