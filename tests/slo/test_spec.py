import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.documents import NODES_MAX, PROBLEMS_MAX
from inferometer.errors import SpecError
from inferometer.metrics.catalog import CLASSES_MAX, LADDERS
from inferometer.metrics.catalog import edges as merged
from inferometer.slo.document import (
    Alerts,
    Document,
    EndToEnd,
    FirstToken,
    Good,
    InterToken,
    Window,
)
from inferometer.slo.spec import SLOS_MAX, edges, examine, load, unsupported

FIXTURES = Path(__file__).parents[1] / "fixtures" / "slo"
BAD = sorted(path.with_suffix(".yaml") for path in FIXTURES.glob("*.expected"))
HEAD = "apiVersion: inferometer/v1\nkind: SLO\n"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_document(text: str) -> Path:
        path = tmp_path / f"slo{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(text, "utf-8")
        return path

    return write_document


def chat(*classes: str, rest: str = "") -> str:
    entries = "".join(f"  - {{{one}}}\n" for one in classes)
    return f"{HEAD}metadata: {{name: chat}}\n{rest}classes:\n{entries}"


def told(*paths: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(paths)
    return [f"{problem.code} {problem}" for problem in caught.value.problems]


def test_a_short_document_takes_the_defaults() -> None:
    (document,) = load([FIXTURES / "minimal.yaml"])
    assert (document.name, document.namespace, document.owner, document.service) == (
        ("chat", "", "", "")
    )
    assert document.window == Window(rolling_days=30)
    assert document.alerts == Alerts(min_bad=10, page=True, ticket=True)
    (one,) = document.classes
    assert one.id == "chat-all"
    assert one.good == Good(ttft=FirstToken(500_000_000))
    assert one.objective_ratio == 0.99
    assert unsupported([document]) == []


def test_everything_that_a_document_can_say_is_read() -> None:
    (document,) = load([FIXTURES / "whole.yaml"])
    assert (document.namespace, document.owner, document.service) == (
        ("llm", "team-search", "llama-70b")
    )
    interactive, batch, reserved = document.classes
    assert interactive.match.model == ("llama-*",)
    assert interactive.match.stream is True
    assert interactive.good.ttft == FirstToken(500_000_000, 40_000_000)
    assert interactive.good.itl == InterToken(200_000_000, Decimal(99))
    assert interactive.good.gap_ns == 1_000_000_000
    assert interactive.good.e2e == EndToEnd(60_000_000_000)
    assert interactive.headers
    assert interactive.headers.clamp == (Decimal("0.5"), Decimal(4))
    assert interactive.thresholds_s() == {
        "ttft": 0.5,
        "tpot": 0.05,
        "itl": 0.2,
        "gap": 1.0,
        "e2e": 60.0,
        "fluidity": 0.06,
    }
    assert batch.weight == "token"
    assert reserved.slice
    assert reserved.slice.length_ns == 300 * 10**9
    assert [one.id for one in document.foreign] == ["chat-engine-ttft", "chat-gateway-errors"]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
@pytest.mark.req("LC-03")
@pytest.mark.req("SC-01")
@pytest.mark.req("SC-04")
def test_all_problems_of_a_document_are_told_with_place_code_and_hint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FIXTURES)
    lines = "".join(f"{line}\n" for line in told(Path(path.name)))
    assert lines == path.with_suffix(".expected").read_text("utf-8")


def test_problems_of_all_files_are_told_at_once(write: Write) -> None:
    first = write("a: [")
    second = write(chat("name: a, objective: 3, good: {ttft: 1s}"))
    third = first.with_name("absent.yaml")
    problems = told(second, third, first)
    assert [problem.split(":")[0] for problem in problems] == [
        f"E05 {third}",
        f"E05 {first}",
        f"E03 {second}",
    ]


def test_files_and_documents_keep_their_order(write: Write) -> None:
    one = chat("name: a, objective: 99, good: {e2e: 1s}")
    two = one.replace("chat", "rag")
    documents = load([write(f"{two}---\n{one}"), write(one.replace("chat", "last"))])
    assert [document.name for document in documents] == ["rag", "chat", "last"]


def test_a_name_may_be_taken_again_in_another_namespace_but_not_in_one_sidecar(
    write: Write,
) -> None:
    one = chat("name: a, objective: 99, good: {e2e: 1s}")
    other = one.replace("name: chat", "name: chat, namespace: other")
    documents = load([write(one), write(other)])
    assert [p.message for p in unsupported(documents)] == [
        "document name 'chat' is taken",
        "SLO id 'chat-a' is taken",
    ]


def test_for_each_makes_a_class_for_every_value(write: Write) -> None:
    text = chat(
        "name: paid, objective: 99, good: {e2e: 1s}, match: {model: x, header: {X-Team: a}}, "
        "for_each: {tenant: [Gold_1, silver]}",
        "name: by, objective: 99, good: {e2e: 1s}, for_each: {route: /v1/chat}",
        "name: of, objective: 99, good: {e2e: 1s}, for_each: {model: m}",
    )
    (document,) = load([write(text)])
    gold, silver, by_route, of_model = document.classes
    assert (gold.id, gold.match.tenant, gold.match.model) == (
        "chat-paid-gold-1",
        ("Gold_1",),
        ("x",),
    )
    assert (silver.name, silver.match.tenant) == ("paid-silver", ("silver",))
    assert gold.match.header == ("x-team", ("a",))
    assert (by_route.id, by_route.match.route) == ("chat-by-v1-chat", ("/v1/chat",))
    assert (of_model.id, of_model.match.model) == ("chat-of-m", ("m",))


def test_limits_may_be_given_in_their_long_forms(write: Write) -> None:
    good = "ttft: {base: 1s, from: body}, e2e: {base: 9s, from: head}, itl: 40ms, gap: 2s"
    text = chat(f"name: a, objective: 50, good: {{{good}, errors: []}}")
    (document,) = load([write(text)])
    assert document.classes[0].good == Good(
        ttft=FirstToken(10**9, from_body=True),
        e2e=EndToEnd(9 * 10**9),
        itl=InterToken(40 * 10**6),
        gap_ns=2 * 10**9,
        errors=("drain_cut", "proxy_error"),
    )


def test_shed_is_another_word_for_rejected_and_our_own_failures_always_count(
    write: Write,
) -> None:
    (document,) = load([write(chat("name: a, objective: 99, good: {errors: [shed, timeout]}"))])
    assert document.classes[0].good.errors == ("rejected", "timeout", "drain_cut", "proxy_error")


def test_windows_may_be_calendar_units_and_fluidity_may_start_with_a_time(
    write: Write,
) -> None:
    text = chat(
        "name: a, objective: 99, good: {fluidity: {first: 2s, each: 50ms, min: 1}}",
        rest="window: {calendar: month, timezone: Europe/Berlin}\nalerts: {page: false}\n",
    )
    (document,) = load([write(text)])
    assert document.window == Window(None, "month", "Europe/Berlin")
    assert document.alerts == Alerts(10, page=False, ticket=True)
    fluidity = document.classes[0].good.fluidity
    assert fluidity
    assert (fluidity.first_ns, fluidity.each_ns) == (2 * 10**9, 50 * 10**6)


# What a sidecar cannot judge.


def test_everything_that_a_document_can_say_is_judged() -> None:
    assert unsupported(load([FIXTURES / "whole.yaml"])) == []


def test_foreign_metrics_and_calendar_windows_do_not_keep_a_sidecar_from_judging(
    write: Write,
) -> None:
    text = chat(
        "name: a, objective: 99, good: {e2e: 1s}",
        rest=(
            "window: {calendar: week}\n"
            "metrics: [{name: m, objective: 95, histogram: {metric: x, threshold: 2.5}}]\n"
        ),
    )
    assert unsupported(load([write(text)])) == []


# Limits.


def many(number: int) -> str:
    return chat(*(f"name: c{n}, objective: 99, good: {{e2e: 1s}}" for n in range(number)))


def test_a_sidecar_judges_as_many_classes_as_allowed_and_no_more(write: Write) -> None:
    assert unsupported(load([write(many(CLASSES_MAX))])) == []
    (problem,) = unsupported(load([write(many(CLASSES_MAX + 1))]))
    assert problem.message == "a sidecar judges at most 64 classes, these are 65"
    assert problem.code == "E05"


def test_all_documents_together_hold_as_many_slos_as_allowed_and_no_more(write: Write) -> None:
    full = many(SLOS_MAX)
    assert len(load([write(full)])[0].classes) == SLOS_MAX
    one_more = many(1).replace("chat", "more")
    (problem,) = told(write(full), write(one_more))
    assert problem.endswith("more than 500 SLOs")
    (problem,) = told(write(many(SLOS_MAX + 1)))
    assert "classes must be a list of 1 to 500 mappings" in problem


def test_a_list_holds_20_values_and_no_more(write: Write) -> None:
    values = ", ".join(f"m{n}" for n in range(20))
    one = "name: a, objective: 99, good: {e2e: 1s}, match: {model: [%s]}"
    assert len(load([write(chat(one % values))])[0].classes[0].match.model) == 20
    (problem,) = told(write(chat(one % (values + ", x"))))
    assert "model must be a list of 1 to 20 values" in problem


def test_an_id_has_63_characters_and_no_more(write: Write) -> None:
    one = "name: %s, objective: 99, good: {e2e: 1s}"
    longest = "x" * (63 - len("chat-"))
    assert len(load([write(chat(one % longest))])[0].classes[0].id) == 63
    (problem,) = told(write(chat(one % (longest + "x"))))
    assert "has more than 63 characters" in problem
    (problem,) = told(write(chat(one % ("x" * 64))))
    assert "at most 63 long" in problem


@pytest.mark.parametrize("objective", ["50", "99.999"])
def test_the_objective_is_within_its_range_and_exact(write: Write, objective: str) -> None:
    (document,) = load([write(chat(f"name: a, objective: {objective}, good: {{e2e: 1s}}"))])
    assert document.classes[0].objective == Decimal(objective)


def test_texts_have_a_greatest_length(write: Write) -> None:
    one = "name: a, objective: 99, good: {e2e: 1s}, match: {model: %s}"
    load([write(chat(one % ("x" * 256)))])
    (problem,) = told(write(chat(one % ("x" * 257))))
    assert "model must be at most 256 characters long" in problem
    long_service = f"service: {'x' * 201}\n"
    (problem,) = told(write(chat("name: a, objective: 99, good: {e2e: 1s}", rest=long_service)))
    assert "service must be at most 200 characters long" in problem


def test_for_each_makes_20_classes_and_no_more(write: Write) -> None:
    one = "name: a, objective: 99, good: {e2e: 1s}, for_each: {tenant: [%s]}"
    tenants = [f"t{n}" for n in range(21)]
    assert len(load([write(chat(one % ", ".join(tenants[:20])))])[0].classes) == 20
    (problem,) = told(write(chat(one % ", ".join(tenants))))
    assert "tenant must be a list of 1 to 20 values" in problem


def test_a_file_has_a_mebibyte_and_no_more(write: Write) -> None:
    text = chat("name: a, objective: 99, good: {e2e: 1s}")
    full = text + "#" * ((1 << 20) - len(text))
    assert len(load([write(full)])) == 1
    (problem,) = told(write(full + "#"))
    assert problem.startswith("E05")
    assert "longer than 1048576 bytes" in problem


def test_ids_that_are_equal_after_sanitising_are_told(write: Write) -> None:
    one = "name: a, objective: 99, good: {e2e: 1s}, for_each: {tenant: [x_y, x.y]}"
    (problem,) = told(write(chat(one)))
    assert problem.startswith("E04")
    assert "SLO id 'chat-a-x-y' is taken" in problem


# Bucket edges.


def with_limits(*limits: str) -> str:
    return chat(*(f"name: c{n}, objective: 99, good: {{{x}}}" for n, x in enumerate(limits)))


@pytest.mark.req("SC-04")
def test_each_limit_that_is_no_edge_yet_becomes_one_of_its_ladder(write: Write) -> None:
    documents = load(
        [
            write(
                with_limits(
                    "ttft: {base: 300ms, per_1k_prompt_tokens: 1ms}, tpot: 45ms, e2e: 30s",
                    "ttft: 500ms, itl: {within: 45ms, max: 1.5s}, tpot: 33ms",
                )
            )
        ]
    )
    extra = edges(documents)
    assert extra == {
        "FIRST": (0.3,),
        "TOKEN": (0.033, 0.045),
        "LENGTH": (30.0,),
        "GAP": (1.5,),
    }
    for name, limits in extra.items():
        assert set(limits) <= set(merged(LADDERS[name], limits))


@pytest.mark.req("SC-04")
def test_a_ladder_takes_eight_further_edges_and_the_ninth_is_refused_at_its_place(
    write: Write,
) -> None:
    limits = [f"tpot: {n}.5ms" for n in range(10, 18)]
    documents = load([write(with_limits(*limits, "tpot: 10.5ms", "tpot: 50ms"))])
    assert unsupported(documents) == []
    assert len(edges(documents)["TOKEN"]) == 8
    documents = load([write(with_limits(*limits, "tpot: 18.5ms"))])
    (problem,) = unsupported(documents)
    assert problem.place.line == 13
    assert problem.message == "limit 0.0185 s would be bucket edge 9 or later"
    assert "0.015, 0.02" in problem.hint


def test_a_document_without_limits_needs_no_edges(write: Write) -> None:
    documents: tuple[Document, ...] = load([write(with_limits("errors: [timeout]"))])
    assert edges(documents) == {}
    fluid = "fluidity: {first: 77ms, each: 33ms, min: 0.9}"
    assert edges(load([write(with_limits(fluid))])) == {}


# Hostile documents.


@pytest.mark.req("SC-01")
@pytest.mark.parametrize(
    "text",
    [
        HEAD + "metadata: {name: a}\nclasses: [" + "{}," * 30_000 + "]",
        HEAD + "metadata: {name: a}\nclasses:\n" + "  - {name: a}\n" * 400,
        HEAD + "".join(f"k{n}: 1\n" for n in range(NODES_MAX // 2 - 10)),
        "[" * 1_000_000,
    ],
    ids=["entries", "classes", "fields", "brackets"],
)
def test_a_hostile_document_ends_with_a_bounded_number_of_problems(write: Write, text: str) -> None:
    assert 1 <= len(told(write(text))) <= PROBLEMS_MAX + 1


words = st.sampled_from(
    ["name", "objective", "good", "ttft", "base", "99", "1s", "match", "model", "stream", "true"]
)


@given(
    st.recursive(
        words | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
        max_leaves=15,
    )
)
def test_any_class_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, one: object
) -> None:
    path = tmp_path_factory.mktemp("any") / "slo.yaml"
    path.write_text(f"{HEAD}metadata: {{name: a}}\nclasses: [{json.dumps(one)}]\n")
    codes: set[str] = set()
    try:
        load([path])
    except SpecError as error:
        codes = {problem.code for problem in error.problems}
    assert codes <= {"E01", "E02", "E03", "E04", "E05", "E06"}


def test_files_without_a_problem_are_read_although_others_have_some(write: Write) -> None:
    good, bad = write(chat("name: a, objective: 99, good: {e2e: 1s}")), write("x: 1\n")
    found = examine([bad, good])
    assert [document.place.source for document in found.documents] == [str(good)]
    assert {problem.place.source for problem in found.problems} == {str(bad)}
    assert examine([good]).problems == ()
