"""What a device, a backend and a child are, and what follows: tables over time, without a clock.

Three machines. `Health` is the child's: may this device be called now, and for what? `stalled` is
the server's: is what we hold of a device still fresh? `Lifecycle` is the server's, too: is there
a child, when is the next one due, does this process have to end? All moments are in seconds of
CLOCK_MONOTONIC and passed in.
"""

from dataclasses import dataclass
from typing import Final, Literal

from inferometer.gpu.sample import BackendState, DeviceState

Task = Literal["probe", "sample", "alive"]

LOST: Final[frozenset[DeviceState]] = frozenset({"lost", "reset_required"})
"""States in which a device gets one cheap call a minute and nothing else."""

EXIT_CODES: Final = frozenset({18, 999})
"""Vendor codes that only a new container cures: library and kernel module differ; unknown error.

Source: NVIDIA/nvidia-container-toolkit#48.
"""
CODE_MISMATCH: Final = 18
"""The library is of another version than the kernel module."""


class Health:
    """One device as its sampler thread sees it."""

    def __init__(self, *, alive_s: float, permission_s: float) -> None:
        """Begin as not probed. The two are how long to leave a sick device alone."""
        self._alive_s = alive_s
        self._permission_s = permission_s
        self._again_s: float | None = None  # when a sick device may be called; None: it is not sick
        self._probe = True
        self.state: DeviceState = "ok"
        self.code: int | None = None
        self.driver_code: int | None = None
        """With what the whole driver fails, 0 where that has no code; None while it does not."""

    def task(self, now_s: float) -> Task | None:
        """Return what to call the device for now; None leaves it in peace."""
        if self._again_s is not None:
            if now_s < self._again_s:
                return None
            if self.state in LOST:
                return "alive"
        return "probe" if self._probe else "sample"

    def probed(self) -> None:
        """Note a probe that went through."""
        self._probe = False

    def probe_again(self) -> None:
        """Have the device probed at the next tick."""
        self._probe = True

    def completed(self) -> None:
        """Note a tick that went through: the device is well."""
        self.state, self.code, self.driver_code = "ok", None, None
        self._again_s = None

    def failed(
        self, state: DeviceState, now_s: float, *, code: int | None = None, driver: bool = False
    ) -> None:
        """Note a device that fails as a whole; "ok" or "stalled" means this tick only.

        `driver` tells that the code means the whole driver.
        """
        self.driver_code = (code or 0) if driver else None
        if state in LOST:
            self._rest(state, now_s + self._alive_s, code)
        elif state == "no_permission":
            self._rest(state, now_s + self._permission_s, code)

    def answered(self, now_s: float, *, alive: bool) -> None:
        """Note what became of the one cheap call to a lost device."""
        if alive:  # it stays lost until a tick has gone through
            self._again_s = None
        else:
            self._again_s = now_s + self._alive_s

    @property
    def resting(self) -> bool:
        """Whether the device is left alone for something that is its own trouble."""
        return self._again_s is not None and self.driver_code is None

    def _rest(self, state: DeviceState, until_s: float, code: int | None) -> None:
        self.state, self.code = state, code
        self._again_s = until_s
        self._probe = True


def stall_after_s(tick_s: float, floor_s: float) -> float:
    """Return how long a call may be under way before its device counts as stalled."""
    return max(3 * tick_s, floor_s)


