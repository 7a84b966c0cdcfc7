"""Objects for Pyrra, against what its resource definition and its own validation ask for.

Its program cannot be built here, so `SCHEMA` and `refused` state its rules.
Source: Pyrra, kubernetes/api/v1alpha1/servicelevelobjective_types.go (types and `validate`).
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from inferometer.slo.document import Document
from inferometer.slo.formats import targets
from inferometer.slo.names import Options
from inferometer.slo.render import Home
from inferometer.slo.spec import load
from support.slo_rules import Documents, chat, promised

WHOLE = Path(__file__).parents[2] / "fixtures" / "slo" / "whole.yaml"
QUERY: Final = {"metric": str}
SCHEMA: Final[dict[str, Any]] = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str, "labels": dict},
    "spec": {
        "target": str,
        "window": str,
        "description": str,
        "indicator": {
            "ratio": {"errors": QUERY, "total": QUERY},
            "latency": {"success": QUERY, "total": QUERY},
        },
        "alerting": {"name": str, "burnrates": bool, "absent": bool},
    },
}
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?")
LABEL: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
HOSTILE = r"""
metadata: {name: h, owner: "\"} or vector(1) #"}
service: "{{ $labels.x }}\n é😀"
metrics:
  - name: a
    objective: 99
    histogram: {metric: m, threshold: 1s, where: {x: "\"} or vector(1) #", y: "a\n{{ . }}\uFFFD"}}
  - {name: b, objective: 99.5, ratio: {bad: 'm{x=~"\\d+|\"}"}', total: 'm{y="{{"}'}}
"""


def made(
    documents: tuple[Document, ...], options: Options | None = None, home: Home | None = None
) -> list[dict[str, Any]]:
    files = targets.render(documents, "pyrra", options or Options(), home=home or Home())
    return [one for file in files for one in yaml.safe_load_all(file.text)]


def fits(data: Any, schema: Any) -> bool:
    if isinstance(schema, dict):
        return (
            isinstance(data, dict)
            and set(data) <= set(schema)
            and all(fits(value, schema[key]) for key, value in data.items())
        )
    return isinstance(data, schema)


def refused(one: dict[str, Any]) -> list[str]:
    """Return what Pyrra would refuse, as its `validate` and its conversion say."""
    spec, labels = one["spec"], one["metadata"]["labels"]
    (kind,) = spec["indicator"]
    chosen = [query["metric"] for query in spec["indicator"][kind].values()]
    parsed = [promql_parser.parse(query) for query in chosen]
    rules = {
        "a field that the schema does not know": fits(one, SCHEMA),
        "name": NAME.fullmatch(one["metadata"]["name"]),
        "target": 0 < Decimal(spec["target"]) < 100,
        "a label": all(LABEL.fullmatch(value) for value in labels.values()),
        "window": re.fullmatch(r"([0-9]+(ms|[smhdwy]))+", spec["window"]),
        "no plain selector": all(
            isinstance(one, promql_parser.VectorSelector) and one.name for one in parsed
        ),
        "no bucket": kind != "latency" or re.search(r'[{,]le="[0-9.]+"', chosen[0]),
        "errors are the total": chosen[0] != chosen[1],
    }
    return [rule for rule, kept in rules.items() if not kept]


@pytest.mark.req("SC-02")
def test_pyrra_would_take_what_is_written(documents: Documents) -> None:
    options = Options(vantage='"}', clusters=("eu", '"} or vector(1)'))
    objects = made((*load([WHOLE]), *documents(HOSTILE)), options)
    assert [one["metadata"]["name"] for one in objects] == [
        *("llm--chat-interactive", "llm--chat-batch", "llm--chat-engine-ttft"),
        *("llm--chat-gateway-errors", "h-a", "h-b"),
    ]
    assert [refused(one) for one in objects] == [[]] * 6


def test_a_ratio_counts_errors_and_a_histogram_the_successes_of_a_bucket(
    documents: Documents,
) -> None:
    text = chat({"all": promised("99.50")}, rest="window: {rolling: 28d}")
    first, second = made(
        documents(
            text + "metrics: [{name: m, objective: 95, histogram: {metric: h, threshold: 2}}]\n"
        )
    )
    assert first["spec"]["indicator"]["ratio"]["errors"]["metric"].endswith('verdict="bad"}')
    assert (first["spec"]["target"], first["spec"]["window"]) == ("99.5", "28d")
    assert second["spec"]["indicator"]["latency"] == {
        "success": {"metric": 'h_bucket{le="2.0"}'},
        "total": {"metric": "h_count"},
    }
    labels = first["metadata"]["labels"]
    assert (labels["pyrra.dev/owner"], labels["pyrra.dev/service"]) == ("team", "llama")


def test_people_who_are_no_labels_are_left_out(documents: Documents) -> None:
    for one in made(documents(HOSTILE)):
        assert list(one["metadata"]["labels"]) == ["app.kubernetes.io/part-of"]


def test_what_pyrra_cannot_count_is_left_out(documents: Documents) -> None:
    text = (
        "metadata: {name: d}\nmetrics:\n"
        "  - {name: good, objective: 99, ratio: {good: a, total: b}}\n"
        "  - {name: same, objective: 99, ratio: {bad: a, total: a}}\n"
        "  - {name: word, objective: 99, ratio: {bad: a, total: and}}\n"
        "  - {name: gauge, objective: 99, gauge: {metric: g, above: 1},"
        " slice: {length: 5m, good_share: 50}}\n"
    )
    assert made(documents(text)) == []
    assert made(documents(text.replace("metrics", "window: {calendar: week}\nmetrics"))) == []


def test_objects_go_where_they_are_told(documents: Documents) -> None:
    home = Home("monitoring", (("release", "p"),))
    alerts = "alerts: {page: false, ticket: false}"
    (one,) = made(documents(chat({"all": promised("99")}, rest=alerts)), home=home)
    assert one["metadata"]["namespace"] == "monitoring"
    assert one["metadata"]["labels"]["release"] == "p"
    assert one["spec"]["alerting"] == {"name": "SLOBurn", "burnrates": False, "absent": False}


def test_a_long_edge_stays_exact(documents: Documents) -> None:
    edge = "123456789012345678.123456789012345678"
    source = f"histogram: {{metric: h, threshold: {edge}}}"
    text = f"metadata: {{name: d}}\nmetrics: [{{name: m, objective: 95, {source}}}]\n"
    (one,) = made(documents(text))
    success = one["spec"]["indicator"]["latency"]["success"]["metric"]
    assert success == f'h_bucket{{le="{edge}"}}'
