"""What a document adds to the rules for all: constants, slices of time, metrics of others."""

from decimal import Decimal
from pathlib import Path

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import Place
from inferometer.slo.constants import groups, le_regex, promise, requests
from inferometer.slo.document import Alerts, Document, Foreign, HistogramSource, Window
from inferometer.slo.names import Options
from inferometer.slo.rule import Rule
from support.promtool import Case, Promtool
from support.slo_rules import Documents, Rules, chat, counters, promised


def made(documents: Documents, text: str, *, options: Options | None = None) -> list[Rule]:
    (document,) = documents(text)
    return [rule for group in groups(document, options or Options()) for rule in group.recorded]


def test_each_slo_has_five_constants_which_no_sidecar_is_needed_for(documents: Documents) -> None:
    rules = made(documents, chat({"all": promised("99.9")}, rest="alerts: {page: false}"))
    found = {rule.record: (str(rule.expr), dict(rule.labels)) for rule in rules}
    key = {"namespace": "llm", "slo": "chat-all"}
    wishes = {"service": "llama", "owner": "team", "page": "false", "ticket": "true"}
    assert found == {
        "inferometer:slo_info": ("vector(1)", key | wishes),
        "inferometer:slo_objective:ratio": ("vector(0.999)", key),
        "inferometer:slo_window:seconds": ("vector(2592000)", key),
        "inferometer:slo_min_bad:count": ("vector(10)", key),
        "inferometer:slo_nodata_delay:seconds": ("vector(1800)", key),
    }


def test_what_a_document_does_not_say_is_no_label(documents: Documents) -> None:
    rules = made(
        documents, "metadata: {name: a}\nclasses: [{name: b, objective: 99, good: {e2e: 1s}}]"
    )
    assert dict(rules[0].labels) == {"slo": "a-b", "page": "true", "ticket": "true"}
    assert dict(rules[1].labels) == {"slo": "a-b"}


def test_a_calendar_is_a_label_so_that_no_rule_sums_it_up(documents: Documents) -> None:
    rules = made(documents, chat({"all": promised("99")}, rest="window: {calendar: week}"))
    window = next(rule for rule in rules if rule.record == "inferometer:slo_window:seconds")
    assert str(window.expr) == "vector(604800)"
    assert dict(window.labels)["calendar"] == "week"


def test_each_cluster_has_its_own(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}))
    made_groups = groups(document, Options(clusters=("eu", 'u"s')))
    assert [group.name for group in made_groups] == [
        "inferometer-slo-llm-chat-eu",
        'inferometer-slo-llm-chat-u"s',
    ]
    for group, cluster in zip(made_groups, ("eu", 'u"s'), strict=True):
        assert {dict(rule.labels)["cluster"] for rule in group.recorded} == {cluster}


SLICE = "objective: 99, weight: slice, slice: {{length: {}, good_share: {}}}, good: {{ttft: 1s}}"


