"""Whether an alert can come at all, or its guard wants more bad requests than there can be."""

from collections.abc import Iterator, Sequence
from typing import Final

from inferometer.errors import Problem
from inferometer.slo.constants import promise
from inferometer.slo.document import Class, Document, Foreign, GaugeSource
from inferometer.slo.model import of_severity
from inferometer.slo.windows import MINUTE_S, SECONDS, Pair, Promise, limits

CANNOT_FIRE: Final = "E09"


def cannot_fire(documents: Sequence[Document], rate: int) -> Iterator[Problem]:
    """Yield a Problem for each SLO of which a pair of windows can never alert.

    Even if all of `rate` requests a minute are bad, their number must reach `min_bad`. Alerts that
    a document does not want need not come.
    """
    for document in documents:
        for one in document.promises:
            known, each = promise(document, one), per_minute(one, rate)
            mute = [pair for pair in _wanted(document) if not _reachable(pair, known, each)]
            if mute:
                words = ", ".join(f"{pair.name} ({pair.long})" for pair in mute)
                message = (
                    f"{one.id!r} cannot fire in these windows: {words}; at {_words(one, rate)}"
                    f" they never hold {known.min_bad} bad ones"
                )
                yield Problem(one.place, message, _hint(one), code=CANNOT_FIRE)


def per_minute(one: Class | Foreign, rate: int) -> int:
    """Return what an SLO counts in a minute: requests, but a gauge counts the minute itself."""
    return 1 if _is_gauge(one) else rate


def _is_gauge(one: Class | Foreign) -> bool:
    return isinstance(one, Foreign) and isinstance(one.source, GaugeSource)


def _wanted(document: Document) -> tuple[Pair, ...]:
    wishes = document.alerts
    return (
        *(of_severity("critical") if wishes.page else ()),
        *(of_severity("warning") if wishes.ticket else ()),
    )


def _reachable(pair: Pair, known: Promise, each: int) -> bool:
    most = each * SECONDS[pair.long] // MINUTE_S
    return max(limits(pair, known)) < 1 and most >= known.min_bad


def _words(one: Class | Foreign, rate: int) -> str:
    return "one look a minute" if _is_gauge(one) else f"{rate} requests a minute"


def _hint(one: Class | Foreign) -> str:
    hint = "lower alerts.min_bad"
    if _is_gauge(one):
        return hint
    return f"{hint}, or say with --requests-per-minute how many there are"
