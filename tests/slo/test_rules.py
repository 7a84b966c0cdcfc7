"""The rules for all SLOs: as many as promised, under catalogued names, in an order that works."""

import re

import promql_parser
import pytest

from inferometer.metrics.catalog import METRICS
from inferometer.slo import alerts
from inferometer.slo.names import Options
from inferometer.slo.rule import EVALUATION_S, Alert, Rule
from inferometer.slo.rules import OVERLAP, error_ratio, generic

NAME = re.compile(r"inferometer[a-z_]*:[a-z0-9_:]+|inferometer_[a-z_]+")
OPTIONS = [
    Options(),
    Options(vantage="gateway", clusters=('eu"', "us")),
]


def everything(options: Options, lengths: tuple[int, ...] = (30,)) -> list[Rule | Alert]:
    return [*generic(options, lengths).rules, *alerts.generic(options, lengths).rules]


def test_there_are_32_for_one_length_of_window_and_two_more_for_each_further_one() -> None:
    assert len(generic(Options(), (30,)).rules) == 32
    assert len(generic(Options(), (7,)).rules) == 32
    assert len(generic(Options(), (7, 28, 30)).rules) == 36


def test_sums_of_overlapping_increases_are_right_once_a_minute_only() -> None:
    """Five 5-minute increases, a minute apart, count each event five times."""
    assert (EVALUATION_S, str(OVERLAP)) == (60, "5")
    for group in (generic(Options(), (30,)), alerts.generic(Options(), (30,))):
        assert group.interval_s == 60


@pytest.mark.parametrize("options", OPTIONS)
def test_every_expression_parses(options: Options) -> None:
    for rule in everything(options, (7, 30)):
        promql_parser.parse(str(rule.expr))


def test_every_name_is_in_the_catalogue() -> None:
    rules = everything(Options())
    recorded = {rule.record for rule in rules if isinstance(rule, Rule)}
    named = {name for rule in rules for name in NAME.findall(str(rule.expr))}
    assert (recorded | named) - set(METRICS) == set()


def test_each_rule_comes_after_those_it_reads() -> None:
    seen: set[str] = set()
    rules = list(generic(Options(), (7, 30)).recorded)
    made = {rule.record for rule in rules}
    for rule in rules:
        needs = {name for name in NAME.findall(str(rule.expr)) if name in made}
        assert needs <= seen, rule.record
        seen.add(rule.record)


def test_numerator_and_denominator_are_divided_only_in_the_end() -> None:
    for rule in generic(Options(), (30,)).recorded:
        if "avg" in str(rule.expr) or "_over_time" in str(rule.expr):
            assert "/ 5" in str(rule.expr), rule.record


def test_a_share_is_absent_without_traffic_and_never_above_one() -> None:
    assert str(error_ratio("1h")) == (
        "clamp_max(inferometer:slo_bad:increase1h / (inferometer:slo_total:increase1h > 0), 1)"
    )


def test_verdicts_are_those_of_the_chosen_vantage() -> None:
    for rule in everything(Options(vantage='a"b')):
        for selector in re.findall(
            r"inferometer_slo_(?:requests|tokens)_total\{[^}]*", str(rule.expr)
        ):
            assert r'vantage="a\"b"' in selector


def test_clusters_are_part_of_what_names_an_slo() -> None:
    def joins(expr: str) -> set[str]:
        return set(re.findall(r"(?:by|on) \(([^)]*)\)", expr))

    allowed = {"cluster, namespace, slo", "cluster, namespace, slo, reason", "", "reason"}
    for rule in everything(Options(clusters=("eu",))):
        assert joins(str(rule.expr)) <= allowed, rule


def test_no_query_takes_unknown_for_zero() -> None:
    """`or vector(0)` would make a missing SLO a perfect one; defaults of thresholds are none."""
    for rule in everything(Options()):
        assert "vector(0)" not in str(rule.expr)
