"""Requests as lists of (milliseconds after t0, event), for the tests of `stream.timeline`."""

from collections.abc import Iterable

from inferometer.stream.dialect import Call
from inferometer.stream.events import Event, Output
from inferometer.stream.summary import Answer, Outcome, Summary
from inferometer.stream.timeline import Timeline

MS = 1_000_000
T0 = 1000 * MS
CALL = Call("openai_chat", "chat", "m", "true")
STREAM = Answer(streamed=True, terminated=True)
TOKEN = Output()
REASONING = Output("reasoning")

Timed = tuple[float, Event]  # milliseconds after T0, and what came then


def taken(events: Iterable[Timed], *, call: Call = CALL) -> Timeline:
    timeline = Timeline(call, t0_ns=T0)
    for at_ms, event in events:
        timeline.byte(T0 + round(at_ms * MS))
        timeline.take(T0 + round(at_ms * MS), event)
    return timeline


def summary(
    events: Iterable[Timed],
    *,
    call: Call = CALL,
    outcome: Outcome = "success",
    answer: Answer = STREAM,
) -> Summary:
    return taken(events, call=call).finish(outcome, T0 + 9000 * MS, answer=answer)


def gaps(found: Summary) -> list[float]:
    return [round(gap, 4) for gap in found.gaps_s]


TOKENS: list[Timed] = [(300, TOKEN), (320, TOKEN), (340, TOKEN), (400, TOKEN)]
