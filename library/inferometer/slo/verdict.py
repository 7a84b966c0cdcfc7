"""Judges one request by one class: good, bad or excluded, exactly once, at the earliest moment.

The rules, in the order in which they decide:

1. A condition broken before the end makes the request bad when that is certain, and nothing later
   changes it: no first token by its limit, a gap longer than allowed, no end by the limit of
   `e2e`. `sweep` finds these while the request runs, so a hang is seen while it lasts. A silence
   of a stream may be the wait for its terminator, which is no part of it, until it hangs.
2. At the end an outcome on the error list is bad; one that was taken off it is excluded
   (`unlisted`). A client that leaves, or whose request was wrong, is excluded.
3. After a success the rest is judged: itl, tpot, fluidity, and a ttft limit that had to wait for
   usage. What applies but could not be measured makes it excluded (`unmeasured`), never good; so
   do unknown tokens in a class that weighs by them.
4. Otherwise it is good. Equal to a limit is within it.

The reason is the first cause in time; at the same moment the order is that of `CAUSES`. Token
objectives do not apply to requests that do not stream, nor tpot to fewer than two tokens.
All moments are monotonic nanoseconds that come in; there is no clock here.
"""

from typing import Final, Literal, NamedTuple

from inferometer.slo.deadlines import NOTHING, Asked, within
from inferometer.slo.document import Class, FirstToken, Fluidity
from inferometer.slo.fluidity import fluidity_holds
from inferometer.slo.rates import gap_holds, itl_holds, tpot_holds
from inferometer.slo.weights import known_tokens
from inferometer.stream.summary import Summary
from inferometer.stream.tokens import NO_RATE

Reason = Literal[
    "none",
    "error",
    "ttft",
    "gap",
    "itl",
    "tpot",
    "e2e",
    "fluidity",
    "client_cancel",
    "client_error",
    "unmeasured",
    "unlisted",
]

CAUSES: Final[tuple[Reason, ...]] = ("error", "ttft", "gap", "itl", "tpot", "e2e", "fluidity")
"""Reasons for bad, in the order in which they win at the same moment."""

Holds = dict[Reason, bool | None]
"""For each token objective that is stated whether it holds, None if unknown."""

PER_TOKENS: Final = 1000


class Verdict(NamedTuple):
    """A verdict and its reason: good/none, bad/<cause> or excluded/<why>."""

    verdict: Literal["good", "bad", "excluded"]
    reason: Reason


GOOD: Final = Verdict("good", "none")


class _Cause(NamedTuple):
    """A broken condition: when that was certain, and its rank among causes of the same moment."""

    moment_ns: int
    rank: int

    @property
    def verdict(self) -> Verdict:
        return Verdict("bad", CAUSES[self.rank])


