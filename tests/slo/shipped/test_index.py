"""The list of all alerts: complete, with sources, and with a reason for each that is missing."""

import re

import pytest

from inferometer.metrics.catalog import METRICS
from inferometer.slo.shipped.index import MEANS, WAITING, Entry, entries

ENTRIES = entries()
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
SHIPPED = {
    "slo.yaml": 9,
    "serving.yaml": 17,
    "gpu.yaml": 13,
}


def test_there_are_49_alerts_shipped_or_waiting_and_none_twice() -> None:
    names = [entry.name for entry in ENTRIES] + [one.name for one in WAITING]
    assert len(set(names)) == len(names) == 49
    assert {file: sum(entry.file == file for entry in ENTRIES) for file in SHIPPED} == SHIPPED
    assert set(MEANS) == {entry.name for entry in ENTRIES if entry.file == "slo.yaml"}


@each
def test_an_entry_is_a_sentence_with_needs_and_sources(entry: Entry) -> None:
    assert entry.means[0].isupper()
    assert entry.means.endswith(".")
    assert len(entry.means) < 120
    assert entry.needs
    for rule in entry.rules:
        assert rule.source
    for limit in entry.limits:
        assert limit.alert == entry.name
        assert limit.source
        assert limit.unit
        assert limit.meaning[0].islower()
        assert not limit.meaning.endswith(".")


@each
def test_limits_of_an_entry_are_told_apart_and_used(entry: Entry) -> None:
    parts = [limit.part for limit in entry.limits]
    assert len(set(parts)) == len(parts)
    assert all(parts) or len(parts) <= 1
    for limit in entry.limits:
        assert any(str(limit.expr) in str(rule.expr) for rule in entry.rules), limit


@each
def test_every_limit_in_a_rule_is_declared(entry: Entry) -> None:
    declared = {limit.part for limit in entry.limits}
    for rule in entry.rules:
        selected = re.findall(r"alert_threshold:value\{([^}]*)\}", str(rule.expr))
        for inside in selected:
            assert f'alert="{entry.name}"' in inside
            part = re.search(r'part="([^"]*)"', inside)
            assert (part[1] if part else "") in declared


def test_what_alerts_wait_for_is_really_not_there() -> None:
    """As soon as it is, this fails, and they can be shipped."""
    assert [name for name in METRICS if name.startswith("inferometer_engine_")] == []
    assert {label for metric in METRICS.values() for label in metric.labels} & {"tenant"} == set()
    for one in WAITING:
        assert one.means.endswith(".")
        assert one.waits_for
