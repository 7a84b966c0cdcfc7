"""The 30-day ratio that the rendered rules give in a real Prometheus, against an exact count."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from inferometer.slo.names import Options
from inferometer.slo.rules import generic
from support.month import Month
from support.prometheus import Prometheus, load
from support.promtool import VERSIONS, tool

TOTAL: Final = "inferometer:slo_total:increase5m"
BAD: Final = "inferometer:slo_bad:increase5m"


def whole_window(record: str) -> str:
    """Return the rule of a 30-day sum, over what the 5-minute rule would have recorded."""
    rules = {rule.record: rule for rule in generic(Options(), (30,)).recorded}
    each_minute = f"({rules[record].expr})"
    summed = rules[record.replace("5m", "30d")].expr.text.partition("\nand")[0]
    return re.sub(rf"{record}\[(\w+)\]", lambda match: f"{each_minute}[{match[1]}:1m]", summed)


def test_the_question_asked_is_the_rendered_rule() -> None:
    assert whole_window(BAD) == (
        "sum_over_time((sum by (namespace, slo) (increase("
        'inferometer_slo_tokens_total{vantage="sidecar",verdict="bad"}[5m]))\n'
        "or sum by (namespace, slo) (increase("
        'inferometer_slo_requests_total{vantage="sidecar",verdict="bad"}[5m])))[30d:1m]) / 5'
    )


@pytest.mark.req("SC-05")
@pytest.mark.parametrize(
    ("interval_s", "pods", "within"), [(30, 8, "0.001"), (15, 4, "0.001"), (60, 4, "0.01")]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_month_is_counted_right(
    version: str, interval_s: int, pods: int, within: str, tmp_path: Path
) -> None:
    month = Month(interval_s, pods)
    data = load(tool("2", "promtool"), month.lines(), tmp_path)
    with Prometheus(tool(version, "prometheus"), data) as prometheus:
        ((_, total),) = prometheus.ask(whole_window(TOTAL), month.end_s)
        ((_, bad),) = prometheus.ask(whole_window(BAD), month.end_s)
    ratio = Decimal(bad) / Decimal(total)
    assert abs(ratio / month.error_ratio - 1) <= Decimal(within), (ratio, month.error_ratio)
