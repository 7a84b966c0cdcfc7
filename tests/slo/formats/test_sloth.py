"""Specifications for Sloth: its own program makes rules of them, and Prometheus loads those."""

import subprocess
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from inferometer.slo.document import Document
from inferometer.slo.formats import targets
from inferometer.slo.formats.sloth import specification
from inferometer.slo.names import Options
from inferometer.slo.render import Home
from inferometer.slo.spec import load
from support.go_tools import GoTool, binary
from support.promtool import Case, Promtool
from support.slo_rules import Documents, chat, counters, promised

SLOTH: Final = GoTool("sloth", "github.com/slok/sloth/cmd/sloth", (1, 26))
WHOLE = Path(__file__).parents[2] / "fixtures" / "slo" / "whole.yaml"
HOSTILE = r"""
metadata: {name: h, namespace: llm, owner: "{{ $labels.x }}\"} or vector(1) # {{{"}
service: "{{ template }}\n'é😀'"
metrics:
  - name: a
    objective: 99
    histogram: {metric: m, threshold: 1s, where: {x: "\"} or vector(1) #", y: "a\n{{ . }}{{{{"}}
  - {name: b, objective: 99, ratio: {bad: 'm{x=~"{{.window}}|\""}', total: 'm{y="{{"}'}}
  - {name: c, objective: 99, ratio: {good: 'and{x="a"}', total: and}}
"""


def made(documents: tuple[Document, ...], options: Options | None = None) -> list[dict[str, Any]]:
    files = targets.render(documents, "sloth", options or Options(), home=Home())
    return [yaml.safe_load(file.text) for file in files]


def generate(folder: Path, text: str) -> Path:
    spec, rules = folder / "spec.yaml", folder / "rules.yaml"
    spec.write_text(text, "utf-8")
    done = subprocess.run(
        [binary(SLOTH), "generate", "-i", spec, "-o", rules],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return rules


@pytest.mark.e2e
def test_sloth_makes_rules_of_what_is_written_and_prometheus_loads_them(
    promtool: Promtool, documents: Documents, tmp_path: Path
) -> None:
    read = (*load([WHOLE]), *documents(HOSTILE))
    files = targets.render(read, "sloth", Options(clusters=('"}',)), home=Home())
    assert len(files) == 2
    for file in files:
        assert promtool.check(generate(tmp_path, file.text)) == ""


@pytest.mark.e2e
@pytest.mark.req("SC-02")
def test_what_users_wrote_arrives_at_prometheus_as_they_wrote_it(
    promtool: Promtool, documents: Documents, tmp_path: Path
) -> None:
    """The value of a label goes through two templates and a parser, and must still match."""
    value = "{{ . }}{{.window}} {{{ \\ \" 'é😀"
    written = value.replace("\\", "\\\\").replace('"', '\\"')
    text = (
        'metadata: {name: d, owner: "{{ $labels.x }}{{{"}\nservice: s1\n'
        "metrics:\n  - name: a\n    objective: 99\n"
        f'    histogram: {{metric: h, threshold: 1s, where: {{x: "{written}"}}}}\n'
    )
    (file,) = targets.render(documents(text), "sloth", Options(), home=Home())
    rules = generate(tmp_path, file.text)
    labels = f'x="{written}"'
    values = {
        f"h_count{{{labels}}}": "0+10x120",
        f'h_bucket{{{labels},le="1.0"}}': "0+0x120",
        'h_count{x="other"}': "0+90x120",
    }
    expect: list[tuple[str, int, dict[str, float]]] = [
        ('round(sum(slo:sli_error:ratio_rate5m{sloth_slo="d-a"}))', 60, {"{}": 1.0}),
        (
            'count by (owner) (ALERTS{sloth_severity="page"})',
            90,
            {'{owner="{{ $labels.x }}{{{"}': 1},
        ),
    ]
    assert promtool.test(tmp_path, [rules], Case(values, expect)) == ""


@pytest.mark.e2e
def test_the_counters_of_sidecars_give_sloth_the_same_ratio(
    promtool: Promtool, documents: Documents, tmp_path: Path
) -> None:
    (file,) = targets.render(
        documents(chat({"all": promised("99.9")})), "sloth", Options(), home=Home()
    )
    ratio = 'round(sum(slo:sli_error:ratio_rate1h{sloth_slo="llm--chat-all"}), 0.001)'
    case = Case(counters("chat-all", (120, 8, 2)), [(ratio, 100, {"{}": 0.2})])
    assert promtool.test(tmp_path, [generate(tmp_path, file.text)], case) == ""


def test_queries_are_promql_once_the_window_is_filled_in(documents: Documents) -> None:
    (one,) = made(documents(chat({"all": promised("99")})))
    assert (one["version"], one["service"]) == ("prometheus/v1", "llama")
    (slo,) = one["slos"]
    assert (slo["name"], slo["objective"]) == ("llm--chat-all", 99)
    for query in slo["sli"]["events"].values():
        promql_parser.parse(query.replace("{{.window}}", "5m"))
    assert "or 0 *" not in slo["sli"]["events"]["error_query"]


def test_a_part_of_the_same_metric_that_never_occurred_is_zero(documents: Documents) -> None:
    text = (
        "metadata: {name: d}\nmetrics:\n"
        "  - {name: same, objective: 99, ratio: {bad: 'm{a=\"b\"}', total: m}}\n"
        "  - {name: other, objective: 99, ratio: {bad: n, total: m}}\n"
    )
    same, other = made(documents(text))[0]["slos"]
    assert same["sli"]["events"]["error_query"].endswith("or 0 * sum(rate(m[{{.window}}]))")
    assert other["sli"]["events"]["error_query"] == "sum(rate(n[{{.window}}]))"


@pytest.mark.parametrize(
    ("page", "ticket", "expected"),
    [
        (True, False, ({"labels": {"severity": "critical"}}, {"disable": True})),
        (False, True, ({"disable": True}, {"labels": {"severity": "warning"}})),
    ],
)
def test_who_is_told_is_kept(
    documents: Documents, *, page: bool, ticket: bool, expected: tuple[Any, Any]
) -> None:
    alerts = f"alerts: {{page: {str(page).lower()}, ticket: {str(ticket).lower()}}}"
    (one,) = made(documents(chat({"all": promised("99")}, rest=alerts)))
    alerting = one["slos"][0]["alerting"]
    assert (alerting["page_alert"], alerting["ticket_alert"]) == expected


def test_a_document_of_slices_alone_gives_no_file(documents: Documents) -> None:
    text = "weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}, objective: 99"
    (document,) = documents(chat({"all": text}))
    assert specification(document, Options()) is None
    assert made((document,)) == []


@pytest.mark.parametrize(
    ("service", "name", "expected"),
    [("a b", "chat", "chat"), ("", "c", "slo-c"), ("llama_70b.x", "c", "llama_70b.x")],
)
def test_the_service_is_a_name_as_sloth_wants_it(
    documents: Documents, service: str, name: str, expected: str
) -> None:
    text = (
        f"metadata: {{name: {name}}}\n{f'service: {service}' if service else ''}\n"
        "metrics: [{name: m, objective: 99, ratio: {bad: a, total: b}}]\n"
    )
    assert made(documents(text))[0]["service"] == expected
