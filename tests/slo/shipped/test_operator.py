"""Objects for the operator of Prometheus, against the definitions that it installs."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from inferometer.slo.names import Options
from inferometer.slo.render import Home, render, shipped
from support.go_tools import GoFiles, folder
from support.openapi import faults, load, schema_of
from support.slo_rules import Documents, chat, promised
from support.tree import ROOT

pytestmark = pytest.mark.e2e

CRDS: Final = GoFiles(
    "prometheus-operator",
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
    (1, 24),
)
KINDS: Final = {
    "AlertmanagerConfig": ("monitoring.coreos.com_alertmanagerconfigs.yaml", "v1alpha1"),
    "PrometheusRule": ("monitoring.coreos.com_prometheusrules.yaml", "v1"),
}
SLICES: Final = (
    "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"
)
METRICS: Final = """\
metrics:
  - {name: good, objective: 90, ratio: {good: a, total: b}}
  - {name: slow, objective: 99, histogram: {metric: h, threshold: 2}}
  - {name: queue, objective: 90, gauge: {metric: q, at_most: 5},
     slice: {length: 5m, good_share: 90}}
"""
Check = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def check() -> Check:
    """Return what tells everything that an API server with these definitions would refuse."""
    place = folder(CRDS)
    schemas = {kind: schema_of(place / file, version) for kind, (file, version) in KINDS.items()}

    def told(text: str) -> list[str]:
        found: Mapping[str, Any] = load(text)
        group, _, version = found["apiVersion"].partition("/")
        assert (group, version) == ("monitoring.coreos.com", KINDS[found["kind"]][1])
        return faults(found, schemas[found["kind"]])

    return told


@pytest.mark.checkout
def test_the_shipped_inhibitions_are_an_alertmanager_config(check: Check) -> None:
    text = (ROOT / "alerts" / "alertmanager" / "alertmanagerconfig.yaml").read_text("utf-8")
    assert check(text) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('matchType: "="', "matchType: is", "must be one of"),
        ("- name: severity", "- nam: severity", "is required"),
        ("sourceMatch:", "sourceMatchers:", "is not known"),
        ("- cluster", "- 1", "must be string"),
    ],
)
def test_a_mistake_in_them_would_be_refused(old: str, new: str, fault: str, check: Check) -> None:
    (text,) = (
        file.text
        for file in shipped("prometheusrule", Options())
        if file.name.endswith("alertmanagerconfig.yaml")
    )
    assert check(text) == []
    assert fault in check(text.replace(old, new, 1))[0]


def test_shipped_rules_are_objects_that_the_operator_takes(check: Check) -> None:
    files = [file for file in shipped("prometheusrule", Options()) if "/" not in file.name]
    assert len(files) == 3
    for file in files:
        assert check(file.text) == [], file.name
    assert check(files[0].text.replace("interval: 1m", "interval: soon", 1)) != []


def test_rules_of_documents_are_objects_that_the_operator_takes(
    check: Check, documents: Documents
) -> None:
    hostile = """'"} or vector(1) # {{ $labels.slo }} é'"""
    text = chat({"all": promised("99", tenant=hostile), "slices": SLICES}).replace(
        "service: llama", f"service: {hostile}"
    )
    bare = "metadata: {name: b}\nclasses: [{name: c, objective: 90, good: {e2e: 1s}}]\n"
    home = Home("monitoring", (("release", "kps"),))
    for options in (Options(), Options(clusters=("eu", '"} or vector(1)'))):
        files = render(documents(text + METRICS, bare), "prometheusrule", options, home=home)
        assert len(files) == 3
        for file in files:
            assert check(file.text) == [], file.name


def test_the_definitions_are_of_these_kinds() -> None:
    place = folder(CRDS)
    for kind, (file, _) in KINDS.items():
        assert load((place / file).read_text("utf-8"))["spec"]["names"]["kind"] == kind
