"""Alerts on what became of requests: errors, broken streams, aborts, cut and refused answers."""

from decimal import Decimal
from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Matching,
    Selector,
    any_of,
    binary,
    chain,
    equal,
    number,
)
from inferometer.slo.rule import Severity
from inferometer.slo.shipped.facts import ABORTS, FINISHES, REQUESTS, counted
from inferometer.slo.shipped.places import MODEL, model_key, space
from inferometer.slo.shipped.record import SIDECAR, Declare, Declared, Fires, Limit, above, enough
from inferometer.slo.windows import DAY_S, HOUR_S

ERRORS: Final = (
    "upstream_error",
    "stream_error",
    "truncated",
    "timeout",
    "drain_cut",
    "proxy_error",
)
"""Outcomes that are faults. What was refused has an alert of its own."""
BROKEN: Final = ("stream_error", "truncated")

_OWN_FAULT: Final = Matcher("outcome", "!~", "client_.*")
_TEN_S: Final = 600
_FIVE_S: Final = 300
_BOARD: Final = "inferometer-serving"
_TWICE: Final = number(2)
_SHARE: Final = "{{ $value | humanizePercentage }}"


def _variables(options: Options) -> tuple[str, ...]:
    return (*space(options), "model")


def _of(record: str, *matchers: Matcher, seconds: int, options: Options) -> Expr:
    return counted(Selector(record, matchers), seconds, model_key(options))


_ERRORS_PAGE: Final = Limit(
    alert="LLMErrorRatioHigh",
    part="critical",
    default=Decimal("0.05"),
    unit="ratio",
    meaning="share of requests that fail, beyond which somebody is woken",
    source="llm-d",
)
_ERRORS_TICKET: Final = Limit(
    alert="LLMErrorRatioHigh",
    part="warning",
    default=Decimal("0.01"),
    unit="ratio",
    meaning="share of requests that fail, beyond which somebody should look",
    source="llm-d",
)


def error_ratio(options: Options) -> Declared:
    """Return the alert on requests that fail."""

    def rule(severity: Severity, limit: Limit, seconds: int, for_s: int) -> Fires:
        failed = _of(REQUESTS, any_of("outcome", ERRORS), seconds=seconds, options=options)
        every = _of(REQUESTS, _OWN_FAULT, seconds=seconds, options=options)
        return Fires(
            severity=severity,
            expr=binary(above(binary(failed, "/", every), limit), "and", enough(failed)),
            summary=f"{_SHARE} of the requests for {MODEL} fail",
            description="Answers break off, time out, or never begin. What clients did wrong or"
            f" gave up, and what was refused, is not in the {_SHARE}.",
            for_s=for_s,
        )

    return Declared(
        name="LLMErrorRatioHigh",
        means="A larger share of the requests for a model fails than users will put up with.",
        source="llm-d's rules; vLLM's dashboard colours from 0.1 % on",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=_variables(options),
        limits=(_ERRORS_PAGE, _ERRORS_TICKET),
        rules=(
            rule("critical", _ERRORS_PAGE, _FIVE_S, 120),
            rule("warning", _ERRORS_TICKET, _TEN_S, _TEN_S),
        ),
    )


_BROKEN_SHARE: Final = Limit(
    alert="LLMStreamsBroken",
    default=Decimal("0.01"),
    unit="ratio",
    meaning="share of streams that begin and never end properly",
    source="ours: status codes miss them, since these were sent with 200",
)


def streams_broken(options: Options) -> Declared:
    """Return the alert on streams that begin and do not end."""
    streams = equal("stream", "true")
    broken = _of(REQUESTS, streams, any_of("outcome", BROKEN), seconds=_FIVE_S, options=options)
    every = _of(REQUESTS, streams, seconds=_FIVE_S, options=options)
    return Declared(
        name="LLMStreamsBroken",
        means="Streams begin with status 200 and then end in an error or in the middle.",
        source="ours: vLLM's counters of 5xx miss these",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=_variables(options),
        limits=(_BROKEN_SHARE,),
        rules=(
            Fires(
                severity="critical",
                expr=binary(
                    above(binary(broken, "/", every), _BROKEN_SHARE), "and", enough(broken)
                ),
                summary=f"{_SHARE} of the streams of {MODEL} break off",
                description=f"{_SHARE} of the streams began with status 200 and ended in an error"
                " or in the middle of the answer. Nothing that looks at status codes sees it.",
                for_s=_FIVE_S,
            ),
        ),
    )


