"""One request as moments and counts: first token, gaps, tokens, and the summary at its end.

A table of states says what an event does; everything else is arithmetic on moments that are
passed in. An arrival is the set of output events of one choice at one moment, so how the bytes
were cut changes nothing. What may not happen here: reading bytes, clocks, deciding the outcome
(`stream.outcome`).
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from inferometer.stream.dialect import CHOICES_MAX, Call
from inferometer.stream.events import (
    Ended,
    Event,
    Failed,
    Finished,
    Kind,
    Output,
    Rejected,
    Skipped,
    Usage,
)
from inferometer.stream.gaps import Gaps
from inferometer.stream.summary import SECOND_NS, Answer, Outcome, Seen, Summary
from inferometer.stream.tokens import NO_RATE, Count, Stated, UsageSource, Weights

__all__ = ["Answer", "Arrival", "Outcome", "Seen", "State", "Summary", "Timeline", "UsageSource"]


class Arrival(NamedTuple):
    """Output that is the first of a choice at this moment, or that a user sees first.

    `first` and `visible` tell that t_first and t_visible are this moment: true once at most.
    `gap_ns` is the time since the arrival before of the same choice; None if there was none, or
    if it is not the server's (the client stalled, events were lost).
    """

    first: bool
    visible: bool
    gap_ns: int | None


class State(Enum):
    """Where a request stands."""

    WAITING = "waiting"  # no output yet
    STREAMING = "streaming"
    FINISHED = "finished"  # every choice known has finished, its terminator or another may follow
    OVER = "over"  # its terminator or an error came

    __hash__ = object.__hash__  # Enum's own is a function of Python, called for each look-up


NEXT: Final[Mapping[tuple[State, type[Event]], State]] = {
    (State.WAITING, Output): State.STREAMING,
    (State.WAITING, Finished): State.FINISHED,  # an empty answer has no first token, so no sample
    (State.WAITING, Failed): State.OVER,  # nor has this: one count, by reason
    (State.WAITING, Ended): State.OVER,
    (State.STREAMING, Output): State.STREAMING,
    (State.STREAMING, Finished): State.FINISHED,
    (State.STREAMING, Failed): State.OVER,  # the first-token sample stays
    (State.STREAMING, Ended): State.OVER,
    (State.FINISHED, Output): State.STREAMING,  # of a choice that nobody announced
    (State.FINISHED, Finished): State.FINISHED,
    (State.FINISHED, Failed): State.OVER,
    (State.FINISHED, Ended): State.OVER,
    (State.OVER, Failed): State.OVER,
    (State.OVER, Ended): State.OVER,  # `[DONE]` after an error, or twice
}
"""What an event does in a state; Usage and its kind change none.

