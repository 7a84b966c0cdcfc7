"""Numbers as people read them. What is not known is said in words, and never 0 or 100 %. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from inferometer.prom.answer import Answer, Hold, Zero

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def known(answer: Answer, show: Callable[[Decimal], str]) -> str:
    """Return a number as `show` writes it, or why there is none."""
    if isinstance(answer, Hold):
        return answer.reason.replace("_", " ")
    return show(Decimal(0) if isinstance(answer, Zero) else answer.number)


def percent(ratio: Decimal, digits: int = 3) -> str:
    """Return a ratio as percent, rounded down: 99.9996 % is not 100 %."""
    shown = (100 * ratio).quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR)
    text = f"{shown:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def coarse_percent(ratio: Decimal) -> str:
    """Return a ratio as percent to a tenth, rounded down."""
    return percent(ratio, 1)


def rate(number: Decimal) -> str:
    """Return a burn rate: two digits behind the point where they matter."""
    if 0 < number < Decimal("0.01"):
        return "< 0.01"
    return f"{number:.2f}" if number < 10 else f"{number:.0f}"  # noqa: PLR2004 (digits)


def many(count: int, word: str) -> str:
    """Return how many there are of something: `1 warning`, `2 warnings`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def span(seconds: float | Decimal) -> str:
    """Return a time in its two largest units: `29 d 23 h`, `45 min`."""
    left, parts = int(seconds), []
    for unit, unit_s in _UNITS:
        number, left = divmod(left, unit_s)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
        if len(parts) == 2:  # noqa: PLR2004 (more than two units is noise)
            break
    return " ".join(parts) or "0 s"


def moment(at_s: float) -> str:
    """Return a moment to the minute, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
