"""Figures of several rounds: the middle, the ends, and ratios taken within a round."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of the rounds."""

    median: float
    least: float
    greatest: float

    def text(self, digits: int = 2) -> str:
        """Write it as `median [least to greatest]`."""
        return f"{self.median:.{digits}f} [{self.least:.{digits}f} to {self.greatest:.{digits}f}]"


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of the known values, None when none is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(median(known), min(known), max(known))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide round by round: machines drift, and both had the same minute."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True) if other]


def differences(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """Subtract round by round, where both are known."""
    return [
        mine - other
        for mine, other in zip(ours, theirs, strict=True)
        if mine is not None and other is not None
    ]


def show(value: Spread | None, digits: int = 2) -> str:
    """Write a spread; what is not known is a dash."""
    return "-" if value is None else value.text(digits)


def middle(found: Spread | None) -> float | None:
    """Return the median of a spread, None when there is none."""
    return None if found is None else found.median
