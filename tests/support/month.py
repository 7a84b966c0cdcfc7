"""A month of requests as a scraper sees it: pods that come and go, lost scrapes, two incidents.

Traffic has the shape of a day, with one empty hour each night. What really happened is counted
exactly; what is scraped are counters that start at 0, each pod at its own moment.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

DAY_S: Final = 86400
START_S: Final = 1_700_006_400
"""A midnight."""
DAYS: Final = 30
PEAK_PER_S: Final = 2.0
"""Requests of one pod at noon."""
RESTART_S: Final = 3 * DAY_S
LOST_SHARE: Final = 0.0005
INCIDENTS: Final = ((9.4, 9.45, 0.9), (20.3, 21.1, 0.04))
"""Begin and end in days, and the share of bad requests."""
USUAL_BAD: Final = 0.001


@dataclass
class Month:
    """Samples of some pods, and after they are all written the truth about them."""

    interval_s: int
    pods: int
    seed: int = 1
    good: int = 0
    bad: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def end_s(self) -> int:
        """The moment at which the month is over."""
        return START_S + DAYS * DAY_S

    @property
    def error_ratio(self) -> Decimal:
        """The share of bad requests, exactly."""
        return Decimal(self.bad) / (self.good + self.bad)

    def lines(self) -> Iterator[str]:
        """Yield the counters in the OpenMetrics format."""
        yield "# TYPE inferometer_slo_requests counter"
        for pod in range(self.pods):
            yield from self._pod(pod)
        yield "# EOF"

    def _pod(self, pod: int) -> Iterator[str]:
        """Yield what one pod shows: both counters, from 0 after each restart."""
        name, born_s, good, bad, owed = f"pod-{pod}", 0.0, 0, 0, 0.0
        down = lost = 0
        lives_s = self._random.uniform(0.5, 1.5) * RESTART_S
        offset_s = pod * self.interval_s / self.pods
        for step in range(DAYS * DAY_S // self.interval_s):
            now_s = step * self.interval_s + offset_s
            if now_s - born_s > lives_s:
                born_s, good, bad, down = now_s, 0, 0, 4
                lives_s = self._random.uniform(0.5, 1.5) * RESTART_S
                if self._random.random() < 0.5:  # a new pod, or the same one again
                    name = f"pod-{pod}-{step}"
            down, lost = max(0, down - 1), max(0, lost - 1)
            if down:
                continue
            if step and now_s - born_s > 4 * self.interval_s:  # it starts by showing zeros
                new, failed, owed = self._happened(now_s, owed)
                good, bad = good + new - failed, bad + failed
                self.good += new - failed
                self.bad += failed
            if self._random.random() < LOST_SHARE:
                lost = 3
            if not lost:
                yield from self._lines(name, START_S + now_s, good, bad)

    def _happened(self, now_s: float, owed: float) -> tuple[int, int, float]:
        """Return requests of one interval, how many were bad, and the fraction that is left."""
        owed += per_second(now_s) * self.interval_s * self._random.uniform(0.5, 1.5)
        new = int(owed)
        return new, self._failed(new, bad_share(now_s)), owed - new

    def _failed(self, new: int, share: float) -> int:
        """Draw how many of some requests are bad, each for itself: from one to the next bad one."""
        failed, at = 0, -1
        while True:
            at += 1 + int(math.log(1 - self._random.random()) / math.log(1 - share))
            if at >= new:
                return failed
            failed += 1

    def _lines(self, pod: str, at_s: float, good: int, bad: int) -> Iterator[str]:
        labels = f'vantage="sidecar",namespace="llm",slo="chat-all",pod="{pod}"'
        name = "inferometer_slo_requests_total"
        yield f'{name}{{{labels},verdict="good",reason="none"}} {good} {at_s:.3f}'
        yield f'{name}{{{labels},verdict="bad",reason="ttft"}} {bad} {at_s:.3f}'


def per_second(now_s: float) -> float:
    """Return the rate of requests of a pod: the shape of a day, nothing from 3 to 4 o'clock."""
    hour = now_s % DAY_S / 3600
    if 3 <= hour < 4:
        return 0.0
    return PEAK_PER_S * (1 - math.cos(2 * math.pi * (hour - 3.5) / 24)) / 2


def bad_share(now_s: float) -> float:
    """Return the share of bad requests."""
    day = now_s / DAY_S
    return next((share for begin, end, share in INCIDENTS if begin <= day < end), USUAL_BAD)
