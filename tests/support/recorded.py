"""The series that rules record of an SLO, minute by minute, as OpenMetrics, and what is true."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

MINUTE_S: Final = 60
OVERLAP: Final = 5


class Minute(NamedTuple):
    """What a 5-minute rule recorded at one evaluation; None is no sample."""

    total: int | None
    bad: int | None


@dataclass(frozen=True)
class Recorded:
    """One SLO, evaluated each minute at `offset_s` from `start_s` to before `end_s`."""

    slo: str
    start_s: int
    end_s: int
    of: Callable[[int], Minute]
    namespace: str = "llm"
    offset_s: float = 17.25
    labels: str = ""

    def minutes(self) -> Iterator[tuple[float, Minute]]:
        """Yield the moment and what was recorded."""
        for at_s in range(self.start_s, self.end_s, MINUTE_S):
            yield at_s + self.offset_s, self.of(at_s)

    def truth(self, start_s: float, end_s: float) -> tuple[Decimal, Decimal, int]:
        """Return total, bad and covered seconds of a time, exactly."""
        known = [
            minute
            for at_s, minute in self.minutes()
            if start_s <= at_s < end_s and minute.total is not None and minute.bad is not None
        ]
        total = sum((Decimal(m.total or 0) for m in known), Decimal(0)) / OVERLAP
        bad = sum((Decimal(m.bad or 0) for m in known), Decimal(0)) / OVERLAP
        return total, bad, len(known) * MINUTE_S


def lines(slos: Iterable[Recorded]) -> Iterator[str]:
    """Yield the recorded series of SLOs in the OpenMetrics format."""
    known = tuple(slos)
    for name, part in (("total", 0), ("bad", 1)):
        yield f"# TYPE inferometer:slo_{name}:increase5m gauge"
        for slo in known:
            labels = f'namespace="{slo.namespace}",slo="{slo.slo}"{slo.labels}'
            for at_s, minute in slo.minutes():
                if minute[part] is not None:
                    yield f"inferometer:slo_{name}:increase5m{{{labels}}} {minute[part]} {at_s:.3f}"
    yield "# EOF"


def gauges(values: Mapping[str, float], moments: Iterable[float]) -> Iterator[str]:
    """Yield gauges that have the same value at some moments, without the end of the text."""
    every = tuple(moments)
    for series, value in values.items():
        for at_s in every:
            yield f"{series} {value} {at_s:.3f}"
