"""The rendered alerts in a real engine: they fire when they must, and are silent when they must.

Counters have one value a minute, so a request of minute k is seen by evaluation k.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from inferometer.slo.model import first_minute, of_severity, outage
from inferometer.slo.names import Options
from inferometer.slo.windows import CLIFF, DAY_S, PAIRS, Pair, Promise, limits
from support.promtool import Case, Promtool
from support.slo_rules import Rules, chat, counter, counters, promised

RATE: Final = 10
STEADY_MIN: Final = 370
"""Minutes without errors before anything happens: longer than the window of the medium pair."""
OUTAGE_MIN: Final = 40

Expectation = tuple[str, int, dict[str, float]]


def firing(minute: int, found: dict[str, float], **labels: str) -> Expectation:
    """Expect that a number of alerts with these labels fires for each of some SLOs."""
    matchers = "".join(f',{name}=~"{value}"' for name, value in labels.items())
    by_slo = {f'{{slo="{slo}"}}': count for slo, count in found.items()}
    return f'count by (slo) (ALERTS{{alertstate="firing"{matchers}}})', minute, by_slo


OBJECTIVES: Final = {"o90": "90", "o95": "95", "o99": "99", "o999": "99.9"}


@pytest.mark.req("SC-05")
def test_a_total_outage_pages_when_the_model_says_and_the_page_ends_when_it_is_over(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    document = chat({name: promised(o, tenant=name) for name, o in OBJECTIVES.items()})
    values: dict[str, str] = {}
    expect: list[Expectation] = []
    traffic = outage(Decimal(1))
    for name, objective in OBJECTIVES.items():
        slo = f"chat-{name}"
        phases = ((STEADY_MIN, RATE, 0), (OUTAGE_MIN, 0, RATE), (60, RATE, 0))
        values |= counters(slo, *phases)
        promise = Promise(Decimal(objective) / 100, 30 * DAY_S)
        minute = first_minute(of_severity("critical"), promise, traffic)
        assert minute is not None
        assert minute <= (4 if objective == "99.9" else 16)
        one = {"slo": slo, "severity": "critical"}
        expect.append(firing(STEADY_MIN + minute - 2, {}, **one))
        told = (
            f'count(count by (slo) (ALERTS{{alertstate="firing",slo="{slo}",severity="critical"}}))'
        )
        expect.append((told, STEADY_MIN + minute + 1, {"{}": 1}))
    over = STEADY_MIN + OUTAGE_MIN
    # Both last as long as their shortest window, and 5 minutes of keep_firing_for.
    expect.append(firing(over + 12, {}, pair="fast|cliff"))
    # At 90 and 95 % only the cliff has come so far, which is why there is one.
    fast = {f"chat-{name}": 1.0 for name in ("o99", "o999")}
    expect.append(firing(over, fast, pair="fast"))
    expect.append(firing(over, {f"chat-{name}": 1.0 for name in OBJECTIVES}, pair="cliff"))
    assert promtool.test(tmp_path, rules(document), Case(values, expect)) == ""


@pytest.mark.e2e
@pytest.mark.req("SC-05")
def test_with_three_days_of_history_every_pair_fires_when_the_model_says(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    steady = 3 * DAY_S // 60 + 10
    promise = Promise(Decimal("0.95"), 30 * DAY_S)
    traffic = outage(Decimal(1))
    expect: list[Expectation] = []
    for pair in (*PAIRS, CLIFF):
        minute = first_minute([pair], promise, traffic)
        assert minute is not None
        expect.append(firing(steady + minute - 2, {}, pair=pair.name))
        expect.append(firing(steady + minute + 1, {"chat-all": 1.0}, pair=pair.name))
    values = counters("chat-all", (steady, RATE, 0), (240, 0, RATE))
    case = Case(values, expect)
    assert promtool.test(tmp_path, rules(chat({"all": promised("95")})), case) == ""


@pytest.mark.req("SC-03")
def test_each_pair_fires_above_its_threshold_and_is_silent_just_below(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    promise = Promise(Decimal("0.99"), 30 * DAY_S)
    classes: dict[str, str] = {}
    values: dict[str, str] = {}
    fired: dict[str, list[Pair]] = {}
    for pair in PAIRS:
        for side, factor in (("above", 1.1), ("below", 0.9)):
            name = f"{pair.name}-{side}"
            bad = 1000 * factor * float(limits(pair, promise).long)
            classes[name] = promised("99", tenant=name)
            values |= counters(f"chat-{name}", (STEADY_MIN, 1000 - bad, bad))
            fired[name] = [p for p in PAIRS if limits(p, promise).long * 1000 < bad]
    expect: list[Expectation] = [
        firing(
            minute,
            {f"chat-{name}": 1 for name, pairs in fired.items() if pair in pairs},
            pair=pair.name,
            severity=pair.severity,
            namespace="llm",
            service="llama",
            owner="team",
        )
        for pair in PAIRS
        for minute in (60, STEADY_MIN)
    ]
    assert promtool.test(tmp_path, rules(chat(classes)), Case(values, expect)) == ""


@pytest.mark.req("SC-03")
def test_few_bad_requests_wake_nobody_but_are_told_in_the_end(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    weighed = promised("99", tenant="tokens", more=", weight: token")
    classes = {"once": promised("99", tenant="once"), "thrice": promised("99"), "tokens": weighed}
    classes = {name: classes[name] for name in ("once", "tokens", "thrice")}
    values = {
        **counter("chat-once", "good", "0x300"),
        **counter("chat-once", "bad", "0x10 1x290"),
        **counter("chat-thrice", "good", "0x300"),
        **counter("chat-thrice", "bad", "0x10 1x50 2x50 3x190"),
        # One bad request of 8000 tokens among 20 good ones of 100.
        **counters("chat-tokens", (20, 1, 0), (280, 0, 0)),
        **counter("chat-tokens", "bad", "0x15 1x285"),
        **counters("chat-tokens", (20, 100, 0), (280, 0, 0), of="tokens"),
        **counter("chat-tokens", "bad", "0x15 8000x285", of="tokens"),
    }
    expect: list[Expectation] = [
        *(firing(minute, {}) for minute in (20, 60, 120, 170)),
        firing(185, {"chat-thrice": 1}, alertname="LLMSLOTrickle", severity="warning"),
        firing(185, {"chat-thrice": 1}),
        (
            'inferometer:slo_total:increase5m{slo="chat-tokens"} > 2000',
            18,
            {
                'inferometer:slo_total:increase5m{namespace="llm",slo="chat-tokens"}': 8500,
            },
        ),
    ]
    assert promtool.test(tmp_path, rules(chat(classes)), Case(values, expect)) == ""


@pytest.mark.req("SC-03")
def test_an_idle_night_changes_nothing_and_an_unused_class_says_nothing(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    classes = {"idle": promised("99", tenant="idle"), "unused": promised("99")}
    values = {
        **counters("chat-idle", (100, 999, 1), (300, 0, 0)),
        **counters("chat-unused", (400, 0, 0)),
    }
    remaining = "round(inferometer:slo_budget_remaining:ratio, 0.001)"
    left = {'{namespace="llm",slo="chat-idle"}': 0.9}
    burns = 'count({__name__=~"inferometer:slo_burn:rate.*"})'
    expect: list[Expectation] = [
        firing(400, {}),
        (remaining, 110, left),
        (remaining, 400, left),
        (burns, 100, {"{}": 7}),
        # What had traffic within a window still has a rate; nothing divides by zero.
        (burns, 400, {"{}": 3}),
        *(
            (f"{name} != {name}", minute, {})
            for name in ("inferometer:slo_burn:rate5m", "inferometer:slo_error:ratio_window")
            for minute in (0, 1, 105, 400)
        ),
        ('{slo="chat-unused",__name__=~"inferometer:slo_(burn:|error|budget).*"}', 400, {}),
    ]
    assert promtool.test(tmp_path, rules(chat(classes)), Case(values, expect)) == ""


@pytest.mark.req("SC-03")
def test_a_page_needs_as_many_bad_requests_as_the_document_says(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    classes = {name: promised("99", tenant=name) for name in ("nine", "eleven")}
    values = {
        **counters("chat-nine", (9, 0, 1), (60, 0, 0)),
        **counters("chat-eleven", (11, 0, 1), (60, 0, 0)),
    }
    expect = [
        *(firing(minute, {}) for minute in range(1, 10)),
        *(firing(minute, {"chat-eleven": 3}, severity="critical") for minute in (15, 17)),
        *(firing(minute, {}, slo="chat-nine") for minute in (12, 17, 40)),
    ]
    assert promtool.test(tmp_path, rules(chat(classes)), Case(values, expect)) == ""


@pytest.mark.req("SC-03")
def test_restarts_lost_scrapes_and_new_pods_wake_nobody(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    good = counter("chat-all", "good", "")
    bad = counter("chat-all", "bad", "")
    (series,), (failed,) = good, bad

    def pod(name: str, values: str) -> dict[str, str]:
        """Return a pod with good requests as `values` say, and no bad one."""
        zeros = re.sub(r"(\d+)\+10x", "0+0x", values)
        return {
            series.replace("}", f',pod="{name}"}}'): values,
            failed.replace("}", f',pod="{name}"}}'): zeros,
        }

    values = {
        **pod("steady", "0+10x400"),
        **pod("restarted", "0+10x100 0+10x299"),
        **pod("unseen", "0+10x100 _x3 1040+10x296"),
        **pod("old", "0+10x200 stale _x199"),
        **pod("new", "_x198 0+10x202"),
    }
    expect: list[Expectation] = [
        *(("count(ALERTS)", minute, {}) for minute in (50, 103, 106, 200, 205, 400)),
        # Restarts lose what nobody has seen, and nothing is counted twice.
        (
            "inferometer:slo_total:increase6h > bool 14000",
            400,
            {'{namespace="llm",slo="chat-all"}': 1},
        ),
        (
            "inferometer:slo_total:increase6h < bool 14700",
            400,
            {'{namespace="llm",slo="chat-all"}': 1},
        ),
    ]
    paths = rules(chat({"all": promised("99.9")}))
    assert promtool.test(tmp_path, paths, Case(values, expect)) == ""


@pytest.mark.req("SC-03")
def test_who_wants_no_page_or_no_ticket_gets_none(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    silent = chat({"silent": promised("99")}, rest="alerts: {page: false, ticket: false}")
    ticket = chat({"ticket": promised("99")}, rest="alerts: {page: false}")
    guarded = chat({"guarded": promised("99")}, rest="alerts: {min_bad: 1000}")
    texts = [
        text.replace("name: chat,", f"name: {name},")
        for name, text in (("a", silent), ("b", ticket), ("c", guarded))
    ]
    values: dict[str, str] = {}
    for slo in ("a-silent", "b-ticket", "c-guarded"):
        values |= counters(slo, (60, RATE / 2, RATE / 2))
    expect: list[Expectation] = [
        firing(60, {"b-ticket": 2.0}, severity="warning"),
        firing(60, {}, severity="critical"),
        firing(60, {"a-silent": 1.0, "b-ticket": 1.0}, severity="info"),
    ]
    assert promtool.test(tmp_path, rules(*texts), Case(values, expect)) == ""


def test_a_shorter_window_alerts_on_less_and_has_its_own_sum(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    week = chat({"week": promised("99")}, rest="window: {rolling: 7d}")
    month = chat({"month": promised("99")}).replace("name: chat", "name: c")
    calendar = chat({"calendar": promised("99")}, rest="window: {calendar: month}")
    calendar = calendar.replace("name: chat", "name: d")
    values: dict[str, str] = {}
    for slo in ("chat-week", "c-month", "d-calendar"):
        values |= counters(slo, (120, 95, 5))
    thresholds = "inferometer:slo_burn_threshold:fast"
    labels = 'namespace="llm",slo'
    expect: list[Expectation] = [
        (
            f"round({thresholds}, 0.01)",
            60,
            {
                f'{{{labels}="chat-week"}}': 3.36,
                f'{{{labels}="c-month"}}': 14.4,
                f'{{{labels}="d-calendar"}}': 14.4,
            },
        ),
        firing(60, {"chat-week": 1}, pair="fast"),
        (
            "round(inferometer:slo_error:ratio_window, 0.001)",
            60,
            {
                f'{{{labels}="chat-week",window="7d"}}': 0.05,
                f'{{{labels}="c-month",window="30d"}}': 0.05,
            },
        ),
        ('inferometer:slo_budget_remaining:ratio{slo="d-calendar"}', 60, {}),
    ]
    assert promtool.test(tmp_path, rules(week, month, calendar), Case(values, expect)) == ""


def test_the_ledger_wins_where_it_knows_the_budget(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    ledger = 'inferometer_slo_budget_remaining_ratio{namespace="llm",slo="chat-all",pod="l-0"}'
    values = {**counters("chat-all", (60, 98, 2)), ledger: "_x20 0.25x40"}
    name = "round(inferometer:slo_budget_remaining:ratio, 0.01)"
    expect: list[Expectation] = [
        (name, 15, {'{namespace="llm",slo="chat-all"}': -1.0}),
        firing(15, {"chat-all": 1}, alertname="LLMSLOBudgetExhausted", severity="info"),
        (name, 40, {'{namespace="llm",slo="chat-all"}': 0.25}),
        firing(40, {}, alertname="LLMSLOBudgetExhausted"),
        (
            "round(inferometer:slo_budget_exhaustion:seconds)",
            40,
            {'{namespace="llm",slo="chat-all"}': 0.25 * 30 * DAY_S / 2},
        ),
    ]
    assert promtool.test(tmp_path, rules(chat({"all": promised("99")})), Case(values, expect)) == ""


def test_an_alert_says_in_words_what_happens_and_where_to_look(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    options = Options(runbooks_url="https://x.test/v1/", dashboards_url="https://g.test")
    values = counters("chat-all", (60, 84, 16))
    labels = {"slo": "chat-all", "namespace": "llm", "service": "llama", "owner": "team"}
    page = {
        "exp_labels": {
            **labels,
            "severity": "critical",
            "pair": "fast",
            "long": "1h",
            "short": "5m",
        },
        "exp_annotations": {
            "summary": "SLO chat-all in llm (service llama) is being broken now: the budget burns"
            " 16 times too fast",
            "description": "In the last 1h, 16% was bad, mostly ttft. 1600% of the budget is"
            " spent.",
            "runbook_url": "https://x.test/v1/LLMSLOBurnFast.md",
            "dashboard_url": "https://g.test/d/inferometer-slo?var-namespace=llm&var-slo=chat-all",
        },
    }
    alerts = [{"alertname": "LLMSLOBurnFast", "eval_time": "60m", "exp_alerts": [page]}]
    case = Case(values, [], alerts)
    paths = rules(chat({"all": promised("99")}), options=options)
    assert promtool.test(tmp_path, paths, case) == ""
