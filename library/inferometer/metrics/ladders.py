"""The ladders of bucket edges, in seconds where no other unit is said."""

from typing import Final

from inferometer.metrics.metric import Ladder

# fmt: off
FIRST: Final = Ladder("FIRST", (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
    0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
))
"""Waits for a first answer; contains the edges that OpenTelemetry asks for."""

TOKEN: Final = Ladder("TOKEN", (
    0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06,
    0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
))
"""Times per token; contains the edges that OpenTelemetry asks for."""

LENGTH: Final = Ladder("LENGTH", (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56,
    5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
))
"""Durations of whole requests, up to 11 minutes; contains the edges that OpenTelemetry asks for."""

GAP: Final = Ladder("GAP", (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0,
))
"""Silences inside a stream."""

COUNT: Final = Ladder("COUNT", (
    1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0,
    16384.0, 32768.0, 65536.0, 131072.0, 262144.0, 1048576.0,
))
"""Tokens."""

OVERHEAD: Final = Ladder("OVERHEAD", (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
))
"""Times that we add, from 50 microseconds."""

CALL: Final = Ladder("CALL", (0.00002, 0.0001, 0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0))
"""Calls of a driver; those above 2 ms are made less often, and above 50 ms rarely."""
# fmt: on
