"""The past replayed: when the alerts would have fired, on made-up minutes and on a real server."""

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from inferometer.prom.client import Client
from inferometer.prom.endpoint import parse
from inferometer.slo.constants import promise
from inferometer.slo.document import Document
from inferometer.slo.names import Options
from inferometer.slo.online.replay import (
    BEFORE_S,
    Alarm,
    Firing,
    Past,
    Stretch,
    firings,
    replay,
)
from support.live_slos import DAY_S, DOCUMENTS, FOREIGN, Live
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector
from support.slo_rules import HEAD, Documents, chat, promised

DAY = 1440
START = BEFORE_S // 60
"""The first minute of the replay."""
Rule = Callable[[int], tuple[int, int] | None]


def past(minutes: int, of: Rule) -> Past:
    """Return what rules record of requests and bad ones, told for each minute of the past."""
    known = [of(k - START) for k in range(START + minutes)]

    def recorded(which: int) -> list[Decimal | None]:
        found: list[Decimal | None] = []
        for k in range(len(known)):
            window = [pair[which] for pair in known[max(0, k - 4) : k + 1] if pair is not None]
            found.append(Decimal(sum(window)) if window else None)
        return found

    total, bad = recorded(0), recorded(1)
    return Past(0, total, bad, bad, total)


