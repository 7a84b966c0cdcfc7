"""How soon each SLO is told, as `check` says it."""

import json
from decimal import Decimal

from inferometer.slo.detection import detections
from support.slo_rules import Documents, chat, promised

SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"


def test_each_slo_is_told_in_words_and_as_data(documents: Documents) -> None:
    classes = {"all": promised("99", tenant="t"), "low": promised("50"), "slices": SLICES}
    metrics = "metrics: [{name: x, objective: 99.9, ratio: {bad: a, total: b}}]\n"
    (document,) = documents(chat(classes) + metrics)
    told = {one.slo: one for one in detections(document)}
    assert told["chat-all"].words() == (
        "100 % outage pages in 11 min, 50 % in 20 min; smallest error that pages 6 %, that tickets"
        " 1 %"
    )
    assert told["chat-low"].words() == (
        "100 % outage pages in 15 min, 50 % never; smallest error that pages 80 %, that tickets"
        " 50 %"
    )
    assert told["chat-slices"].half_pages_min is None
    assert told["chat-slices"].smallest_page == Decimal("0.5")
    assert told["chat-x"].outage_pages_min == 3
    assert told["chat-x"].weight == "event"
    assert json.loads(json.dumps(told["chat-all"].data())) == {
        "slo": "chat-all",
        "namespace": "llm",
        "objective_percent": 99.0,
        "window_days": 30,
        "weight": "request",
        "outage_pages_min": 11,
        "half_pages_min": 20,
        "smallest_page": 0.06,
        "smallest_ticket": 0.01,
    }


def test_hours_are_named_and_nobody_is_told_who_does_not_want_it(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("95")}))
    (one,) = detections(document)
    assert "50 % in 3 h 39 min" in one.words()
    (document,) = documents(
        chat({"all": promised("95")}, rest="alerts: {page: false, ticket: false}")
    )
    (one,) = detections(document)
    assert one.words() == (
        "100 % outage pages never, 50 % never; smallest error that pages none, that tickets none"
    )


def test_a_gauge_is_told_once_enough_minutes_were_bad(documents: Documents) -> None:
    gauge = (
        "metadata: {name: g}\nmetrics: [{name: m, objective: 99, gauge: {metric: x, below: 1},"
        " slice: {length: 5m, good_share: 80}}]\n"
    )
    (told,) = detections(documents(gauge)[0])
    assert (told.weight, told.outage_pages_min) == ("slice", 12)
    assert told.smallest_page == Decimal("0.2")


def test_what_not_even_a_total_outage_reaches_is_no_smallest_error(documents: Documents) -> None:
    (few,) = documents(chat({"all": promised("99")}, rest="alerts: {min_bad: 5000}"))
    (one,) = detections(few)
    assert (one.outage_pages_min, one.smallest_page) == (None, None)
    assert one.smallest_ticket == Decimal("4999.5") / (10 * 4320)
    (one,) = detections(few, rate=100)
    assert one.smallest_page == Decimal("4999.5") / (100 * 360)


def test_a_gauge_needs_as_many_bad_minutes_whatever_the_requests(documents: Documents) -> None:
    gauge = (
        "metadata: {name: g}\nalerts: {min_bad: 100}\nmetrics: [{name: m, objective: 99, gauge:"
        " {metric: x, below: 1}, slice: {length: 5m, good_share: 80}}]\n"
    )
    (told,) = detections(documents(gauge)[0], rate=1000)
    assert told.smallest_page == Decimal("99.5") / 360
