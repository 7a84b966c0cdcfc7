"""How a request ended: one of a closed set of outcomes, from what the relay and the events say.

The first cause in time wins. So an error status stays what it is, however its body ends; a stream
whose terminator was relayed is complete, also when the client or the upstream leaves right after
it; and a client that leaves after an error event has still seen an error.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from inferometer.stream.dialect import Call, Operation
from inferometer.stream.summary import Answer, Outcome, Seen, Summary

Result = Literal["ok", "error", "cancel"]
"""Outcomes as three groups, for durations."""

GENERATES: Final[frozenset[Operation]] = frozenset({"chat", "text_completion", "generate_content"})
"""Operations whose answers are generated tokens."""

CENSORS: Final[frozenset[Outcome]] = frozenset({"client_cancel", "timeout", "drain_cut"})
"""Ends that do not tell how long the wait for a first token would have been."""


class Relay(NamedTuple):
    """What the relay knows of the end.

    `cause` is `sidecar.tap.Cause` as text. `status` and `answered_ns` are of the response head
    of the upstream, 0 and None if none came; `retry_after` tells whether it has such a field.
    """

    cause: str
    moment_ns: int
    status: int = 0
    answered_ns: int | None = None
    retry_after: bool = False


class Conclusion(NamedTuple):
    """The outcome and the moment at which it became certain."""

    outcome: Outcome
    moment_ns: int


_CAUSES: Final[Mapping[str, Outcome]] = {
    "complete": "success",
    "client_left": "client_cancel",
    "client_slow": "client_error",  # its own slowness, so it is no failure of ours
    "client_bad": "client_error",
    "limit": "rejected",
    "connect_failed": "upstream_error",
    "connect_timeout": "timeout",
    "upstream_failed": "upstream_error",
    "upstream_timeout": "timeout",
    "upstream_short": "truncated",
    "drain_cut": "drain_cut",
    "proxy_error": "proxy_error",
}

_STATUSES: Final[Mapping[int, Outcome]] = {408: "timeout", 429: "rejected", 504: "timeout"}
_STATUS_CLASSES: Final[Mapping[int, Outcome]] = {4: "client_error", 5: "upstream_error"}
_FAILED_FROM: Final = 400
_UNAVAILABLE: Final = 503

_AT_ONCE: Final[tuple[Outcome, ...]] = (
    "proxy_error",
    "drain_cut",
    "timeout",
    "client_error",
    "rejected",
    "upstream_error",
    "stream_error",
    "success",
    "truncated",
    "client_cancel",
)
"""Which cause wins in the same instant. A head comes before its body, an error event before the
terminator of the same read, and a complete answer before whoever leaves after it."""


def conclude(relay: Relay, answer: Answer, seen: Seen) -> Conclusion:
    """Return the outcome; a cause that is not known is a failure of ours."""
    causes = [_end(relay, answer, seen)]
    if relay.answered_ns is not None and relay.status >= _FAILED_FROM:
        status = _of_status(relay.status, retry_after=relay.retry_after)
        if status is not None:
            causes.append(Conclusion(status, relay.answered_ns))
    if seen.failed_ns is not None:
        causes.append(Conclusion("stream_error", seen.failed_ns))
    if answer.streamed and seen.ended_ns is not None:
        causes.append(Conclusion(_of_terminator(answer, seen), seen.ended_ns))
    if len(causes) == 1:
        return causes[0]
    return min(causes, key=lambda cause: (cause.moment_ns, _AT_ONCE.index(cause.outcome)))


def result(outcome: Outcome) -> Result:
    """Return the group of an outcome."""
    if outcome == "success":
        return "ok"
    return "cancel" if outcome == "client_cancel" else "error"


def unanswered(summary: Summary, call: Call) -> str | None:
    """Return why a request that should have streamed gave no output; None if it did.

    The reason is the outcome, or `empty` for a success. None as well where nobody can tell: the
    answer was opaque, or events were lost.
    """
    expected = call.stream == "true" or summary.streamed
    if not expected or call.operation not in GENERATES:
        return None
    if summary.output_events or not summary.measured:
        return None
    return "empty" if summary.outcome == "success" else summary.outcome


def censored_s(summary: Summary, call: Call) -> float | None:
    """Return the wait for a first token that was broken off, a lower bound; None if it was not."""
    if summary.outcome not in CENSORS or unanswered(summary, call) is None:
        return None
    return summary.duration_s


def _end(relay: Relay, answer: Answer, seen: Seen) -> Conclusion:
    outcome = _CAUSES.get(relay.cause, "proxy_error")
    if outcome == "success" and _is_cut(answer, seen):
        outcome = "truncated"
    return Conclusion(outcome, relay.moment_ns)


def _is_cut(answer: Answer, seen: Seen) -> bool:
    """Tell whether a stream with a clean framing still lacks its end.

    Where events were lost the terminator may have been among them, and nothing is proven.
    """
    if not answer.streamed or not answer.terminated or seen.partial:
        return False
    return seen.ended_ns is None and seen.finished_ns is None


def _of_terminator(answer: Answer, seen: Seen) -> Outcome:
    """Return what a terminator means: nothing but itself is a failure (vllm#40986)."""
    empty = not seen.output and seen.finished_ns is None and not seen.partial
    return "stream_error" if empty and answer.terminated else "success"


def _of_status(status: int, *, retry_after: bool) -> Outcome | None:
    """Return what a status says by itself; None where the body decides."""
    if status == _UNAVAILABLE and retry_after:
        return "rejected"
    return _STATUSES.get(status) or _STATUS_CLASSES.get(status // 100)