def test_slices_of_time_count_once_each_whatever_their_length(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    classes = {
        "five": SLICE.format("5m", 50) + ", match: {tenant: five}",
        "two": SLICE.format("2m", 50) + ", match: {tenant: two}",
        "ten": SLICE.format("10m", 50) + ", match: {tenant: ten}",
        "half": SLICE.format("5m", 50) + ", match: {tenant: half}",
        "none": SLICE.format("5m", 50),
    }
    bad = (120, 4, 6)
    values = {
        **counters("chat-five--requests", bad),
        **counters("chat-two--requests", bad),
        **counters("chat-ten--requests", bad),
        **counters("chat-half--requests", (120, 5, 5)),
        **counters("chat-none--requests", (120, 0, 0)),
    }

    def hour(of: str, slo: str, count: float) -> tuple[str, int, dict[str, float]]:
        name = f"round(inferometer:slo_{of}:increase1h, 0.5)"
        return (
            f'{name} and on (slo) inferometer:slo_info{{slo="chat-{slo}"}}',
            110,
            {f'{{namespace="llm",slo="chat-{slo}"}}': count},
        )

    # 2.42 counts both ends of an hour, so a sample more than 3.x does.
    expect = [
        hour("total", "five", 12),
        hour("bad", "five", 12),
        hour("total", "ten", 6),
        hour("bad", "ten", 6),
        hour("bad", "half", 0),
        hour("total", "half", 12),
        hour("total", "none", 0),
        hour("bad", "none", 0),
        (
            "round(inferometer:slo_burn:rate1h) == 100",
            110,
            {f'{{namespace="llm",slo="chat-{slo}"}}': 100.0 for slo in ("five", "two", "ten")},
        ),
    ]
    assert promtool.test(tmp_path, rules(chat(classes)), Case(values, expect)) == ""


FOREIGN = """\
metadata: {name: m, namespace: llm, owner: t}
metrics:
  - name: ttft
    objective: 95
    histogram: {metric: "vllm:ttft_seconds", threshold: 1s, where: {x: 'a"}b'}}
  - {name: bad, objective: 99, ratio: {bad: 'codes_total{code="5"}', total: codes_total}}
  - {name: good, objective: 99, ratio: {good: 'codes_total{code="2"}', total: codes_total}}
  - {name: other, objective: 99, ratio: {bad: errors_total, total: codes_total}}
"""


def test_metrics_of_others_are_recorded_under_our_names(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    where = r'x="a\"}b"'
    values = {
        f"vllm:ttft_seconds_count{{{where}}}": "0+10x60",
        f'vllm:ttft_seconds_bucket{{{where},le="1.0"}}': "0+8x60",
        f'vllm:ttft_seconds_bucket{{{where},le="10"}}': "0+9x60",
        'vllm:ttft_seconds_count{x="else"}': "0+10x60",
        'codes_total{code="2"}': "0+9x60",
        'codes_total{code="5"}': "_x30 0+1x30",
    }
    name = "inferometer:slo_burn:rate5m"

    def burns(minute: int, found: dict[str, float]) -> tuple[str, int, dict[str, float]]:
        expr = f"round({name}, 0.001)"
        return expr, minute, {f'{{namespace="llm",slo="m-{s}"}}': v for s, v in found.items()}

    share = "round(inferometer:slo_bad_requests:increase5m, 0.1)"
    expect = [
        burns(25, {"ttft": 4.0, "bad": 0.0, "good": 0.0}),
        burns(55, {"ttft": 4.0, "bad": 10.0, "good": 10.0}),
        (
            share,
            25,
            {
                f'{{namespace="llm",slo="m-{s}"}}': v
                for s, v in {"ttft": 10.0, "bad": 0.0, "good": 0.0}.items()
            },
        ),
    ]
    assert promtool.test(tmp_path, rules(FOREIGN), Case(values, expect)) == ""


def test_clusters_are_asked_for_in_metrics_of_others_too(documents: Documents) -> None:
    rules = made(documents, FOREIGN, options=Options(clusters=("eu",)))
    for rule in rules:
        promql_parser.parse(str(rule.expr))
        if "increase(" in str(rule.expr):
            assert str(rule.expr).count('cluster="eu"') == str(rule.expr).count("increase(")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.req("SC-02")
@given(texts, texts, st.dictionaries(st.sampled_from("abc"), texts, max_size=3), texts)
def test_any_text_of_a_user_stays_data(
    owner: str, service: str, where: dict[str, str], cluster: str
) -> None:
    place = Place("x")
    source = HistogramSource("m", Decimal("2.5"), tuple(where.items()))
    metric = Foreign("f", "d-f", place, Decimal(99), source)
    document = Document("d", "", owner, service, Window(), Alerts(), (), (metric,), place)
    options = Options(clusters=(cluster,) if cluster else ())
    for group in groups(document, options):
        for rule in group.recorded:
            promql_parser.parse(str(rule.expr))
            assert dict(rule.labels).get("cluster", "") == cluster
        info = dict(next(iter(group.recorded)).labels)
        assert (info.get("owner", ""), info.get("service", "")) == (owner, service)


@pytest.mark.parametrize(
    ("edge", "pattern"),
    [
        ("1", r"1(\.0)?"),
        ("2.5", r"2\.5"),
        ("2.50", r"2\.5"),
        ("100000", r"100000(\.0)?"),
        ("1000000", r"1000000(\.0)?|1e\+06"),
        ("1234567", r"1234567(\.0)?|1\.234567e\+06"),
        ("0.0001", r"0\.0001"),
        ("0.000025", r"0\.000025|2\.5e-05"),
    ],
)
def test_a_bucket_edge_is_found_however_it_is_written(edge: str, pattern: str) -> None:
    assert le_regex(Decimal(edge)) == pattern


def test_a_promise_is_what_alerting_depends_on(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99.9")}, rest="alerts: {min_bad: 7}"))
    assert promise(document, document.classes[0]) == (Decimal("0.999"), 2592000, 7)


SLICED = """
metadata: {name: m, namespace: llm, owner: team}
metrics:
  - name: full
    objective: 99
    gauge: {metric: g, at_most: 0.9}
    slice: {length: 5m, good_share: 80}
  - name: low
    objective: 99
    gauge: {metric: 'g{pod="a"}', above: 0.5}
    slice: {length: 1m, good_share: 100}
  - name: ratio
    objective: 99
    ratio: {bad: 'r{x="bad"}', total: r}
    slice: {length: 10m, good_share: 50}
"""


def test_slices_of_foreign_metrics_are_counted(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    """The worst pod is above 0.9 for three minutes of 30, so 0.8 of five minutes are not kept."""
    values = {
        'g{pod="a"}': "0.5x60",
        'g{pod="b"}': "0.5x29 1 1 1 0.5x27",
        'r{x="good"}': "0+10x30 _x30",
        'r{x="bad"}': "0+0x10 0+20x19 _x30",
    }

    def seen(name: str, slo: str) -> str:
        return f'inferometer:slo_{name}:increase5m{{slo="{slo}"}}'

    def is_(name: str, slo: str, value: float) -> dict[str, float]:
        return {f'inferometer:slo_{name}:increase5m{{namespace="llm", slo="{slo}"}}': value}

    expect: list[tuple[str, int, dict[str, float]]] = [
        (seen("total", "m-full"), 20, is_("total", "m-full", 1)),
        (seen("bad", "m-full"), 20, is_("bad", "m-full", 0)),
        (seen("bad", "m-full"), 33, is_("bad", "m-full", 1)),
        (seen("bad_requests", "m-full"), 33, is_("bad_requests", "m-full", 3)),
        (seen("bad", "m-full"), 45, is_("bad", "m-full", 0)),
        (seen("total", "m-low"), 20, is_("total", "m-low", 5)),
        (seen("bad", "m-low"), 20, is_("bad", "m-low", 5)),
        (seen("total", "m-ratio"), 9, is_("total", "m-ratio", 0.5)),
        (seen("bad", "m-ratio"), 9, is_("bad", "m-ratio", 0)),
        (seen("bad", "m-ratio"), 25, is_("bad", "m-ratio", 0.5)),
        (seen("total", "m-ratio"), 58, {}),
        (seen("total", "m-ratio--requests"), 9, is_("total", "m-ratio--requests", 50)),
        (seen("total", "m-full--requests"), 9, is_("total", "m-full--requests", 5)),
    ]
    assert promtool.test(tmp_path, rules(SLICED), Case(values, expect)) == ""


def test_what_a_foreign_metric_counts_is_told_in_events_or_minutes(documents: Documents) -> None:
    (document,) = documents(SLICED)
    full, _, ratio = document.foreign
    assert str(requests(full)) == "count_over_time(max(g)[299999ms:1m])"
    assert str(requests(ratio, "eu")) == 'sum(increase(r{cluster="eu"}[5m]))'