class Judge:
    """The judge of one request under one class.

    Tell it what happens, with true moments; ask with `sweep` while the request runs (at least
    every 250 ms) and with `end` when it is over. When one sweeps changes when a verdict is given,
    never which one, as long as each sweep knows all before its moment, silences that last included.
    """

    __slots__ = (
        "_asked",
        "_blind_ns",
        "_bound_tokens",
        "_first_ns",
        "_gap_limit_ns",
        "_gap_over_ns",
        "_given",
        "_stream",
        "_t0_ns",
        "_t_body_ns",
        "_tokens",
        "slo",
    )

    def __init__(
        self, slo: Class, *, t0_ns: int, stream: bool | None, asked: Asked = NOTHING
    ) -> None:
        """Judge a request whose head was complete at `t0_ns`.

        `stream` tells whether it asked to stream, None if that is unknown: its token objectives
        are then judged at the end, if the answer turns out to be a stream. `asked` are deadlines
        from its headers, which take the place of the class's own within its clamp.
        """
        self.slo = slo
        self._asked = asked
        self._t0_ns = t0_ns
        self._stream = stream
        self._t_body_ns: int | None = None
        self._bound_tokens: int | None = None
        self._tokens: int | None = None
        self._first_ns: int | None = None
        self._blind_ns: int | None = None
        # Without an objective for gaps none is too long.
        self._gap_limit_ns = slo.good.gap_ns
        self._gap_over_ns: int | None = None
        self._given = False

    def body_done(self, moment_ns: int) -> None:
        """Take the moment at which the request body was complete: limits `from: body` start."""
        self._t_body_ns = moment_ns

    def prompt(self, tokens: int | None, body_bytes: int | None) -> None:
        """Take the length of the prompt.

        `body_bytes` is the upper bound of its tokens while those are unknown; it counts once the
        body is complete, and is None where it is no bound (a compressed body). `tokens` counts
        uncached ones; it is used at the end and may be left to the summary.
        """
        self._bound_tokens = body_bytes
        self._tokens = tokens

    def output(self, moment_ns: int) -> None:
        """Take an output event; only the first one matters."""
        if self._first_ns is None:
            self._first_ns = moment_ns

    def gap(self, start_ns: int, end_ns: int) -> None:
        """Take a gap between arrivals of one choice, client stalls excepted.

        A silence that still lasts may be told as well, with now as its end, once it can be nothing
        but a hang and where the client is known to read: so a hang is bad while it lasts.
        """
        limit_ns = self._gap_limit_ns
        if limit_ns is not None and end_ns - start_ns > limit_ns:
            over_ns = start_ns + limit_ns
            if self._gap_over_ns is None or over_ns < self._gap_over_ns:
                self._gap_over_ns = over_ns

    def blind(self, moment_ns: int) -> None:
        """Take that outputs may be missed from now on: an opaque answer, dropped bytes.

        From here the absence of output proves nothing, so that ttft can only hold or be unknown.
        """
        if self._blind_ns is None:
            self._blind_ns = moment_ns

    @property
    def clamped(self) -> int:
        """How many deadlines the request asked for that its class did not allow.

        Where what is allowed grows with the prompt this is certain at the end, not before.
        """
        good, (ttft_ns, tpot_ns) = self.slo.good, self._asked
        moved = 0
        if ttft_ns is not None and good.ttft:
            bound = self._bound_tokens if self._tokens is None else self._tokens
            moved += self._first_limit_ns(good.ttft, bound or 0) != ttft_ns
        if tpot_ns is not None and good.tpot_ns is not None:
            moved += self._limit_ns(good.tpot_ns, tpot_ns) != tpot_ns
        return moved

    def waiting_over(self, now_ns: int) -> bool:
        """Tell whether the request is without output now and past its limit for the first token."""
        cause = self._late_first_token(now_ns)
        return cause is not None and self._first_ns is None

    def sweep(self, now_ns: int) -> Verdict | None:
        """Return the verdict if it is certain and not given yet.

        Everything that happened before `now_ns` must have been told, and the request must have run
        until then: of a stream that may be over, that is known up to its last output only.
        """
        if self._given:
            return None
        causes = self._causes(now_ns)
        if not causes:
            return None
        self._given = True
        return min(causes).verdict

    def end(self, summary: Summary) -> Verdict | None:
        """Return the verdict of the finished request; None if it was given before."""
        self._take(summary)
        if self._given:
            return None
        self._given = True
        holds = self._holds(summary)
        causes = self._causes(summary.t_end_ns) + self._causes_at_end(summary, holds)
        if causes:
            return min(causes).verdict
        if summary.outcome == "success":
            known = None not in holds.values()
            if self.slo.weight == "token":
                known = known and known_tokens(summary) is not None
            return GOOD if known else Verdict("excluded", "unmeasured")
        if summary.outcome in ("client_cancel", "client_error"):
            return Verdict("excluded", summary.outcome)
        return Verdict("excluded", "unlisted")

    def _take(self, summary: Summary) -> None:
        """Take from the summary what nobody has told."""
        if self._stream is None:
            self._stream = True if summary.streamed else None
        if self._t_body_ns is None:
            self._t_body_ns = summary.t_body_ns
        if self._first_ns is None:
            self._first_ns = summary.t_first_ns
        if not summary.measured and self._blind_ns is None:
            self._blind_ns = self._t0_ns
        counted = summary.input_tokens is not None and summary.input_source not in NO_RATE
        if self._tokens is None and counted:
            cached = summary.cached_input_tokens or 0
            self._tokens = max(0, (summary.input_tokens or 0) - cached)

    # -- while the request runs --------------------------------------------------------------------

    def _causes(self, now_ns: int) -> list[_Cause]:
        """Return what was certain to be broken before `now_ns`."""
        causes = []
        late = self._late_first_token(now_ns)
        if late is not None:
            causes.append(late)
        if self._gap_over_ns is not None and self._stream is not False:
            causes.append(_Cause(self._gap_over_ns, CAUSES.index("gap")))
        whole = self.slo.good.e2e
        start_ns = self._start(from_body=whole.from_body) if whole else None
        if whole and start_ns is not None and now_ns > start_ns + whole.limit_ns:
            causes.append(_Cause(start_ns + whole.limit_ns, CAUSES.index("e2e")))
        return causes

    def _late_first_token(self, now_ns: int) -> _Cause | None:
        limit = self.slo.good.ttft
        if self._stream is not True or limit is None:
            return None
        known_ns = self._t_body_ns if limit.per_1k_prompt_tokens_ns else self._t0_ns
        deadline_ns = self._deadline(limit, self._bound_tokens)
        if known_ns is None or deadline_ns is None:
            return None
        if self._blind_ns is not None and self._blind_ns <= deadline_ns:
            return None
        came_ns = now_ns if self._first_ns is None else self._first_ns
        late = came_ns > deadline_ns
        return _Cause(max(deadline_ns, known_ns), CAUSES.index("ttft")) if late else None

    def _deadline(self, limit: FirstToken, tokens: int | None) -> int | None:
        """Return the moment by which the first token must have come; None where unknown."""
        start_ns = self._start(from_body=limit.from_body)
        if start_ns is None:
            return None
        if not limit.per_1k_prompt_tokens_ns:
            tokens = 0
        return None if tokens is None else start_ns + self._first_limit_ns(limit, tokens)

    def _first_limit_ns(self, limit: FirstToken, tokens: int) -> int:
        """Return the longest wait for a first token after so many of the prompt."""
        own_ns = limit.base_ns + limit.per_1k_prompt_tokens_ns * tokens // PER_TOKENS
        return self._limit_ns(own_ns, self._asked.ttft_ns)

    def _limit_ns(self, own_ns: int, asked_ns: int | None) -> int:
        """Return the limit of this request: that of its class, unless it asked for another."""
        headers = self.slo.headers
        return (
            own_ns if asked_ns is None or not headers else within(asked_ns, own_ns, headers.clamp)
        )

    def _start(self, *, from_body: bool) -> int | None:
        return self._t_body_ns if from_body else self._t0_ns

    # -- at the end --------------------------------------------------------------------------------

    def _causes_at_end(self, summary: Summary, holds: Holds) -> list[_Cause]:
        """Return what became certain with the end itself; rates are judged of successes only."""
        broken = [cause for cause, kept in holds.items() if kept is False]
        if summary.outcome != "success":
            broken = [cause for cause in broken if cause == "ttft"]
        if summary.outcome in self.slo.good.errors:
            broken.append("error")
        return [_Cause(summary.t_end_ns, CAUSES.index(cause)) for cause in broken]

    def _holds(self, summary: Summary) -> Holds:
        """Return whether the token objectives that are stated hold."""
        good = self.slo.good
        if not self._stream:  # not asked for, or nobody knows: then the answer decided
            unknown = self._stream is None and not summary.measured
            stated = unknown and good.needs_stream
            return {"ttft": None} if stated else {}
        holds: Holds = {}
        if good.ttft:
            holds["ttft"] = self._first_token_holds(good.ttft, summary)
        if good.gap_ns is not None:
            holds["gap"] = gap_holds(summary, good.gap_ns)
        if good.itl:
            holds["itl"] = itl_holds(summary, good.itl)
        if good.tpot_ns is not None:
            limit_ns = self._limit_ns(good.tpot_ns, self._asked.tpot_ns)
            holds["tpot"] = tpot_holds(summary, limit_ns)
        if good.fluidity:
            deadline_ns = self._fluid_from(good.fluidity)
            holds["fluidity"] = fluidity_holds(summary, good.fluidity, deadline_ns)
        return holds

    def _fluid_from(self, limit: Fluidity) -> int | None:
        """Return the moment by which fluidity wants the first token; None where unknown."""
        first = self.slo.good.ttft
        if limit.first_ns is not None:
            return self._t0_ns + limit.first_ns
        return None if first is None else self._deadline(first, self._tokens)

    def _first_token_holds(self, limit: FirstToken, summary: Summary) -> bool | None:
        """Judge by the length that the server told, which the body's bytes only bounded."""
        shortest_ns = self._deadline(limit, 0)
        came_ns = summary.t_end_ns if self._first_ns is None else summary.t_first_ns
        if shortest_ns is None or came_ns is None:
            return None
        if came_ns <= shortest_ns:
            return None if self._first_ns is None else True
        exact_ns = self._deadline(limit, self._tokens)
        if exact_ns is None or (self._blind_ns is not None and self._blind_ns <= exact_ns):
            return None
        if came_ns > exact_ns:
            return False
        return None if self._first_ns is None else True
