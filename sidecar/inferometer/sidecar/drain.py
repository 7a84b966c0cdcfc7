"""The end of a sidecar as a state machine: serving, not ready, draining, cutting, gone.

    serving    --ask-->     not_ready   readiness is false, the listener stays open for `delay_s`
    not_ready  --delay over, or idle with the upstream gone-->
    draining                listener closed, answers say `Connection: close`, streams run on
    draining   --nothing under way-->   gone
    draining   --`timeout_s` since ask-->     cutting   streams are aborted as `drain_cut`
    cutting    --nothing under way, or `cut_s` later-->   gone

Each state has its limit, so the whole never takes longer than `timeout_s + cut_s`. Pure: the time
comes in as an argument, and whoever drives it acts on the phases.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

Phase = Literal["serving", "not_ready", "draining", "cutting", "gone"]

CUT_S: Final = 1.0
"""How long aborted streams may take to be accounted for."""
ECHO_S: Final = 0.1
"""A further signal so soon after the first is the same one: `timeout` of GNU coreutils, for one,
signals its child and then the whole group of processes."""


@dataclass(slots=True)
class Drain:
    """How far a sidecar is on its way out."""

    delay_s: float
    timeout_s: float
    phase: Phase = "serving"
    _begun_s: float = field(default=0.0, repr=False)
    _cut_s: float = field(default=0.0, repr=False)

    def ask(self, now_s: float) -> bool:
        """Take a signal to stop: the first one leaves `serving`.

        Returns whether it is a further one, which asks for the end without delay.
        """
        if self.phase == "serving":
            self.phase = "not_ready"
            self._begun_s = now_s
        return now_s - self._begun_s > ECHO_S

    def step(self, now_s: float, *, busy: int, upstream_gone: bool) -> Phase:
        """Move on as far as the time and the exchanges under way allow; return the phase."""
        waited_s = now_s - self._begun_s
        if self.phase == "not_ready":
            needless = upstream_gone and not busy
            if waited_s >= min(self.delay_s, self.timeout_s) or needless:
                self.phase = "draining"
        if self.phase == "draining":
            if not busy:
                self.phase = "gone"
            elif waited_s >= self.timeout_s:
                self.phase = "cutting"
                self._cut_s = now_s
        elif self.phase == "cutting" and (not busy or now_s - self._cut_s >= CUT_S):
            self.phase = "gone"
        return self.phase