def stalled(
    now_s: float,
    *,
    call_started_s: float | None,
    ticked_s: float | None,
    limits: tuple[float, float],
) -> bool:
    """Say whether a device is stalled: a call hangs, or no tick has come for longer than that.

    `limits` are the longest time in a call and the tick. The second rule covers a child that says
    nothing at all.
    """
    call_max_s, tick_s = limits
    if ticked_s is None or now_s - ticked_s > call_max_s + tick_s:
        return True
    return call_started_s is not None and now_s - call_started_s > call_max_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long a `Lifecycle` waits."""

    back_off_s: float = 1.0
    back_off_max_s: float = 15.0
    """Between children, once the driver has been there."""
    absent_max_s: float = 30.0
    """The same before: a machine without a GPU starts two children a minute for nothing."""
    healthy_s: float = 10.0
    """A child that lived this long lets the back-off begin anew."""
    released_s: float = 600.0
    """What an operator has to do with the driver is done by then."""
    unbound_s: float = 20.0
    """After a driver said that it is about to leave a device: the others go on being watched."""
    exit_s: float = 60.0
    """How long `EXIT_CODES` must last before the process has to end."""


class Lifecycle:
    """A backend's children, one after the other."""

    def __init__(self, waits: Waits) -> None:
        """Begin with a first child due at once."""
        self._waits = waits
        self._delay_s = waits.back_off_s
        self._opened_s: float | None = None
        self._released_until_s = 0.0
        self._worked = False
        self._exit: tuple[float, float, int] | None = None  # first, latest, code
        self.spawn_at_s: float | None = 0.0
        """When the next child is due; None while there is one."""
        self.state: BackendState = "starting"
        self.reason = ""
        self.ever_ran = False

    def spawned(self) -> None:
        """Note a child that was started."""
        self.spawn_at_s = None

    def opened(self, now_s: float) -> None:
        """Note that the child has the library open and has listed the devices."""
        self.state, self.reason = "running", ""
        self.ever_ran = True
        if self._opened_s is None:
            self._opened_s = now_s

    def worked(self) -> None:
        """Note that calls succeed, which takes back any thought of ending the process."""
        self._worked = True
        self._exit = None

    def ended(self, reason: str, now_s: float, *, code: int | None = None) -> None:
        """Note that the child is over, with the vendor's `code` where it had one."""
        self._judge_exit(code, now_s)
        lived = self._opened_s is not None and now_s - self._opened_s >= self._waits.healthy_s
        self._opened_s = None
        if lived:
            self._delay_s = self._waits.back_off_s
        if self.state != "released":
            self.state = "lost" if self.ever_ran else "absent"
            self.reason = reason
            self.spawn_at_s = now_s + self._delay_s
        longest_s = self._waits.back_off_max_s if self.ever_ran else self._waits.absent_max_s
        self._delay_s = min(2 * self._delay_s, longest_s)

    def release(self, reason: str, now_s: float, *, unbound: bool = False) -> None:
        """Let go of the driver until `resume`, or for `released_s`; `unbound_s` if it leaves."""
        wait_s = self._waits.unbound_s if unbound else self._waits.released_s
        self.state, self.reason = "released", reason
        self._released_until_s = now_s + wait_s
        self.spawn_at_s = self._released_until_s

    def resume(self, now_s: float) -> None:
        """Come back from `release`; without effect otherwise."""
        if self.state == "released":
            self._return(now_s)

    def due(self, now_s: float, *, unkillable: int, unkillable_max: int) -> bool:
        """Say whether to start a child now; too many that cannot be killed forbid it."""
        if self.spawn_at_s is None or now_s < self.spawn_at_s:
            return False
        if self.state == "released":
            self._return(now_s)
        if unkillable >= unkillable_max:
            self.state, self.reason = "stuck", "unkillable"
            return False
        if self.state == "stuck":
            self.state, self.reason = "lost", "unkillable"
        return True

    @property
    def exit_code(self) -> int | None:
        """The vendor's code for which the process has to end, else None."""
        if self._exit is None or self._exit[1] - self._exit[0] < self._waits.exit_s:
            return None
        return self._exit[2]

    def _return(self, now_s: float) -> None:
        self.state, self.reason = "starting", ""
        self._delay_s = self._waits.back_off_s
        self.spawn_at_s = now_s

    def _judge_exit(self, code: int | None, now_s: float) -> None:
        """Remember how long codes that only a new container cures have been all there is.

        An unknown error counts only where the driver has worked before; a mismatch always does. A
        child that says no code (it was killed, say) neither begins nor ends it.
        """
        if code is None:
            return
        if code not in EXIT_CODES or not (self._worked or code == CODE_MISMATCH):
            self._exit = None
            return
        self._exit = (now_s if self._exit is None else self._exit[0], now_s, code)
