"""Thresholds that a user may change: series with a default, so that rules stay as they are.

`inferometer:alert_threshold:value{alert="..."}` wins where somebody records it; without it an
alert uses the default written here.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from inferometer.slo import names
from inferometer.slo.promql import Expr, Selector, aggregate, binary, call, equal, number, vector


class Threshold(NamedTuple):
    """A number that an alert compares with: its default, its unit, what it is, and whence."""

    default: Decimal
    unit: str
    meaning: str
    source: str


THRESHOLDS: Final[Mapping[str, Threshold]] = MappingProxyType(
    {
        "LLMSLOTrickle": Threshold(
            Decimal(3),
            "requests",
            "bad requests in 3 days that are worth a look although too few for other alerts",
            "ours: two may be chance",
        ),
        "LLMSLONoData": Threshold(
            Decimal(20),
            "requests",
            "requests in the hour before this time yesterday, and in the hour after it, below which"
            " silence is no surprise",
            "ours: an absence alert that fires at night is switched off soon",
        ),
        "LLMSLOInvalid": Threshold(
            Decimal("0.01"),
            "ratio",
            "share of requests that could not be measured",
            "ours: beyond it the verdicts say little about an objective of 99 %",
        ),
    }
)


def threshold(alert: str) -> Expr:
    """Return the threshold of an alert, as one value without labels."""
    return chosen(alert, THRESHOLDS[alert].default)


def chosen(alert: str, default: Decimal, *, part: str = "") -> Expr:
    """Return what a user has set for an alert, or for one part of it, else the default."""
    which = (equal("alert", alert), *([equal("part", part)] if part else []))
    series = vector(Selector(names.ALERT_THRESHOLD, which))
    return binary(aggregate("max", series), "or", call("vector", number(default)))