A missing pair is counted as a breach of protocol and the state stays: we never break serving.
"""


FINISHED_MAX: Final = 1024
"""Finished choices remembered; a request for more needs a terminator to be complete."""


_NO_TOKENS: Final[Sequence[int]] = ()


class _Choice:
    """The latest arrival of one choice, and the slot of the gap that it ended."""

    __slots__ = ("last_ns", "slot")

    def __init__(self) -> None:
        self.last_ns: int | None = None
        self.slot = -1


class Timeline:
    """Takes the events of one request with their moments, which never go back.

    `t0_ns` to `t_last_ns` are the moments of `Summary`, as far as they are known; `last_byte_ns`
    is the latest read of the body, or t0. `state` tells a gauge who waits and who streams.
    """

    def __init__(self, call: Call, *, t0_ns: int, stall_s: float = 1.0) -> None:
        """Start at `t0_ns`, the moment of the read that completed the request head."""
        self.t0_ns = self.last_byte_ns = t0_ns
        self.t_body_ns: int | None = None
        self.t_byte_ns: int | None = None
        self.t_first_ns: int | None = None
        self.t_visible_ns: int | None = None
        self.t_last_ns: int | None = None
        self.state = State.WAITING
        self.breaches = 0
        self.gaps = Gaps(stall_ns=round(stall_s * SECOND_NS))
        self._call = call
        # True while a first output is still to be timed. An echoed prompt tells nothing.
        self._untimed = not call.echo
        self._choices: dict[int, _Choice] = {}
        self._finished: set[int] = set()
        self._events = 0
        self._events_told = 0  # those that came with their tokens
        self._tokens_told = 0
        self._stated = Stated()
        self._partial = False
        self._stalled_until_ns = t0_ns
        self._stall_pending_ns = 0  # since the last output: it counts once another follows
        self._client_stall_ns = 0
        self._failed_ns: int | None = None
        self._ended_ns: int | None = None
        self._finished_ns: int | None = None

    def body_done(self, moment_ns: int) -> None:
        """Note that the request body is complete."""
        self.t_body_ns = moment_ns

    def byte(self, moment_ns: int) -> None:
        """Note a read of response body bytes."""
        if self.t_byte_ns is None:
            self.t_byte_ns = moment_ns
        self.last_byte_ns = moment_ns

    def take(self, moment_ns: int, event: Event) -> Arrival | None:
        """Take one event; return what an observer has to hear at once, if there is anything."""
        if type(event) is Output:
            return self._output(moment_ns, event)
        if isinstance(event, Usage):
            self._stated.take(event)
        elif isinstance(event, Finished):
            self._finish(moment_ns, event)
        elif isinstance(event, Rejected):
            self._stated.rejected += 1
        elif isinstance(event, Skipped):
            self.dropped()
        elif isinstance(event, Failed):
            self._fail(moment_ns)
        elif isinstance(event, Ended):
            self._enter(Ended)
            if self._ended_ns is None:
                self._ended_ns = moment_ns
        return None

    def run(self, index: int) -> "Run | None":
        """Return the outputs of choice `index` as a run, if only gaps follow from further ones.

        None where each has to be taken by itself: a first one is still to be timed, the client had
        not read, nothing streams. A run is void after the next call of any other method.
        """
        choice = self._choices.get(index)
        if (
            choice is None
            or choice.last_ns is None
            or choice.last_ns < self._stalled_until_ns
            or self._untimed
            or self._stall_pending_ns
            or self.state is not State.STREAMING
        ):
            return None
        return Run(self, choice)

    def advance(self, events: int, moment_ns: int) -> None:
        """Take so many outputs of a run, the last at `moment_ns`."""
        self._events += events
        self.t_last_ns = self.last_byte_ns = moment_ns

    def stall(self, start_ns: int, end_ns: int) -> None:
        """Note that reading was paused for a client that did not read.

        Gaps that touch it are not the server's, and what lies between first and last output is
        taken off TPOT; so it must be told before the output that follows it.
        """
        self._stalled_until_ns = max(self._stalled_until_ns, end_ns)
        if self.t_last_ns is not None:
            self._stall_pending_ns += end_ns - start_ns

    def dropped(self) -> None:
        """Note that events were lost: from here on, absence proves nothing.

        A first token that was timed stays; one that was not cannot be any more. No gap spans the
        loss.
        """
        self._partial = True
        self._untimed = False
        for choice in self._choices.values():
            choice.last_ns = None

    @property
    def seen(self) -> Seen:
        """What the events so far say about the end."""
        finished_ns = None if self.state is State.STREAMING else self._finished_ns
        return Seen(self._failed_ns, self._ended_ns, finished_ns, self._events > 0, self._partial)

    def finish(self, outcome: Outcome, moment_ns: int, *, answer: Answer) -> Summary:
        """Return the summary; `moment_ns` is when `outcome` became certain.

        A success ends with its last output, or its last byte where none was streamed:
        terminators, usage and trailers never move the end.
        """
        if outcome == "success" and self.t_byte_ns is not None:
            output_ns = self.t_last_ns if answer.streamed else None
            moment_ns = self.last_byte_ns if output_ns is None else output_ns
        measured = answer.opaque is None and not self._partial
        complete = self._ended_ns is not None or outcome == "success"
        given = self._stated.input(complete=complete)
        made = self._made(answer, complete=complete)
        gaps = self.gaps
        weights, gap_tokens = self._weigh(made, answer) if measured else (None, _NO_TOKENS)
        return Summary(
            outcome=outcome,
            streamed=answer.streamed,
            measured=measured,
            t0_ns=self.t0_ns,
            t_body_ns=self.t_body_ns,
            t_byte_ns=self.t_byte_ns,
            t_first_ns=self.t_first_ns,
            t_visible_ns=self.t_visible_ns,
            t_last_ns=self.t_last_ns,
            t_end_ns=moment_ns,
            input_tokens=given.tokens,
            input_source=given.source,
            cached_input_tokens=self._stated.cached(given),
            reasoning_output_tokens=self._stated.reasoning(made),
            output_tokens=made.tokens,
            output_source=made.source,
            choices=max(self._call.choices, len(self._choices)),
            gaps_s=gaps.seconds,
            gap_tokens=gap_tokens,
            gaps_dropped=gaps.dropped,
            longest_gap_s=gaps.longest_s,
            client_stall_s=self._client_stall_ns / SECOND_NS,
            weights=weights,
            stalls=gaps.stalls,
            output_events=self._events,
            usage_rejected=self._stated.rejected,
            breaches=self.breaches,
        )

    def _output(self, moment_ns: int, event: Output) -> Arrival | None:
        """Take one output: the only event that comes once for each token, so kept short."""
        if self.state is not State.STREAMING and not self._enter(Output):
            return None
        self._events += 1
        kind, index, tokens = event
        if tokens is not None:
            self._events_told += 1
            self._tokens_told += tokens
        choice = self._choices.get(index)
        if choice is None:
            if len(self._choices) >= CHOICES_MAX:
                return None
            choice = self._choices[index] = _Choice()
        first, visible = self._first(moment_ns, kind) if self._untimed else (False, False)
        if self._stall_pending_ns:
            self._client_stall_ns += self._stall_pending_ns
            self._stall_pending_ns = 0
        self.t_last_ns = moment_ns
        last_ns = choice.last_ns
        if last_ns is None:
            choice.slot = -1
        elif moment_ns <= last_ns:
            self.gaps.amend(choice.slot, tokens)
            return Arrival(first, visible, None) if visible else None
        elif last_ns < self._stalled_until_ns:
            choice.slot = -1
            last_ns = None
        else:
            choice.slot = self.gaps.add(moment_ns - last_ns, tokens)
        choice.last_ns = moment_ns
        return Arrival(first, visible, None if last_ns is None else moment_ns - last_ns)

    def _first(self, moment_ns: int, kind: Kind) -> tuple[bool, bool]:
        """Time the first output, and the first visible one; tell which of them this is."""
        first = self.t_first_ns is None
        visible = kind != "reasoning"
        if first:
            self.t_first_ns = moment_ns
        if visible:
            self.t_visible_ns = moment_ns
            self._untimed = False
        return first, visible

    def _finish(self, moment_ns: int, event: Finished) -> None:
        if event.reason in ("error", "abort"):
            self._fail(moment_ns)
            return
        if event.choice is not None:
            if len(self._finished) < FINISHED_MAX:
                self._finished.add(event.choice)
            if len(self._finished) < max(self._call.choices, len(self._choices)):
                return
        if self._enter(Finished):
            self._finished_ns = moment_ns

    def _fail(self, moment_ns: int) -> None:
        self._enter(Failed)
        if self._failed_ns is None:
            self._failed_ns = moment_ns

    def _enter(self, event: type[Event]) -> bool:
        """Change the state as `event` demands; a pair that the table lacks is a breach."""
        state = NEXT.get((self.state, event))
        if state is None:
            self.breaches += 1
            return False
        self.state = state
        return True

    def _made(self, answer: Answer, *, complete: bool) -> Count:
        """Return the output tokens by the best source there is; after a loss only as stated."""
        events = self._events
        count = self._stated.output(complete=complete, output_events=events)
        if count.tokens is not None or not answer.streamed or self._partial or not events:
            return count
        told = self._told(answer)
        if told is None:
            return Count(events, "chunks")
        return Count(told, "token_ids" if answer.tokens_per_output is None else "events")

    def _told(self, answer: Answer) -> int | None:
        """Return the sum of what the output events told; None if one of them told nothing."""
        if self._events_told == self._events:
            return self._tokens_told
        if self._events_told == 0 and answer.tokens_per_output is not None:
            return self._events * answer.tokens_per_output
        return None

    def _weigh(self, made: Count, answer: Answer) -> tuple[Weights | None, Sequence[int]]:
        """Return the tokens of each gap: exact if the events told all of them, else spread."""
        if made.tokens is None or made.source in NO_RATE or not answer.streamed:
            return None, _NO_TOKENS
        if made.tokens == self._events and not self._events_told:
            return "exact", self.gaps.exact(1)  # one token for each event, whoever counted them
        if made.tokens != self._told(answer):
            return "uniform", self.gaps.uniform(made.tokens, self._events)
        return "exact", self.gaps.exact(None if self._events_told else answer.tokens_per_output)


class Run:
    """Outputs of one choice that follow one another, with nothing between them but gaps."""

    __slots__ = ("_choice", "_gaps", "_timeline", "last_ns", "limit_ns", "seconds")

    def __init__(self, timeline: Timeline, choice: _Choice) -> None:
        """Go on where `choice` is."""
        assert choice.last_ns is not None
        self.last_ns = choice.last_ns
        self.seconds = timeline.gaps.seconds
        self.limit_ns = timeline.gaps.stall_ns - 1  # longer ones are more than gaps
        self._choice = choice
        self._gaps = timeline.gaps
        self._timeline = timeline

    @property
    def room(self) -> int:
        """How many more gaps are kept; none are taken beyond that."""
        return self._gaps.room

    def advance(self, events: int, moment_ns: int, longest_ns: int) -> None:
        """Take outputs whose gaps are in `seconds` already, the last at `moment_ns`."""
        self.last_ns = self._choice.last_ns = moment_ns
        self._choice.slot = self._gaps.advance(events, longest_ns)
        self._timeline.advance(events, moment_ns)
