"""Where moments come from: one record to be passed in, so that tests have their own."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

NS: Final = 10**9
"""Nanoseconds of a second."""


class Clock(NamedTuple):
    """CLOCK_MONOTONIC, which is one for all processes of a machine, and the time of day."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    wall_s: Callable[[], float] = time.time
