"""Round trips: OpenSLO to ours and back is equal for what is taken, and its own tool agrees."""

import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.slo.document import Document, Foreign
from inferometer.slo.formats import targets
from inferometer.slo.names import Options
from inferometer.slo.openslo.writing import objects
from inferometer.slo.promql import string
from inferometer.slo.render import Home
from inferometer.slo.spec import examine, load
from inferometer.slo.yaml_text import Data
from inferometer.slo.yaml_text import document as written
from support.go_tools import GoTool, binary
from support.slo_rules import Documents

OSLO: Final = GoTool("oslo", "github.com/OpenSLO/oslo/cmd/oslo", (1, 26))
FIXTURES = Path(__file__).parents[2] / "fixtures"
WHOLE = FIXTURES / "slo" / "whole.yaml"

ids = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,8}", fullmatch=True)
# What a document may hold; a selector escapes the rest.
readable = st.characters(
    exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"
)
texts = st.text(readable, min_size=1, max_size=20)
objectives = st.decimals(Decimal(50), Decimal("99.999"), places=3)
ratios = objectives.map(lambda percent: percent / 100)
selectors = st.builds(
    lambda metric, value: f"{metric}{{a={string(value)}}}",
    st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


def metric(query: str) -> Data:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


ratio_metrics: st.SearchStrategy[Data] = st.builds(
    lambda part, query, total: {
        "ratioMetric": {"counter": True, part: metric(query), "total": metric(total)}
    },
    st.sampled_from(["good", "bad"]),
    selectors,
    selectors,
)
windows: st.SearchStrategy[Data] = st.one_of(
    st.integers(7, 90).map(lambda days: {"duration": f"{days}d", "isRolling": True}),
    st.builds(
        lambda duration, zone: {
            "duration": duration,
            "calendar": {"startTime": "2024-01-01 00:00:00", "timeZone": zone},
            "isRolling": False,
        },
        st.sampled_from(["1w", "1M", "1Q"]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    ),
)
slices = st.fixed_dictionaries(
    {
        "timeSliceTarget": st.decimals(Decimal("0.01"), Decimal(1), places=3),
        "timeSliceWindow": st.integers(1, 60).map(lambda minutes: f"{minutes}m"),
    }
)
notes = st.fixed_dictionaries(
    {},
    optional={
        "inferometer/namespace": ids,
        "inferometer/owner": texts,
        "inferometer/min-bad": st.sampled_from(["1", "25"]),
        "inferometer/page": st.just("false"),
        "inferometer/ticket": st.just("false"),
    },
)


@st.composite
def slos(draw: st.DrawFn) -> dict[str, Any]:
    """Return an SLO as `writing` writes it: its fields in order, its numbers without zeros."""
    name, sliced = draw(ids), draw(st.booleans())
    gauge = sliced and draw(st.booleans())
    names = draw(st.lists(ids, min_size=1, max_size=1 if gauge else 3, unique=True))
    goals = []
    for one in names:
        goal: dict[str, Any] = {"displayName": one} if len(names) > 1 or one != name else {}
        if gauge:
            goal |= {"op": draw(st.sampled_from(["lt", "lte", "gt", "gte"]))}
            goal |= {"value": draw(st.decimals(-1000, 1000, places=2))}
        goal |= {"target": draw(ratios)}
        goals.append(goal | (draw(slices) if sliced else {}))
    annotations = draw(notes)
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": name} | ({"annotations": annotations} if annotations else {}),
        "spec": {
            "service": draw(texts),
            "indicator": {
                "metadata": {"name": name},
                "spec": {"thresholdMetric": metric(draw(selectors))}
                if gauge
                else draw(ratio_metrics),
            },
            "timeWindow": [draw(windows)],
            "budgetingMethod": "Timeslices" if sliced else "Occurrences",
            "objectives": goals,
        },
    }


def plain(value: Any) -> Any:
    """Return data with numbers and moments as texts, so that no float comes between."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value if isinstance(value, bool) else f"{value}".removesuffix("+00:00")


@pytest.mark.req("SC-02")
@given(slos())
def test_what_is_taken_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("trip") / "slo.yaml"
    path.write_text(written(one), "utf-8")
    (document,) = load([path])
    (back,) = objects(document, Options())
    assert plain(back) == plain(one)


def alike(documents: tuple[Document, ...]) -> list[tuple[Any, ...]]:
    """Return what documents promise, without the places where they say so."""
    return [
        (one.namespace, one.owner, one.window, one.alerts, metric.id, *_promise(metric))
        for one in documents
        for metric in one.foreign
    ]


def _promise(one: Foreign) -> tuple[Any, ...]:
    return one.name, one.objective, one.source, one.slice


@settings(max_examples=30)
@given(st.lists(st.tuples(ids, objectives, selectors, st.booleans()), min_size=1, max_size=4))
def test_our_metrics_come_back_from_openslo_with_their_ids(
    tmp_path_factory: pytest.TempPathFactory, metrics: list[tuple[str, Decimal, str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    entries: list[Data] = []
    for number, (name, objective, total, sliced) in enumerate(metrics):
        entry: dict[str, Data] = {"name": f"{name}-{number}", "objective": objective}
        entry["ratio"] = {"bad": "m", "total": total}
        length: Data = {"length": "5m", "good_share": 50}
        entries.append(entry | ({"slice": length} if sliced else {}))
    ours = folder / "ours.yaml"
    head = "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: d}\nservice: s\n"
    ours.write_text(head + written({"metrics": entries}), "utf-8")
    documents = load([ours])
    theirs = folder / "theirs.yaml"
    (file,) = targets.render(documents, "openslo", Options(), home=Home())
    theirs.write_text(file.text, "utf-8")
    assert alike(load([theirs])) == alike(documents)


def test_classes_become_their_counters_and_histograms_their_buckets() -> None:
    data = [plain(one) for document in load([WHOLE]) for one in objects(document, Options())]
    by_name = {one["metadata"]["name"]: one["spec"] for one in data}
    assert list(by_name) == [
        *("chat-interactive", "chat-batch", "chat-reserved"),
        *("chat-engine-ttft", "chat-gateway-errors"),
    ]
    ratio = by_name["chat-reserved"]["indicator"]["spec"]["ratioMetric"]
    assert 'slo="chat-reserved--requests"' in ratio["bad"]["metricSource"]["spec"]["query"]
    assert by_name["chat-reserved"]["budgetingMethod"] == "Timeslices"
    assert by_name["chat-reserved"]["objectives"][0]["timeSliceTarget"] == "0.5"
    batch = by_name["chat-batch"]["indicator"]["spec"]["ratioMetric"]
    assert "tokens_total" in batch["bad"]["metricSource"]["spec"]["query"]
    engine = by_name["chat-engine-ttft"]["indicator"]["spec"]["ratioMetric"]
    assert "_bucket" in engine["good"]["metricSource"]["spec"]["query"]
    assert by_name["chat-gateway-errors"]["objectives"][0]["target"] == "0.999"


def test_a_document_without_a_service_gets_its_own_name(documents: Documents) -> None:
    read = documents(
        "metadata: {name: d}\nmetrics: [{name: m, objective: 99, ratio: {good: a, total: b}}]\n"
    )
    (one,) = objects(read[0], Options())
    assert plain(one)["spec"]["service"] == "d"


def test_slices_that_are_no_whole_minutes_are_left_out(documents: Documents) -> None:
    ratio = "objective: 99, ratio: {bad: a, total: b}"
    entries = ", ".join(
        f"{{name: {name}, {ratio}, slice: {{length: {length}, good_share: 9}}}}"
        for name, length in (("odd", "90s"), ("even", "2m"))
    )
    (document,) = documents(f"metadata: {{name: d}}\nmetrics: [{entries}]\n")
    assert [plain(one)["metadata"]["name"] for one in objects(document, Options())] == ["d-even"]


@pytest.mark.e2e
def test_the_tool_of_openslo_finds_nothing_wrong_with_what_is_written(tmp_path: Path) -> None:
    read = load([WHOLE, *sorted(FIXTURES.glob("openslo/[sw]h*.yaml"))])
    files = targets.render(read, "openslo", Options(), home=Home())
    assert len(files) == 4
    for file in files:
        path = tmp_path / file.name
        path.write_text(file.text, "utf-8")
        done = subprocess.run(
            [binary(OSLO), "validate", "-f", path],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), file.text
        assert yaml.safe_load_all(file.text)
        assert examine([path]).problems == ()
