"""A device that several may hold, as an `Attribution` sees it: ticks of one second."""

from typing import Any

from inferometer.gpu.pods.attribution import Attribution
from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.tick import ShareTotal, Tick

A, B, C = (Holder("serving", pod, "vllm") for pod in "abc")
SECOND = 1_000_000_000
GIB = 1 << 30


class Device:
    """Feeds ticks of one second."""

    def __init__(self, **kinds: Any) -> None:
        self.now_ns = 0
        self.shares = Attribution(**({"processes": False} | kinds))

    def tick(self, **values: Any) -> None:
        known = {"dt_ns": SECOND, "busy_ns": SECOND // 2, "energy_mj": 300_000, "used_bytes": GIB}
        tick = Tick(**(known | values))
        self.now_ns += max(0, tick.dt_ns)
        self.shares.take(tick, self.now_ns)

    def idle(self, seconds: int, *, energy_mj: int = 50_000, **values: Any) -> None:
        for _ in range(seconds):
            self.tick(busy_ns=0, energy_mj=energy_mj, **values)

    def total(self, share: str, holder: Holder | None = None) -> ShareTotal | None:
        for total in self.shares.totals():
            if (total.share, total.holder) == (share, holder):
                return total
        return None

    def busy(self, share: str, holder: Holder | None = None) -> int | None:
        total = self.total(share, holder)
        return None if total is None else total.busy_ns

    @property
    def verdict(self) -> tuple[str, str]:
        return self.shares.method, self.shares.reason