_ABORTS: Final = Limit(
    alert="LLMClientAborts",
    default=Decimal("0.1"),
    unit="ratio",
    meaning="share of streams that clients give up, if it is also twice that of the last day",
    source="ours",
)


def client_aborts(options: Options) -> Declared:
    """Return the alert on clients that leave more often than they use to."""
    key, streams = model_key(options), Selector(REQUESTS, (equal("stream", "true"),))
    with_model = Matching(on=key, left=())

    def count(seconds: int) -> Expr:
        return counted(Selector(ABORTS), seconds, (*key, "when"))

    def share(seconds: int) -> Expr:
        return binary(count(seconds), "/", counted(streams, seconds, key), with_model)

    usual = binary(_TWICE, "*", share(DAY_S))
    more = binary(share(_TEN_S), ">", usual)
    return Declared(
        name="LLMClientAborts",
        means="Clients give up twice as many of their streams as on the day before.",
        source="ours: people who wait too long leave, and no latency shows it",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=_variables(options),
        limits=(_ABORTS,),
        rules=(
            Fires(
                severity="warning",
                expr=chain("and", [above(share(_TEN_S), _ABORTS), more, enough(count(_TEN_S))]),
                summary=f"Clients give up {_SHARE} of the streams of {MODEL},"
                " {{ $labels.when }} the first token",
                description=f"{_SHARE} of the streams are closed by the client {{{{ $labels.when"
                " }} the first token, more than twice the share of the last day. Before it: they"
                " wait too long. After it: the answer is slow, or not what they want.",
                for_s=_TEN_S,
            ),
        ),
    )


_CUT: Final = Limit(
    alert="LLMTruncation",
    default=Decimal("0.2"),
    unit="ratio",
    meaning="how much larger the share of answers cut at the token limit is than that of the day",
    source="vLLM's dashboard shows finish reasons; the number is ours",
)


def truncation(options: Options) -> Declared:
    """Return the notice that more answers are cut at their token limit."""
    cut, hour_s = equal("finish", "length"), HOUR_S

    def share(seconds: int) -> Expr:
        part = _of(FINISHES, cut, seconds=seconds, options=options)
        return binary(part, "/", _of(FINISHES, seconds=seconds, options=options))

    more = above(binary(share(hour_s), "-", share(DAY_S)), _CUT)
    return Declared(
        name="LLMTruncation",
        means="Many more answers than on the day before end at their token limit.",
        source="vLLM's dashboard of finish reasons",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=_variables(options),
        limits=(_CUT,),
        rules=(
            Fires(
                severity="info",
                expr=binary(
                    more, "and", enough(_of(FINISHES, cut, seconds=hour_s, options=options))
                ),
                summary=f"More answers of {MODEL} are cut at their token limit",
                description=f"The share of answers that end with finish reason length is {_SHARE}"
                " higher than the mean of the last day: users see answers that stop.",
                for_s=900,
            ),
        ),
    )


_REFUSED: Final = Limit(
    alert="LLMRateLimited",
    default=Decimal("0.05"),
    unit="ratio",
    meaning="share of requests that are refused for load",
    source="ours",
)


def rate_limited(options: Options) -> Declared:
    """Return the alert on requests that are refused for load."""
    refused = _of(REQUESTS, equal("outcome", "rejected"), seconds=_FIVE_S, options=options)
    every = _of(REQUESTS, seconds=_FIVE_S, options=options)
    return Declared(
        name="LLMRateLimited",
        means="Requests for a model are refused because there is too much to do.",
        source="ours",
        needs=(SIDECAR,),
        board=_BOARD,
        variables=_variables(options),
        limits=(_REFUSED,),
        rules=(
            Fires(
                severity="warning",
                expr=binary(above(binary(refused, "/", every), _REFUSED), "and", enough(refused)),
                summary=f"{_SHARE} of the requests for {MODEL} are refused",
                description=f"{_SHARE} of the requests got 429, or 503 with Retry-After: the"
                " server, or a limit before it, has no room for them.",
                for_s=_TEN_S,
            ),
        ),
    )


REQUEST_ALERTS: Final[tuple[Declare, ...]] = (
    error_ratio,
    streams_broken,
    client_aborts,
    truncation,
    rate_limited,
)
