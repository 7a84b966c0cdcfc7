"""Alerts on SLOs that cannot be trusted, in a real engine: silence, contradiction, cut history."""

from pathlib import Path
from typing import Final

import pytest

from inferometer.slo.names import Options
from inferometer.slo.render import shipped
from support.promtool import Case, Promtool
from support.slo_rules import (
    Documents,
    Rules,
    chat,
    counter,
    counters,
    keep,
    promised,
    write,
)

DAY_MIN: Final = 1440
Expectation = tuple[str, int, dict[str, float]]


def firing(name: str, minute: int, *slos: str, by: str = "slo") -> Expectation:
    """Expect that an alert fires for exactly these SLOs."""
    expr = f'count by ({by}) (ALERTS{{alertstate="firing",alertname="{name}"}})'
    return expr, minute, {f'{{{by}="{slo}"}}': 1.0 for slo in slos}


def vanish(values: dict[str, str], missing_min: int) -> dict[str, str]:
    return {series: f"{text} stale _x{missing_min}" for series, text in values.items()}


FOREIGN: Final = """\
metrics:
  - {name: engine, objective: 95, histogram: {metric: engine_seconds, threshold: 1s}}
"""


@pytest.mark.req("SC-03", "SC-04")
def test_silence_at_a_busy_hour_is_told_after_the_delay_of_the_slo(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    classes = {
        "gone": promised("99", tenant="gone"),
        "flat": promised("99.9", tenant="flat"),
        "patient": promised("95", tenant="patient"),
        "quiet": promised("99", tenant="quiet"),
        "fine": promised("99", tenant="fine"),
        "evening": promised("99", tenant="evening"),
        "never": promised("99"),
    }
    busy = (DAY_MIN + 60, 1, 0)
    last = DAY_MIN + 60
    values = {
        **vanish(counters("chat-gone", busy), 130),
        **counters("chat-flat", busy, (130, 0, 0)),
        **counters("chat-patient", busy, (130, 0, 0)),
        **vanish(counters("chat-quiet", (DAY_MIN + 60, 0.1, 0)), 130),
        **counters("chat-fine", (DAY_MIN + 190, 1, 0)),
        **counters("chat-evening", (60, 1, 0), (DAY_MIN - 60, 0, 0), (60, 1, 0), (130, 0, 0)),
        **{
            f"engine_seconds_{part}": " ".join((f"0+1x{last}", f"{last}x130"))
            for part in ("count", 'bucket{le="1.0"}')
        },
    }
    name = "LLMSLONoData"
    prompt = ("chat-flat", "chat-gone")
    expect = [
        firing(name, last + 29),
        firing(name, last + 37, *prompt),
        firing(name, last + 105, *prompt),
        firing(name, last + 116, *prompt, "chat-engine", "chat-patient"),
        ("count(ALERTS)", last, {}),
    ]
    paths = rules(chat(classes) + FOREIGN)
    keep(paths[0], name, "inferometer:slo_total:increase5m")
    assert promtool.test(tmp_path, paths, Case(values, expect)) == ""


@pytest.mark.req("SC-03")
def test_slices_of_foreign_metrics_are_expected_by_what_they_count(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    """Twelve slices an hour would never be enough traffic to be missed."""
    sliced = "slice: {length: 5m, good_share: 80}"
    metrics = (
        "metadata: {name: m, namespace: llm, owner: team}\nmetrics:\n"
        f"  - {{name: gauge, objective: 99, gauge: {{metric: g, below: 1}}, {sliced}}}\n"
        f"  - {{name: ratio, objective: 99, ratio: {{bad: 'r{{x=\"y\"}}', total: r}}, {sliced}}}\n"
    )
    last = DAY_MIN + 60
    values = {"g": f"0x{last} stale _x60", "r": f"0+1x{last} stale _x60"}
    name = "LLMSLONoData"
    expect = [firing(name, last + 29), firing(name, last + 41, "m-gauge", "m-ratio")]
    paths = rules(metrics)
    keep(paths[0], name, "inferometer:slo_total:increase5m")
    assert promtool.test(tmp_path, paths, Case(values, expect)) == ""


@pytest.mark.e2e
@pytest.mark.req("SC-03")
def test_silence_that_was_there_a_week_ago_is_no_surprise(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    classes = {"weekend": promised("99", tenant="weekend"), "daily": promised("99")}
    values = {
        **counters("chat-weekend", (DAY_MIN, 0, 0), (6 * DAY_MIN, 1, 0), (120, 0, 0)),
        **counters("chat-daily", (7 * DAY_MIN, 1, 0), (120, 0, 0)),
    }
    name = "LLMSLONoData"
    expect = [firing(name, 7 * DAY_MIN + 100, "chat-daily")]
    paths = rules(chat(classes))
    keep(paths[0], name, "inferometer:slo_total:increase5m")
    assert promtool.test(tmp_path, paths, Case(values, expect)) == ""


@pytest.mark.req("SC-04")
def test_numbers_that_contradict_each_other_are_told(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    metrics = """\
metrics:
  - {name: edge, objective: 95, histogram: {metric: h_seconds, threshold: 2s}}
  - {name: swapped, objective: 95, ratio: {bad: all_total, total: bad_total}}
  - {name: negative, objective: 95, ratio: {good: all_total, total: bad_total}}
  - {name: no-errors-yet, objective: 95, ratio: {bad: 'codes_total{code="5"}', total: codes_total}}
"""
    classes = {
        "fine": promised("99", tenant="fine"),
        "opaque": promised("99", tenant="opaque"),
        "drift": promised("99", tenant="drift"),
        "unused": promised("99"),
    }
    each = (30, 10, 0)
    values = {
        **counters("chat-fine", each),
        **counters("chat-opaque", each),
        **counter("chat-opaque", "excluded", "0+1x30", reason="unmeasured"),
        **counter("chat-fine", "excluded", "0x20 1x10", reason="unmeasured"),
        **counters("chat-drift", each),
        **counters("chat-undeclared", each),
        **counters("request_header", each),
        **counters("chat-slice--requests", each),
        'inferometer_slo_objective_ratio{namespace="llm",slo="chat-fine"}': "0.99x30",
        'inferometer_slo_objective_ratio{namespace="llm",slo="chat-drift",pod="a"}': "0.99x30",
        'inferometer_slo_objective_ratio{namespace="llm",slo="chat-drift",pod="b"}': "0.95x30",
        "h_seconds_count": "0+9x30",
        'h_seconds_bucket{le="2.5"}': "0+9x30",
        "all_total": "0+100x30",
        "bad_total": "0+1x30",
        'codes_total{code="2"}': "0+10x30",
    }
    found = {
        "no_bad": ("chat-edge",),
        "bad_above_total": ("chat-swapped", "chat-negative"),
        "unmeasured": ("chat-opaque",),
        "objective_differs": ("chat-drift",),
        "no_objective": ("chat-undeclared",),
    }
    each_problem = "count by (slo, problem) (ALERTS{alertstate='firing',alertname='LLMSLOInvalid'})"
    expected = {
        f'{{problem="{problem}",slo="{slo}"}}': 1.0
        for problem, slos in found.items()
        for slo in slos
    }
    burn = 'inferometer:slo_burn:rate5m{slo="chat-no-errors-yet"}'
    labels = 'inferometer:slo_burn:rate5m{namespace="llm",slo="chat-no-errors-yet"}'
    expect = [(each_problem, 5, {}), (each_problem, 25, expected), (burn, 20, {labels: 0.0})]
    text = chat(classes) + metrics
    assert promtool.test(tmp_path, rules(text), Case(values, expect)) == ""


def test_a_prometheus_that_reaches_back_less_than_the_window_is_told(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    text = chat({"short": promised("99", tenant="short"), "ledger": promised("99")})
    covered = 'inferometer_slo_ledger_covered_seconds{namespace="llm",slo="chat-ledger"}'
    lowest = "prometheus_tsdb_lowest_timestamp_seconds"
    name = "LLMSLOWindowTruncated"

    def seen(expect: Expectation, **values: str) -> Case:
        return Case({covered: "2592000x100", **values}, [expect])

    paths = rules(text)
    keep(paths[0], name)
    cases = (
        seen(firing(name, 55), **{lowest: "0x100"}),
        seen(firing(name, 65, "chat-short"), **{lowest: "0x100"}),
        seen(firing(name, 90), **{lowest: "9223372036854776000x100"}),  # it is empty
        seen(firing(name, 90), **{lowest: "-2600000x100"}),
        seen(
            firing(name, 90, "chat-short"),
            **{f'{lowest}{{pod="a"}}': "-2600000x100", f'{lowest}{{pod="b"}}': "0x100"},
        ),
    )
    assert promtool.test(tmp_path, paths, *cases) == ""


def test_a_ledger_of_a_month_covers_what_has_passed_of_it(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    text = chat(
        {name: promised("99", tenant=name) for name in ("whole", "part", "old")},
        rest="window: {calendar: month}",
    )
    ledger = "inferometer_slo_ledger"
    values = {
        "prometheus_tsdb_lowest_timestamp_seconds": "-1296000+60x100",
        **{
            f'{ledger}_{what}_seconds{{namespace="llm",slo="chat-{slo}"}}': f"{seconds}x100"
            for what, slo, seconds in (
                ("covered", "whole", 864000),
                ("elapsed", "whole", 864000),
                ("covered", "part", 432000),
                ("elapsed", "part", 864000),
                ("covered", "old", 864000),
            )
        },
    }
    name = "LLMSLOWindowTruncated"
    calendar = f'count(ALERTS{{alertname="{name}",calendar!=""}})'
    expect = [firing(name, 90, "chat-part", "chat-old"), (calendar, 90, {})]
    assert promtool.test(tmp_path, rules(text), Case(values, expect)) == ""


@pytest.mark.req("SC-04")
def test_what_is_not_measured_inside_of_slices_is_told_of_their_slo(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    """In the hour in which a class begins to count slices both counters are there."""
    sliced = ", weight: slice, slice: {length: 5m, good_share: 80}"
    classes = {
        "sliced": promised("99", tenant="sliced", more=sliced),
        "new": promised("99", tenant="new", more=sliced),
        "plain": promised("99"),
    }
    inside = ("chat-sliced--requests", "chat-new--requests")
    values: dict[str, str] = {}
    for slo in (*inside, "chat-plain"):
        values |= counters(slo, (90, 5, 0))
    for slo in (*inside, "chat-new", "chat-plain"):
        values |= counter(slo, "excluded", "0+95x90", reason="unmeasured")
    slos = ("chat-sliced", "chat-new", "chat-plain")
    expect = [firing("LLMSLOInvalid", 80, *slos)]
    assert promtool.test(tmp_path, rules(chat(classes)), Case(values, expect)) == ""


@pytest.mark.req("SC-04")
def test_rounding_is_no_contradiction(promtool: Promtool, rules: Rules, tmp_path: Path) -> None:
    """Good and total of metrics that are split in other ways differ by a hair."""
    metrics = (
        "metadata: {name: m, namespace: llm, owner: team}\nmetrics:\n"
        "  - {name: split, objective: 99, ratio: {good: g, total: t}}\n"
    )
    values = {f'g{{n="{n}"}}': f"0+{n / 10:g}x60" for n in range(1, 8)} | {
        "t": "0+2.79999999999999x60"
    }
    recorded = "count(inferometer:slo_bad:increase5m < 0)"
    expect = [(recorded, 40, {"{}": 1.0}), firing("LLMSLOInvalid", 40)]
    assert promtool.test(tmp_path, rules(metrics), Case(values, expect)) == ""


@pytest.mark.req("SC-05")
def test_an_slo_that_two_teams_promise_keeps_no_other_from_being_told(
    promtool: Promtool, documents: Documents, tmp_path: Path
) -> None:
    """Each team loads its own file; a calendar's window stands beside a rolling one there."""
    text = chat({"all": promised("99")})
    other = text.replace("owner: team", "owner: others").replace("rolling: 30d", "calendar: month")
    mine = "metadata: {name: mine, owner: me}\nclasses:\n  - {name: all, " + promised("99") + "}\n"
    paths = []
    for number, one in enumerate((text, other, mine)):
        folder = tmp_path / str(number)
        paths += write(folder, documents(one), Options())[min(number, 1) :]
    again = paths[2].read_text("utf-8")  # promtool wants each group to have a name of its own
    paths[2].write_text(again.replace("name: inferometer-slo-llm-chat", "name: again"), "utf-8")
    key = 'namespace="llm",slo="chat-all"'
    labels = 'vantage="sidecar",slo="mine-all",verdict="bad",reason="ttft"'
    values = {
        **counters("chat-all", (90, 0, 100)),
        f"inferometer_slo_requests_total{{{labels}}}": "0+100x90",
        f'inferometer_slo_objective_ratio{{{key},pod="p",instance="i"}}': "0.99x90",
        'inferometer_sidecar_info{namespace="llm",pod="p",instance="i"}': "1x90",
    }
    invalid = "count by (slo, problem) (ALERTS{alertstate='firing',alertname='LLMSLOInvalid'})"
    twice = {'{problem="declared_twice",slo="chat-all"}': 1.0}
    fast = 'count by (slo) (ALERTS{alertstate="firing",alertname="LLMSLOBurnFast"})'
    burning = {'{slo="chat-all"}': 2.0, '{slo="mine-all"}': 2.0}
    servers = ("count(inferometer:model_server:info)", 80, {"{}": 1.0})
    expect = [(fast, 80, burning), (invalid, 80, twice), servers]
    served = tmp_path / "serving.yaml"
    served.write_text(
        next(f.text for f in shipped("prometheus", Options()) if f.name == served.name)
    )
    assert promtool.test(tmp_path, [*paths, served], Case(values, expect)) == ""


def test_a_threshold_that_a_user_records_wins_over_the_default(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    values = {
        **counter("chat-all", "good", "0x200"),
        **counter("chat-all", "bad", "0x10 1x50 2x140"),
    }
    name = "LLMSLOTrickle"
    paths = rules(chat({"all": promised("99")}))
    changed = {'inferometer:alert_threshold:value{alert="LLMSLOTrickle"}': "2x200"}
    quiet = Case(values, [firing(name, 190)])
    told = Case(values | changed, [firing(name, 190, "chat-all")])
    assert promtool.test(tmp_path, paths, quiet, told) == ""


def test_how_much_may_be_unmeasured_is_up_to_the_user(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    values = {
        **counters("chat-all", (40, 10, 0)),
        **counter("chat-all", "excluded", "0+1x40", reason="unmeasured"),
    }
    changed = {'inferometer:alert_threshold:value{alert="LLMSLOInvalid"}': "0.2x40"}
    paths = rules(chat({"all": promised("99")}))
    told = Case(values, [firing("LLMSLOInvalid", 35, "chat-all")])
    quiet = Case(values | changed, [firing("LLMSLOInvalid", 35)])
    assert promtool.test(tmp_path, paths, told, quiet) == ""
