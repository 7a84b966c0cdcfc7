"""The two things that a sampler's thread does with time, so that tests can do them otherwise."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """`now_ns` is of no particular beginning, as `time.perf_counter_ns`."""

    now_ns: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep
