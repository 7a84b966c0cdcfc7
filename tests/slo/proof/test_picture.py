"""The picture of a proof: it parses, holds no script, and shows what the figures say."""

from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from inferometer.slo.model import outage
from inferometer.slo.proof.picture import curve, level, picture
from inferometer.slo.proof.prove import Proof, cases, judged
from inferometer.slo.windows import DAY_S, FAST, Promise, limits
from support.slo_rules import Documents, chat, promised

SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"


def proofs(documents: Documents, *texts: str) -> tuple[Proof, ...]:
    return judged(cases(documents(*texts), 10), {})


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter() if one.tag.endswith("text")]


@pytest.mark.req("SC-02")
def test_it_is_xml_without_script_link_or_anything_loaded(documents: Documents) -> None:
    made = picture(proofs(documents, chat({"all": promised("99"), "s": SLICES})), witness="<x>&")
    root = ET.fromstring(made)
    tags = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert tags == {"svg", "title", "style", "rect", "text", "line", "polyline"}
    names = {name for one in root.iter() for name in one.attrib}
    assert not any(name.startswith("on") or "href" in name for name in names)
    assert "url(" not in made
    assert "prefers-color-scheme:dark" in made
    assert any("<x>&" in text for text in texts(made))


@pytest.mark.req("SC-05")
def test_the_same_proofs_make_the_same_bytes(documents: Documents) -> None:
    text = chat({"all": promised("99"), "low": promised("90", tenant="x")})
    assert picture(proofs(documents, text), witness="") == picture(
        proofs(documents, text), witness=""
    )


def test_each_promise_has_a_panel_with_its_page(documents: Documents) -> None:
    two = {"a": promised("99", tenant="a"), "b": promised("99", tenant="b"), "c": promised("99.9")}
    said = texts(picture(proofs(documents, chat(two)), witness="promtool 2.42.0"))
    assert "llm/chat-a and 1 more: 99 % of requests in 30d" in said
    assert "page at 11 min, 2.5 % of budget spent" in said
    assert "page at 3 min, 6.9 % of budget spent" in said
    assert any("confirmed by promtool 2.42.0" in text for text in said)


def test_who_pages_nobody_has_neither_curve_nor_mark(documents: Documents) -> None:
    silent = chat({"all": promised("99")}, rest="alerts: {page: false}")
    made = proofs(documents, silent)
    said = texts(picture(made, witness=""))
    assert not any(text.startswith("page at") for text in said)
    assert any("unconfirmed" in text for text in said)
    assert list(curve(made[0].case)) == []


def test_who_wants_to_hear_nothing_has_an_empty_panel(documents: Documents) -> None:
    silent = chat({"all": promised("99")}, rest="alerts: {page: false, ticket: false}")
    said = texts(picture(proofs(documents, silent), witness=""))
    assert "fires" not in said
    assert "100 % bad" in said


def test_names_beside_the_curves_end_where_the_curves_do(documents: Documents) -> None:
    (one,) = proofs(documents, chat({"all": promised("99")}))
    said = texts(picture((one,) * 10, witness=""))
    assert said.count("llm/chat-all") == 8
    assert said.count("llm/chat-all: 99 % of requests in 30d") == 10


def test_a_worse_error_pages_no_later(documents: Documents) -> None:
    for proof in proofs(documents, chat({"all": promised("99"), "s": SLICES})):
        points = list(curve(proof.case))
        minutes = [minute for _, minute in points]
        assert points[-1][0] == 1.0
        assert minutes == sorted(minutes, reverse=True)


def test_a_pair_is_at_its_limit_when_both_windows_are() -> None:
    promise = Promise(Decimal("0.99"), 30 * DAY_S)
    seen = outage(Decimal("0.144"), minutes=120)
    limit = limits(FAST, promise)
    assert level(FAST, limit, seen, -1) == 0
    assert level(FAST, limit, seen, 3) < 0.1
    assert level(FAST, limit, seen, 119) == pytest.approx(1)


def test_more_promises_than_anybody_looks_at_are_counted(documents: Documents) -> None:
    many = {f"o{n}": promised(f"99.{n}", tenant=f"t{n}") for n in range(3)}
    some = proofs(documents, chat(many))
    said = texts(picture(some, witness="", panels_max=1))
    assert "and 2 more" in said
    assert not any("chat-o1" in text for text in said)


def test_a_disagreement_is_the_first_thing_one_reads(documents: Documents) -> None:
    (one,) = proofs(documents, chat({"all": promised("99")}))
    wrong = replace(one.outcomes[0], verdict="disagrees", differences=("x",))
    made = picture((Proof(one.case, (wrong, *one.outcomes[1:])),), witness="promtool 3.1")
    assert "computed from the rules' arithmetic, promtool 3.1 DISAGREES" in texts(made)