def fired(
    document: Document, minutes: int, of: Rule, *, name: str, detail: str | None = None
) -> list[tuple[int, int]]:
    """Return the minutes, from the begin of the replay, at which an alert begins and ends."""
    stretch = Stretch(BEFORE_S, BEFORE_S + minutes * 60)
    known = promise(document, document.promises[0])
    found = firings(past(minutes, of), known, document, stretch)
    return [
        ((one.start_s - BEFORE_S) // 60, (one.end_s - BEFORE_S) // 60)
        for alarm, times in found.items()
        if alarm.alert == name and detail in (None, alarm.detail)
        for one in times
    ]


@pytest.fixture
def one(documents: Documents) -> Document:
    return documents(chat({"all": promised("99")}))[0]


def outage(begin: int, end: int, *, rate: int = 10) -> Rule:
    return lambda minute: (rate, rate if begin <= minute < end else 0)


def test_an_outage_pages_as_soon_as_check_says_and_ends_when_it_is_over(one: Document) -> None:
    """`slo check` says: 100 % outage pages in 11 minutes, at 10 requests a minute."""
    times = fired(one, DAY, outage(600, 660), name="LLMSLOBurnFast", detail="fast")
    (begin, end), *more = times
    assert (begin, more) == (610, [])
    assert 660 < end <= 660 + 5 + 5 + 1


def test_a_total_outage_is_seen_by_the_cliff(documents: Documents) -> None:
    (low,) = documents(chat({"all": promised("90")}))
    (cliff,) = fired(low, DAY, outage(600, 660), name="LLMSLOBurnFast", detail="cliff")
    (fast,) = fired(low, DAY, outage(600, 660), name="LLMSLOBurnFast", detail="fast")
    assert cliff[0] < fast[0]


def test_two_outages_fire_twice_and_a_short_pause_once(one: Document) -> None:
    def two(pause: int) -> Rule:
        def of(minute: int) -> tuple[int, int]:
            is_bad = 100 <= minute < 130 or 130 + pause <= minute < 160 + pause
            return (100, 100 if is_bad else 0)

        return of

    assert len(fired(one, DAY, two(8), name="LLMSLOBurnFast", detail="fast")) == 1
    assert len(fired(one, DAY, two(60), name="LLMSLOBurnFast", detail="fast")) == 2


@pytest.mark.req("SC-03")
@pytest.mark.parametrize(
    "of",
    [lambda _: (10, 0), lambda _: (0, 0), lambda _: None, lambda m: (1, 1) if m == 500 else None],
)
def test_nothing_fires_without_anything_bad(of: Rule, one: Document) -> None:
    stretch = Stretch(BEFORE_S, BEFORE_S + 3 * DAY * 60)
    known = promise(one, one.promises[0])
    found = firings(past(3 * DAY, of), known, one, stretch)
    assert not any(times for alarm, times in found.items() if alarm.alert != "LLMSLONoData")


def test_an_alert_that_still_fires_ends_with_the_replay(one: Document) -> None:
    (found,) = fired(one, 200, outage(100, 500), name="LLMSLOBurnFast", detail="fast")
    assert found[1] == 200


def test_a_trickle_is_told_after_an_hour(one: Document) -> None:
    def trickle(minute: int) -> tuple[int, int]:
        is_request = minute % 60 == 0
        return (int(is_request), int(is_request and 0 <= minute < 300))

    (found,) = fired(one, 4 * DAY, trickle, name="LLMSLOTrickle")
    # The third bad request comes after two hours; two minutes later more than 2.5 are counted.
    assert found[0] == 122 + 60
    assert 3 * DAY < found[1] <= 3 * DAY + 300 + 5


def test_silence_is_told_where_the_days_before_had_traffic(one: Document) -> None:
    def gone(minute: int) -> tuple[int, int] | None:
        return None if 720 <= minute < 1000 else (10, 0)

    ((begin, end),) = fired(one, DAY, gone, name="LLMSLONoData")
    # The 5-minute sums show the last traffic for 4 minutes more, and half an hour may be silent.
    assert 720 + 33 <= begin <= 720 + 36
    assert 1000 <= end <= 1002


@pytest.mark.req("SC-03")
def test_nights_that_are_always_quiet_are_not_told(one: Document) -> None:
    def by_day(minute: int) -> tuple[int, int] | None:
        return (10, 0) if minute % DAY < 720 else (0, 0)

    assert fired(one, 3 * DAY, by_day, name="LLMSLONoData") == []


def test_a_weekend_that_is_always_quiet_is_not_told(one: Document) -> None:
    def working(minute: int) -> tuple[int, int] | None:
        is_sunday = minute // DAY % 7 == 1
        return (0, 0) if is_sunday else (10, 0)

    assert fired(one, 3 * DAY, working, name="LLMSLONoData") == []


def test_what_a_document_does_not_want_is_not_replayed(documents: Documents) -> None:
    rest = "alerts: {page: false, ticket: false}"
    (quiet,) = documents(chat({"all": promised("99")}, rest=rest))
    known = promise(quiet, quiet.promises[0])
    stretch = Stretch(BEFORE_S, BEFORE_S + 600)
    assert firings(past(10, outage(0, 10)), known, quiet, stretch) == {}


def test_a_real_prometheus_is_replayed(live: Live, documents: Documents) -> None:
    texts = [text.removeprefix(HEAD) for text in (DOCUMENTS, FOREIGN)]
    with Client(parse(live.url)) as client:
        found = replay(documents(*texts), client, Options(), length_s=5 * DAY_S)
    by_slo = {one.key[1]: one for one in found}
    fast = times(by_slo["chat-all"].firings, "fast")
    assert len(fast) == 1
    assert 60 <= fast[0].start_s - live.outage_s <= 13 * 60
    assert by_slo["chat-all"].known_s == 5 * DAY_S + 60
    assert by_slo["chat-quiet"].known_s == 0
    assert not any(by_slo["chat-quiet"].firings.values())
    assert by_slo["chat-slices"].known_s > 4 * DAY_S
    assert not times(by_slo["chat-words"].firings, "fast")
    assert by_slo["ext-gateway"].known_s > 4 * DAY_S
    assert by_slo["ext-queue"].known_s > 4 * DAY_S
    assert times(by_slo["ext-queue"].firings, "cliff")  # two hours of each day are bad
    assert times(by_slo["ext-engine"].firings, "drain")  # 10 % are bad, 5 % may be


def test_series_of_nobody_and_what_is_no_number_are_left_out(one: Document) -> None:
    now_s = 1_795_564_800

    def script(asked: Asked) -> bytes:
        if asked.form["query"] == "time()":
            return reply(vector(({}, now_s + 17)))
        labels = {"namespace": "llm", "slo": "chat-all"}
        start_s = int(float(asked.form["start"]))
        series = [
            {"metric": labels, "values": [[start_s, "NaN"], [start_s + 60, "5"]]},
            {"metric": {**labels, "slo": "other"}, "values": [[start_s, "5"]]},
        ]
        return reply({"resultType": "matrix", "result": series})

    with ScriptedPrometheus(script) as server, Client(parse(server.url)) as client:
        (found,) = replay([one], client, Options(), length_s=2 * DAY_S)
    assert found.known_s == 2 * 60
    spans = [float(a.form["end"]) - float(a.form["start"]) for a in server.asked if "end" in a.form]
    assert max(spans) == DAY_S - 60
    assert len(server.asked) == 1 + 2 * 10  # good and bad, of nine days and an hour


def times(found: dict[Alarm, Sequence[Firing]] | object, detail: str) -> list[Firing]:
    assert isinstance(found, dict)
    return [one for alarm, fired in found.items() if alarm.detail == detail for one in fired]
