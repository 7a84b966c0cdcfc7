"""A judge and summaries for tests of verdicts; moments are milliseconds after the request head."""

from array import array
from decimal import Decimal
from typing import Literal

from inferometer.errors import Place
from inferometer.slo.deadlines import NOTHING, TPOT, TTFT, Asked
from inferometer.slo.document import Class, Good, Headers, Match
from inferometer.slo.verdict import Judge
from inferometer.stream.summary import Summary

MS = 1_000_000
T0 = 5_000 * MS


HEADERS = Headers(TTFT, TPOT, (Decimal("0.5"), Decimal(4)), Place("x"))


def slo(
    good: Good,
    *,
    headers: Headers | None = None,
    weight: Literal["request", "token"] = "request",
) -> Class:
    return Class(
        name="c",
        id="d-c",
        place=Place("x"),
        match=Match(),
        objective=Decimal(99),
        good=good,
        weight=weight,
        weight_place=Place("x"),
        slice=None,
        headers=headers,
    )


def judge(good: Good, *, stream: bool | None = True, asked: Asked = NOTHING) -> Judge:
    """Return the judge of a request; deadlines that it asks for are clamped to 0.5 and 4 times."""
    return Judge(slo(good, headers=HEADERS), t0_ns=T0, stream=stream, asked=asked)


DONE = Summary(
    outcome="success",
    streamed=True,
    measured=True,
    t0_ns=T0,
    t_body_ns=T0,
    t_byte_ns=T0 + 50 * MS,
    t_first_ns=T0 + 50 * MS,
    t_visible_ns=T0 + 50 * MS,
    t_last_ns=T0 + 250 * MS,
    t_end_ns=T0 + 250 * MS,
    input_tokens=10,
    input_source="server",
    cached_input_tokens=None,
    reasoning_output_tokens=None,
    output_tokens=5,
    output_source="server",
    choices=1,
    gaps_s=array("f", [0.05] * 4),
    gap_tokens=array("I", [1] * 4),
    gaps_dropped=0,
    longest_gap_s=0.05,
    client_stall_s=0.0,
)
EMPTY = DONE._replace(
    t_first_ns=None,
    t_visible_ns=None,
    t_last_ns=None,
    gaps_s=array("f"),
    gap_tokens=array("I"),
    longest_gap_s=None,
    output_tokens=0,
)
WHOLE = EMPTY._replace(streamed=False, output_tokens=5)


def at(ms: float) -> int:
    return T0 + round(ms * MS)
