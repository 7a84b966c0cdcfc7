"""OpenSLO documents: what is taken, and what is refused with place, code and reason."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.document import Alerts, GaugeSource, RatioSource, Slice, Window
from inferometer.slo.spec import Read, examine

FIXTURES = Path(__file__).parents[2] / "fixtures" / "openslo"
BAD = sorted(path.with_suffix(".yaml") for path in FIXTURES.glob("*.expected"))
WHOLE, SHARED = FIXTURES / "whole.yaml", FIXTURES / "shared.yaml"
SOURCE = "metricSource: {type: Prometheus, spec: {query: m}}"
RATIO = f"{{spec: {{ratioMetric: {{counter: true, bad: {{{SOURCE}}}, total: {{{SOURCE}}}}}}}}}"


def slo(name: str, rest: str = "", *, service: str = "api", objectives: str = "") -> str:
    return (
        f"apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: {name}}}\nspec:\n"
        f"  service: {service}\n  indicator: {RATIO}\n  budgetingMethod: Occurrences\n"
        f"  objectives: [{objectives or '{target: 0.99}'}]\n{rest}"
    )


def read(folder: Path, *texts: str) -> Read:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(text, "utf-8")
    return examine(paths)


def test_everything_that_openslo_can_say_and_rules_can_count_is_read() -> None:
    found = examine([WHOLE, SHARED])
    assert found.problems == ()
    checkout, slices, memory = found.documents
    assert (checkout.name, checkout.namespace, checkout.owner) == ("checkout", "shop", "team-shop")
    assert checkout.service == "shop-api"
    assert checkout.window == Window(rolling_days=28)
    assert checkout.alerts == Alerts(25, page=True, ticket=False)
    page, aim = checkout.foreign
    assert (page.id, page.objective) == ("checkout-page-at", Decimal("99.9"))
    assert (aim.id, aim.objective) == ("checkout-aim", Decimal("99.95"))
    assert page.source == RatioSource(None, 'http_total{code=~"5.."}', "http_total")
    assert slices.window == Window(None, "month", "Europe/Berlin")
    (one,) = slices.foreign
    assert (one.id, one.name) == ("slices", "slices")
    assert one.source == RatioSource('http_ok_total{job="a"}', None, 'http_total{job="a"}')
    assert one.slice == Slice(300 * 10**9, Decimal(50))
    (gauge,) = memory.foreign
    assert memory.window == Window(rolling_days=30)
    assert (gauge.id, gauge.name) == ("memory", "below-90")
    assert gauge.source == GaugeSource('job:memory:ratio{job="a"}', "<=", Decimal("0.9"))
    assert gauge.slice == Slice(600 * 10**9, Decimal(100))


def test_the_order_of_files_does_not_matter_to_references() -> None:
    assert examine([SHARED, WHOLE]).documents == examine([WHOLE, SHARED]).documents


def test_what_changes_nothing_is_told_and_keeps_nothing_from_being_read() -> None:
    found = examine([WHOLE, SHARED])
    assert [(p.code, p.message.partition(" is ignored")[0]) for p in found.warnings] == [
        ("W12", "AlertPolicy"),
        ("W12", "alertPolicies"),
    ]
    assert examine([SHARED]).documents == ()


def test_a_service_that_is_called_nearly_like_one_is_told(tmp_path: Path) -> None:
    service = "---\napiVersion: openslo/v1\nkind: Service\nmetadata: {name: shop-api}\nspec: {}\n"
    found = read(tmp_path, slo("a", service, service="shop-apo"))
    (warning,) = found.warnings
    assert warning.hint == "did you mean 'shop-api'?"
    assert len(found.documents) == 1
    assert read(tmp_path, slo("a", service, service="other")).warnings == ()
    assert read(tmp_path, slo("a", "  alertPolicies: []\n")).warnings == ()


@pytest.mark.req("SC-04")
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_all_problems_are_told_with_place_code_and_hint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FIXTURES)
    told = "".join(f"{one.code} {one}\n" for one in examine([Path(path.name)]).problems)
    assert told == path.with_suffix(".expected").read_text("utf-8")


def test_what_connects_to_a_source_is_never_shown(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: a}\n"
        "spec: {connectionDetails: {password: hunter2}}\n",
    )
    assert [one.code for one in found.problems] == ["E02"]
    assert "hunter2" not in str(found.problems)


def test_documents_of_both_kinds_keep_their_order_and_share_their_names(tmp_path: Path) -> None:
    ours = (
        "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: %s}\n"
        "classes: [{name: c, objective: 99, good: {e2e: 1s}}]\n"
    )
    found = read(tmp_path, f"{slo('one')}---\n{ours % 'two'}---\n{slo('three')}", ours % "four")
    assert [one.name for one in found.documents] == ["one", "two", "three", "four"]
    found = read(tmp_path, slo("chat-c"), ours % "chat")
    assert [(one.code, one.message) for one in found.problems] == [
        ("E04", "SLO id 'chat-c' is taken")
    ]


def test_an_slo_has_20_objectives_and_no_more(tmp_path: Path) -> None:
    def many(number: int) -> str:
        return ", ".join(f"{{displayName: o{n}, target: 0.99}}" for n in range(number))

    (document,) = read(tmp_path, slo("a", objectives=many(20))).documents
    assert len(document.foreign) == 20
    (problem,) = read(tmp_path, slo("a", objectives=many(21))).problems
    assert problem.hint == "it has 21"


def test_texts_have_a_greatest_length(tmp_path: Path) -> None:
    assert read(tmp_path, slo("a", service="s" * 1050)).problems == ()
    (problem,) = read(tmp_path, slo("a", service="s" * 1051)).problems
    assert problem.message.startswith("service must be at most 1050 characters long")
    query = slo("a").replace("query: m", f"query: {'m' * 2001}", 1)
    (problem,) = read(tmp_path, query).problems
    assert "at most 2000 characters" in problem.message


KEYS = """
apiVersion kind metadata name spec objectives indicator ratioMetric counter bad total metricSource
type Prometheus query m target 0.99 timeWindow duration 30d isRolling true alertPolicies service
"""
words = st.sampled_from(KEYS.split())


@given(
    st.dictionaries(
        words,
        st.recursive(
            words | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
            max_leaves=15,
        ),
        max_size=6,
    )
)
def test_any_object_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, object]
) -> None:
    data = {"metadata": {"name": "a"}, "kind": "SLO", **one, "apiVersion": "openslo/v1"}
    path = tmp_path_factory.mktemp("any") / "slo.yaml"
    path.write_text(json.dumps(data), "utf-8")
    codes = {problem.code for problem in examine([path]).problems}
    assert codes <= {"E01", "E02", "E03", "E04", "E05", "E06", "E08", "E11", "E15"}
