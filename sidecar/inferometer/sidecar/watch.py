"""One exchange as the measuring plane sees it: marks of the relay become events and numbers.

Every step that reads outside data runs in a stage, and a stage that raises costs the measuring of
this exchange, never more: the observer counts it, and the end of the exchange is still recorded.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from inferometer.sidecar.instruments import Instruments
from inferometer.sidecar.record import count_said, count_times, count_tokens
from inferometer.sidecar.tap import (
    Answered,
    Delay,
    Finish,
    Lost,
    Mark,
    RequestBody,
    RequestEnd,
    Sent,
    Stall,
    Started,
    Tapped,
    Upgraded,
)
from inferometer.sidecar.traceparent import exemplar_of
from inferometer.stream.dialect import Call
from inferometer.stream.events import Event, Finished, Named, Output, Reported, Skipped
from inferometer.stream.outcome import Relay, conclude
from inferometer.stream.request import route
from inferometer.stream.summary import Answer, Summary
from inferometer.stream.timeline import Arrival, State, Timeline

if TYPE_CHECKING:
    from inferometer.sidecar.desk import Desk
    from inferometer.slo.verdict import Judge
    from inferometer.stream.decode import Decoder

SECOND_NS: Final = 1_000_000_000
SAID_MAX: Final = 64
"""Finish reasons and reports that are kept of one answer; further ones are not counted."""


class Watch:
    """Follows one exchange from its start to its finish."""

    def __init__(self, desk: "Desk", tapped: Tapped, t0_ns: int, started: Started) -> None:
        """Start with what the request head says."""
        self.t0_ns = t0_ns
        self.entries = 1
        self.call: Call | None = None
        self.timeline: Timeline | None = None
        self.judges: list[Judge] = []
        self.model = "unknown"
        self.tunnel = False
        self.started = started
        self._desk = desk
        self._tapped = tapped
        self._prefix: list[bytes] = []
        self._body_ns: int | None = None
        self._sent_ns: int | None = None
        self._decoder: Decoder | None = None
        self._answer = Answer()
        self._answered: Answered | None = None
        self._answered_ns: int | None = None
        self._instruments: Instruments | None = None
        self._exemplar = exemplar_of(started)
        self._answer_model: str | None = None
        self._stalled_until_ns = 0
        self._skipped: str | None = None
        self._said: list[Finished | Reported] = []

    @property
    def waiting(self) -> bool:
        """Whether a first output is still to come."""
        return self.timeline is None or self.timeline.state is State.WAITING

    def take(self, moment_ns: int, mark: Mark) -> bool:
        """Take one mark; return whether it was the last."""
        self.entries += 1
        if type(mark) is bytes:
            self._body(moment_ns, mark)
            return False
        _TAKES[type(mark)](self, moment_ns, mark)
        return type(mark) is Finish

    def request_body(self, _moment_ns: int, mark: RequestBody) -> None:
        """Keep a part of the request body until it is read."""
        self._prefix.append(mark.data)

    def request_end(self, moment_ns: int, mark: RequestEnd) -> None:
        """Read what the request asks for: its body is complete."""
        self._body_ns = moment_ns
        self._read_call(mark.size)

    def delayed(self, _moment_ns: int, mark: Delay) -> None:
        """Count what a sampled chunk waited."""
        self._desk.chunk_delay.add(mark.duration_ns / SECOND_NS)

    def lost(self, moment_ns: int, _mark: Lost) -> None:
        """Take that parts of the answer were dropped."""
        self._lose(moment_ns)

    # -- the request -----------------------------------------------------------------------------

    def _read_call(self, body_bytes: int) -> None:
        """Read what the request asks for, once; `body_bytes` bounds the tokens of its prompt."""
        if self.call is not None:
            return
        desk = self._desk
        started = self.started
        body, self._prefix = b"".join(self._prefix), []
        self.call = desk.stage("parser", lambda: desk.read_call(started, body)) or OPAQUE
        self.timeline = Timeline(self.call, t0_ns=self.t0_ns, stall_s=desk.stall_s)
        if self._body_ns is not None:
            self.timeline.body_done(self._body_ns)
        self.model = desk.peek_model(self.call.model)
        judges = desk.bench.judges(started, self.call, self.call.model, self.t0_ns)
        for judge in judges:
            if self._body_ns is not None:
                judge.body_done(self._body_ns)
                judge.prompt(None, None if self._is_compressed else body_bytes)
        self.judges = judges

    @property
    def _is_compressed(self) -> bool:
        """Whether the bytes of the request body are no bound of its tokens."""
        return any(name.lower() == b"content-encoding" for name, _ in self.started.fields)

    def _tell_silence(self, now_ns: int) -> None:
        """Tell judges of a silence that lasts, or that ended with the stream: it is a gap, too."""
        timeline = self.timeline
        if timeline is None or timeline.state is not State.STREAMING or not self.judges:
            return
        last_ns = timeline.t_last_ns
        if last_ns is not None and self._stalled_until_ns <= last_ns < now_ns:
            for judge in self.judges:
                judge.gap(last_ns, now_ns)

    def sweep(self, now_ns: int) -> None:
        """Count the verdicts that are certain by now."""
        if not self._tapped.paused:
            self._tell_silence(now_ns)
        for judge in self.judges:
            verdict = judge.sweep(now_ns)
            if verdict is not None:
                self._desk.bench.count(judge.slo, verdict, self._exemplar)

    @property
    def model_name(self) -> str | None:
        """The name in the request; that of the answer only where the request has none."""
        named = self.call.model if self.call is not None else None
        return named if named is not None else self._answer_model

    def sent(self, moment_ns: int, mark: Sent) -> None:
        """Count what the way through the sidecar cost so far."""
        self._sent_ns = moment_ns
        added_ns = max(0, moment_ns - self.t0_ns - mark.dial_ns)
        self._desk.head_delay.add(added_ns / SECOND_NS)
        if mark.dial_ns:
            self._desk.dial_delay.add(mark.dial_ns / SECOND_NS)

    # -- the answer ------------------------------------------------------------------------------

    def answered(self, moment_ns: int, mark: Answered) -> None:
        """Prepare to read the answer."""
        self._read_call(sum(map(len, self._prefix)))
        self._answered = mark
        self._answered_ns = moment_ns
        call = self.call
        assert call is not None
        desk = self._desk
        self._decoder = desk.stage(
            "parser", lambda: desk.make_decoder(call, mark.status, mark.fields)
        )
        if self._decoder is None or self._decoder.opaque is not None:
            self._go_blind(moment_ns)

    def _go_blind(self, moment_ns: int) -> None:
        """Take that this answer's output cannot be seen: its absence proves nothing."""
        for judge in self.judges:
            judge.blind(moment_ns)

    def _body(self, moment_ns: int, data: bytes) -> None:
        timeline = self.timeline
        decoder = self._decoder
        if timeline is None:
            return
        timeline.byte(moment_ns)
        if decoder is None:
            self._tapped.muted = True
            return
        try:
            self._take_events(moment_ns, timeline, decoder.feed(data))
        except Exception as error:  # noqa: BLE001  (the seam of the parser stage)
            self._fail_parser(moment_ns, error)
            return
        if decoder.opaque is not None:
            self._tapped.muted = True
            self._go_blind(moment_ns)
        elif decoder.call is not self.call:
            self.call = decoder.call  # the stream told its dialect, where the route did not
            self._instruments = None

    def _fail_parser(self, moment_ns: int, error: Exception) -> None:
        self._desk.count_error("parser", error)
        self._lose(moment_ns)
        self._answer = self._decoder.answer if self._decoder is not None else Answer()
        self._decoder = None
        self._tapped.muted = True

    def _take_events(self, moment_ns: int, timeline: Timeline, events: Iterable[Event]) -> None:
        for event in events:
            if type(event) is not Output:
                self._tell_silence(moment_ns)
                timeline.take(moment_ns, event)
                self._heard(event)
                continue
            arrival = timeline.take(moment_ns, event)
            if arrival is not None:
                self._arrived(moment_ns, arrival)

    def _arrived(self, moment_ns: int, arrival: Arrival) -> None:
        gap_ns = arrival.gap_ns
        if gap_ns is not None:
            self._bound().inter_chunk.add(gap_ns / SECOND_NS)
            for judge in self.judges:
                judge.gap(moment_ns - gap_ns, moment_ns)
        if arrival.first or arrival.visible:
            self._first(moment_ns, arrival)

    def _first(self, moment_ns: int, arrival: Arrival) -> None:
        wait_s = (moment_ns - self.t0_ns) / SECOND_NS
        if arrival.first:
            self._prove_model()
            self._bound().first_token.add(wait_s, 1, self._exemplar)
            for judge in self.judges:
                judge.output(moment_ns)
        if arrival.visible:
            self._bound().first_output.add(wait_s, 1, self._exemplar)

    def _heard(self, event: Event) -> None:
        """Keep what is counted at the end, when the model has its label for good."""
        if isinstance(event, Named):
            if self.call is not None and self.call.model is None and self._answer_model is None:
                self._answer_model = event.model
                self.model = self._desk.peek_model(event.model)
        elif isinstance(event, Skipped):
            self._skipped = self._skipped or event.reason
        elif isinstance(event, Finished | Reported) and len(self._said) < SAID_MAX:
            self._said.append(event)

    def stalled(self, moment_ns: int, mark: Stall) -> None:
        """Take that the client did not read for a while."""
        self._stalled_until_ns = moment_ns
        if self.timeline is not None:
            self.timeline.stall(moment_ns - mark.duration_ns, moment_ns)
        name = "inferometer_client_stall_seconds_total"
        self._bound().of_model(name).add(mark.duration_ns / SECOND_NS)

    def _lose(self, moment_ns: int) -> None:
        if self.timeline is not None:
            self.timeline.dropped()
        if self._decoder is not None:
            self._decoder.dropped()
        self._go_blind(moment_ns)

    def upgraded(self, _moment_ns: int, _mark: Upgraded) -> None:
        """Take that only bytes will pass from now on."""
        self.tunnel = True
        self._tapped.muted = True

    # -- labels ----------------------------------------------------------------------------------

    @property
    def _is_other(self) -> bool:
        return self.call is None or self.call.operation == "other" or self.tunnel

    def _prove_model(self) -> None:
        """Give the model its label for good: there is output, so it exists."""
        status = self._answered.status if self._answered is not None else 0
        proven = 200 <= status < 300  # noqa: PLR2004
        self.model = self._desk.take_model(self.model_name, proven=proven)
        self._instruments = None

    def _bound(self) -> Instruments:
        if self._instruments is None:
            call = self.call or OPAQUE
            operation = "other" if self.tunnel else call.operation
            self._instruments = self._desk.instruments(self.model, operation, call.stream)
        return self._instruments

    # -- the end ---------------------------------------------------------------------------------

    def finish(self, moment_ns: int, mark: Finish) -> None:
        """Conclude: outcome, summary, verdicts."""
        self._read_call(mark.request_bytes)
        if mark.lost:
            self._lose(moment_ns)
        timeline, call = self.timeline, self.call
        assert timeline is not None
        assert call is not None
        self._close_decoder(moment_ns, timeline, clean=mark.cause == "complete")
        unseen = self._tapped.muted and self._answered is not None and mark.response_bytes > 0
        if unseen and mark.cause == "complete":
            timeline.byte(moment_ns)
        conclusion = conclude(self._relay_end(moment_ns, mark), self._answer, timeline.seen)
        summary = timeline.finish(conclusion.outcome, conclusion.moment_ns, answer=self._answer)
        self._desk.stage("registry", lambda: self._record(summary, mark, call))
        for judge in self.judges:
            verdict = judge.end(summary)
            if verdict is not None:
                self._desk.bench.count(judge.slo, verdict, self._exemplar)
        self.judges = []

    def _relay_end(self, moment_ns: int, mark: Finish) -> Relay:
        answered = self._answered
        if answered is None:
            return Relay(mark.cause, moment_ns)
        retry_after = any(name.lower() == b"retry-after" for name, _ in answered.fields)
        return Relay(mark.cause, moment_ns, answered.status, self._answered_ns, retry_after)

    def _close_decoder(self, moment_ns: int, timeline: Timeline, *, clean: bool) -> None:
        decoder = self._decoder
        if decoder is None:
            return
        try:
            # A last event without its blank line counts with the last byte, not with the close.
            last_ns = timeline.last_byte_ns if timeline.t_byte_ns is not None else moment_ns
            self._take_events(last_ns, timeline, decoder.close(clean=clean))
            self._answer = decoder.answer
        except Exception as error:  # noqa: BLE001  (the seam of the parser stage)
            self._fail_parser(moment_ns, error)

    def _record(self, summary: Summary, mark: Finish, call: Call) -> None:
        desk = self._desk
        self.model = desk.peek_model(self.model_name)
        if self._answered is not None and summary.output_events == 0:
            proven = 200 <= self._answered.status < 300 and bool(summary.output_tokens)  # noqa: PLR2004
            self.model = desk.take_model(self.model_name, proven=proven)
        self._instruments = None
        bound = self._bound()
        if mark.status:
            desk.count_response(mark.status)
        desk.request_bytes.add(mark.request_bytes)
        desk.response_bytes.add(mark.response_bytes)
        self._count_unparsed(call)
        if not self._is_other:
            count_times(bound, summary, call, self._exemplar)
            count_tokens(bound, summary, answered=self._answered is not None)
            count_said(bound, call.dialect, self._said)
        if summary.usage_rejected:
            desk.usage_rejected.add(summary.usage_rejected)
        bound.requests(summary.outcome).add()  # last: whoever is counted has all its numbers

    def _count_unparsed(self, call: Call) -> None:
        reason = "tunnel" if self.tunnel else self._answer.opaque or self._skipped
        quiet = route(self.started.method, self.started.target).quiet  # has nothing to be read
        if reason is not None and (self.tunnel or not quiet):
            self._desk.count_unparsed(call.dialect, reason)


OPAQUE: Final = Call(dialect="opaque", operation="other", model=None, stream="unknown")
"""A request that could not be read."""

_TAKES: Final[Mapping[type[Mark], Callable[[Watch, int, Any], None]]] = {
    RequestBody: Watch.request_body,
    RequestEnd: Watch.request_end,
    Sent: Watch.sent,
    Answered: Watch.answered,
    Delay: Watch.delayed,
    Stall: Watch.stalled,
    Lost: Watch.lost,
    Upgraded: Watch.upgraded,
    Finish: Watch.finish,
}
"""What each kind of mark does to its watch."""
