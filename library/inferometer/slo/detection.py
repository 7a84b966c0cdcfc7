"""How soon each SLO of a document would be told, and the smallest error that anybody hears of."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from inferometer.slo.constants import promise
from inferometer.slo.document import Document, Slice
from inferometer.slo.guard import per_minute
from inferometer.slo.model import (
    RATE_PER_MINUTE,
    Traffic,
    first_minute,
    of_severity,
    outage,
    smallest_share,
)
from inferometer.slo.windows import DAY_S, length_s

HALF: Final = Decimal("0.5")
_OUTAGES_MAX: Final = 64


class Detection(NamedTuple):
    """Minutes until somebody is paged, and shares of bad requests above which somebody is told.

    At some rate of requests; None where nobody would be, or where the document wants no such alert.
    """

    slo: str
    namespace: str
    objective_percent: Decimal
    window_days: int
    weight: str
    outage_pages_min: int | None
    half_pages_min: int | None
    smallest_page: Decimal | None
    smallest_ticket: Decimal | None

    def words(self) -> str:
        """Return it as one sentence."""
        return (
            f"100 % outage pages {_after(self.outage_pages_min)}, 50 % "
            f"{_after(self.half_pages_min)}; smallest error that pages "
            f"{_percent(self.smallest_page)}, that tickets {_percent(self.smallest_ticket)}"
        )

    def data(self) -> Mapping[str, str | int | float | None]:
        """Return it as JSON can hold it."""
        return {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in self._asdict().items()
        }


def detections(document: Document, *, rate: int = RATE_PER_MINUTE) -> Iterator[Detection]:
    """Yield what is known about each SLO of a document, in its order, at `rate` per minute."""
    wishes, pages = document.alerts, of_severity("critical")
    for one in document.promises:
        known, sliced, each = promise(document, one), one.slice, per_minute(one, rate)
        whole, half = (_outage(share, sliced, each) for share in (Decimal(1), HALF))
        page = smallest_share("critical", known, sliced, rate=each)
        ticket = smallest_share("warning", known, sliced, rate=each)
        yield Detection(
            slo=one.id,
            namespace=document.namespace,
            objective_percent=one.objective,
            window_days=length_s(document.window) // DAY_S,
            weight=one.weight,
            outage_pages_min=first_minute(pages, known, whole) if wishes.page else None,
            half_pages_min=first_minute(pages, known, half) if wishes.page else None,
            smallest_page=_possible(page) if wishes.page else None,
            smallest_ticket=_possible(ticket) if wishes.ticket else None,
        )


@lru_cache(maxsize=_OUTAGES_MAX)
def _outage(share: Decimal, one: Slice | None, rate: int) -> Traffic:
    return outage(share, one, rate=rate)


def _possible(share: Decimal) -> Decimal | None:
    """Return a share of bad requests; None for one that not even a total outage reaches."""
    return share if share < 1 else None


def _after(minutes: int | None) -> str:
    if minutes is None:
        return "never"
    hours, rest = divmod(minutes, 60)
    return f"in {hours} h {rest} min" if hours else f"in {rest} min"


def _percent(share: Decimal | None) -> str:
    return "none" if share is None else f"{float(100 * share):.3g} %"
