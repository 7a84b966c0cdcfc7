"""One exchange as the measuring plane sees it: marks of the relay become events and numbers.

Every step that reads outside data runs in a stage, and a stage that raises costs the measuring of
this exchange, never more: the observer counts it, and the end of the exchange is still recorded.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from inferometer.sidecar.desk import OPAQUE
from inferometer.sidecar.instruments import Instruments
from inferometer.sidecar.models import BYTES_MAX, lists_models, names_in
from inferometer.sidecar.naming import ModelLabel
from inferometer.sidecar.record import count_said, count_times, count_tokens
from inferometer.sidecar.silence import Silence, hangs, ran_until
from inferometer.sidecar.tap import (
    Answered,
    Delay,
    Entry,
    Finish,
    Lost,
    Mark,
    RequestBody,
    RequestEnd,
    Stall,
    Started,
    Tapped,
    Upgraded,
)
from inferometer.sidecar.traceparent import exemplar_of
from inferometer.sidecar.verdicts import Panel
from inferometer.stream.dialect import Call
from inferometer.stream.events import Event, Finished, Named, Output, Reported, Skipped
from inferometer.stream.outcome import Relay, conclude
from inferometer.stream.request import route
from inferometer.stream.stretch import Stretch
from inferometer.stream.summary import Answer, Summary
from inferometer.stream.timeline import Arrival, State, Timeline

if TYPE_CHECKING:
    from inferometer.sidecar.desk import Desk
    from inferometer.stream.decode import Decoder

SECOND_NS: Final = 1_000_000_000
MARK_WEIGHT: Final = 8
"""How many usual tokens any other mark is worth; those of one request cost some forty."""
_HEARD: Final = frozenset((Finished, Reported, Named, Skipped))
SAID_MAX: Final = 64
"""Finish reasons and reports that are kept of one answer; further ones are not counted."""


class Watch:
    """Follows one exchange from its start to its finish."""

    def __init__(self, desk: "Desk", tapped: Tapped, t0_ns: int, started: Started) -> None:
        """Start with what the request head says."""
        self.t0_ns = t0_ns
        self.weight = 0
        self.call: Call | None = None
        self.timeline: Timeline | None = None
        self._exemplar = exemplar_of(started)
        self.panel = Panel(desk.bench.tally, self._exemplar)
        self.label = ModelLabel(desk)
        self.tunnel = False
        self.started = started
        self._desk = desk
        self._tapped = tapped
        self._prefix: list[bytes] = []
        self._body_ns: int | None = None
        self._decoder: Decoder | None = None
        self._answer = Answer()
        self._answered: Answered | None = None
        self._answered_ns: int | None = None
        self._instruments: Instruments | None = None
        self._stretch: Stretch | None = None
        self._skipped: str | None = None
        self._listing: list[bytes] | None = None
        self._listing_room = BYTES_MAX
        self._lost = False
        self._prefix_cut = False
        self._silence = Silence()
        self._said: list[Finished | Reported] = []

    @property
    def waiting(self) -> bool:
        """Whether a first output is still to come."""
        return self.timeline is None or self.timeline.state is State.WAITING

    def take(self, entries: Sequence[Entry]) -> int:
        """Take what happened next; return what that weighs, in usual tokens.

        Nearly all of it is one more token like the last, and such are taken together.
        """
        place, usual, size = 0, 0, len(entries)
        while place < size:
            try:
                if self._stretch is not None:
                    start, place = place, self._stretch.take(entries, place)
                    usual += place - start
                    if place == size:
                        break
                _, moment_ns, mark = entries[place]
                _TAKES[type(mark)](self, moment_ns, mark)
            except Exception as error:  # noqa: BLE001  (what one mark breaks stays with it)
                self._desk.count_error("registry", error)
            place += 1
        weight = usual + (size - usual) * MARK_WEIGHT
        self.weight += weight
        return weight

    def request_body(self, _moment_ns: int, mark: RequestBody) -> None:
        """Keep a part of the request body until it is read; what follows a loss tells nothing."""
        if not self._prefix_cut:
            self._prefix.append(mark.data)

    def request_end(self, moment_ns: int, mark: RequestEnd) -> None:
        """Read what the request asks for: its body is complete."""
        self._body_ns = moment_ns
        if self.call is None:
            self._read_call(mark.size)

    def delayed(self, _moment_ns: int, mark: Delay) -> None:
        """Count what a sampled chunk waited."""
        self._desk.chunk_delay.add(mark.duration_ns / SECOND_NS)

    def lost(self, moment_ns: int, _mark: Lost) -> None:
        """Take that parts of the request body were dropped, or of the answer once it is read."""
        if self.call is None:
            self._prefix_cut = True
        else:
            self._lose(moment_ns)

    # -- the request -----------------------------------------------------------------------------

    def _read_call(self, body_bytes: int) -> None:
        """Read what the request asks for, once; `body_bytes` bounds the tokens of its prompt."""
        desk = self._desk
        started = self.started
        body, self._prefix = b"".join(self._prefix), []
        self.call = desk.read_call(started, body)
        self.timeline = Timeline(self.call, t0_ns=self.t0_ns, stall_s=desk.stall_s)
        if self._body_ns is not None:
            self.timeline.body_done(self._body_ns)
        self.label.ask(self.call.model)
        self.panel.seat(desk.bench.judges(started, self.call, self.t0_ns))
        if self._body_ns is not None and self.panel.judges:
            # The bytes of a compressed body are no bound of its tokens.
            compressed = b"content-encoding" in started.fields
            self.panel.body_done(self._body_ns, None if compressed else body_bytes)

    def sweep(self, now_ns: int) -> None:
        """Count the verdicts that are certain by now."""
        timeline = self.timeline
        if timeline is not None and not self._tapped.paused:
            self._take_silence(timeline, now_ns)
        self.panel.sweep(ran_until(timeline, now_ns))

    def _quiet(self, timeline: Timeline, now_ns: int) -> None:
        """Take a silence that ended without output, as if somebody had looked right before."""
        if hangs(timeline, now_ns):
            self._take_silence(timeline, now_ns)
            self.panel.sweep(now_ns)

    def _take_silence(self, timeline: Timeline, now_ns: int) -> None:
        """Take a silence, unless output may have been missed meanwhile."""
        if self._lost or self._skipped or self._tapped.muted:
            return
        since_ns = self._silence.take(timeline, now_ns)
        if since_ns is not None:
            self.panel.gap(since_ns, now_ns)

    # -- the answer ------------------------------------------------------------------------------

    def answered(self, moment_ns: int, mark: Answered) -> None:
        """Prepare to read the answer."""
        if self.call is None:
            self._read_call(sum(map(len, self._prefix)))
        self._answered = mark
        self._answered_ns = moment_ns
        if lists_models(self.started, mark):
            self._listing = []
        call = self.call
        assert call is not None
        self._decoder = self._desk.make_decoder(call, mark)
        if self._decoder is None or self._decoder.opaque is not None:
            self.panel.blind(moment_ns)

    def body(self, moment_ns: int, data: bytes) -> None:
        """Read a part of the answer."""
        timeline = self.timeline
        decoder = self._decoder
        if timeline is None:
            return
        timeline.byte(moment_ns)
        if self._listing is not None:
            self._listing.append(data[: self._listing_room])
            self._listing_room -= len(self._listing[-1])
            return
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
            self.panel.blind(moment_ns)
            return
        if decoder.call is not self.call:
            self.call = decoder.call  # the stream told its dialect, where the route did not
            self._instruments = None
        if decoder.streamed:
            self._stretch = self._stretch_on(timeline, decoder)

    def _stretch_on(self, timeline: Timeline, decoder: "Decoder") -> Stretch | None:
        """Return what takes reads like the last in one go, once there was a gap between such."""
        usual = decoder.usual
        if usual is None or not timeline.gaps.seconds:
            return None
        run = timeline.run(usual.choice)
        cell = self._bound().inter_chunk
        return Stretch(usual, run, cell, limit_ns=self.panel.alarm_ns) if run else None

    def _fail_parser(self, moment_ns: int, error: Exception) -> None:
        self._desk.count_error("parser", error)
        self._decoder = None  # first: whatever it does now, the end will be recorded
        self._stretch = None
        self._tapped.muted = True
        self._lose(moment_ns)

    def _take_events(self, moment_ns: int, timeline: Timeline, events: Iterable[Event]) -> None:
        for event in events:
            if type(event) is not Output:
                last_ns = timeline.t_last_ns
                if last_ns is not None and last_ns < moment_ns:
                    self._quiet(timeline, moment_ns)
                timeline.take(moment_ns, event)
                if type(event) in _HEARD:
                    self._heard(moment_ns, event)
                continue
            arrival = timeline.take(moment_ns, event)
            if arrival is not None:
                self._arrived(moment_ns, arrival)

    def _arrived(self, moment_ns: int, arrival: Arrival) -> None:
        gap_ns = arrival.gap_ns
        if gap_ns is not None:
            self._bound().inter_chunk.add(gap_ns / SECOND_NS)
            self.panel.gap(moment_ns - gap_ns, moment_ns)
        if arrival.first or arrival.visible:
            self._first(moment_ns, arrival)

    def _first(self, moment_ns: int, arrival: Arrival) -> None:
        wait_s = (moment_ns - self.t0_ns) / SECOND_NS
        if arrival.first:
            self.label.prove(self._answered)
            self._instruments = None
            self._bound().first_token.add(wait_s, 1, self._exemplar)
            self.panel.output(moment_ns)
        if arrival.visible:
            self._bound().first_output.add(wait_s, 1, self._exemplar)

    def _heard(self, moment_ns: int, event: Event) -> None:
        """Keep what is counted at the end, when the model has its label for good."""
        if isinstance(event, Finished | Reported):
            if len(self._said) < SAID_MAX:
                self._said.append(event)
        elif isinstance(event, Named):
            self.label.tell(event.model)
        elif isinstance(event, Skipped):
            self._skipped = self._skipped or event.reason
            self.panel.blind(moment_ns)  # it may have been an output

    def stalled(self, moment_ns: int, mark: Stall) -> None:
        """Take that the client did not read for a while."""
        self._stretch = None
        self._silence.stalled(moment_ns)
        if self.timeline is not None:
            self.timeline.stall(moment_ns - mark.duration_ns, moment_ns)
        self._bound().client_stall.add(mark.duration_ns / SECOND_NS)

    def _lose(self, moment_ns: int) -> None:
        self._lost = True
        self._stretch = None
        if self.timeline is not None:
            self.timeline.dropped()
        if self._decoder is not None:
            self._decoder.dropped()
        self.panel.blind(moment_ns)

    def upgraded(self, _moment_ns: int, _mark: Upgraded) -> None:
        """Take that only bytes will pass from now on."""
        self.tunnel = True
        self._tapped.muted = True

    # -- labels ----------------------------------------------------------------------------------

    @property
    def _is_other(self) -> bool:
        return self.call is None or self.call.operation == "other" or self.tunnel

    def _bound(self) -> Instruments:
        if self._instruments is None:
            call = self.call or OPAQUE
            operation = "other" if self.tunnel else call.operation
            self._instruments = self._desk.instruments(self.label.value, operation, call.stream)
        return self._instruments

    # -- the end ---------------------------------------------------------------------------------

    def finish(self, moment_ns: int, mark: Finish) -> None:
        """Conclude: outcome, summary, verdicts."""
        if self.call is None:
            self._read_call(mark.request_bytes)
        if mark.lost:
            self._lose(moment_ns)
        timeline, call = self.timeline, self.call
        assert timeline is not None
        assert call is not None
        if self._listing is not None and mark.cause == "complete" and not self._lost:
            self._desk.stage("parser", self._learn_models, self._listing)
        self._close_decoder(moment_ns, timeline, clean=mark.cause == "complete")
        unseen = self._tapped.muted and self._answered is not None and mark.response_bytes > 0
        if unseen and mark.cause == "complete":
            timeline.byte(moment_ns)
        self._quiet(timeline, moment_ns)
        conclusion = conclude(self._relay_end(moment_ns, mark), self._answer, timeline.seen)
        self._stretch = None
        summary = timeline.finish(conclusion.outcome, conclusion.moment_ns, answer=self._answer)
        self._desk.stage("registry", self._record, summary, mark, call)
        self.panel.end(summary)

    def _learn_models(self, listing: Sequence[bytes]) -> None:
        self._desk.learn_models(names_in(listing))

    def _relay_end(self, moment_ns: int, mark: Finish) -> Relay:
        answered = self._answered
        if answered is None:
            return Relay(mark.cause, moment_ns)
        status = answered.status
        retry_after = status >= 400 and b"retry-after" in answered.fields  # noqa: PLR2004
        return Relay(mark.cause, moment_ns, status, self._answered_ns, retry_after)

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
        outputs, tokens = summary.output_events, summary.output_tokens
        self.label.conclude(self._answered, outputs=outputs, tokens=tokens)
        self._instruments = None
        bound = self._bound()
        if mark.status:
            desk.responses(mark.status).add()
        if mark.sent_ns is not None:
            desk.count_head(mark.sent_ns - self.t0_ns, mark.dial_ns)
        desk.request_bytes.add(mark.request_bytes)
        desk.response_bytes.add(mark.response_bytes)
        self._count_unparsed(call)
        if not self._is_other:
            count_times(bound, summary, call, self._exemplar, silence_ns=self._silence.longest_ns)
            count_tokens(bound, summary, answered=self._answered is not None)
            count_said(bound, call.dialect, self._said)
        if summary.usage_rejected:
            desk.usage_rejected.add(summary.usage_rejected)
        bound.requests(summary.outcome).add()  # last: whoever is counted has all its numbers

    def _count_unparsed(self, call: Call) -> None:
        reason = "tunnel" if self.tunnel else self._answer.opaque or self._skipped
        if reason is None:
            return
        quiet = route(self.started.method, self.started.target).quiet  # has nothing to be read
        if self.tunnel or not quiet:
            self._desk.count_unparsed(call.dialect, reason)


_TAKES: Final[Mapping[type[Mark], Callable[[Watch, int, Any], None]]] = {
    Started: lambda *_: None,  # a watch is made with it, and nothing more follows
    bytes: Watch.body,
    RequestBody: Watch.request_body,
    RequestEnd: Watch.request_end,
    Answered: Watch.answered,
    Delay: Watch.delayed,
    Stall: Watch.stalled,
    Lost: Watch.lost,
    Upgraded: Watch.upgraded,
    Finish: Watch.finish,
}
"""What each kind of mark does to its watch."""
