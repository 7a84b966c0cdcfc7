"""SLOs as Sloth reads them: `prometheus/v1`, events counted over its template of a window.

Sloth reads a query as a Go template, and Prometheus the labels of an alert as another one, so what
a user wrote must look like text to both.
Source: Sloth 0.16, pkg/prometheus/api/v1, and pkg/common/validation for what it refuses.
"""

import re
from collections.abc import Iterator
from typing import Final

from inferometer.slo import names
from inferometer.slo.counts import Counts, counts
from inferometer.slo.document import Class, Document, Foreign
from inferometer.slo.names import Options
from inferometer.slo.promql import Expr, Selector, aggregate, binary, call, number
from inferometer.slo.yaml_text import Data

ALERT: Final = "SLOBurn"
PERIODS_DAYS: Final = (28, 30)
"""Windows that Sloth knows without a catalogue of one's own."""
NAME: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]*[A-Za-z0-9]")
_ALWAYS_THERE: Final = frozenset({names.REQUESTS, names.TOKENS})
"""Counters of ours, whose absence tells that nothing is measured."""
_OPEN: Final = "{{"
_OPEN_AS_TEXT: Final = '{{"{{"}}'


def specification(document: Document, options: Options) -> dict[str, Data] | None:
    """Return the document; None where nothing of it can be said."""
    slos = [slo for one in document.promises if (slo := _slo(document, one, options)) is not None]
    if not slos:
        return None
    return {"version": "prometheus/v1", "service": service(document), "slos": slos}


def name_of(document: Document, one: Class | Foreign) -> str:
    """Return the name of an SLO, with its namespace: ids may be equal in two of them."""
    return f"{document.namespace}--{one.id}" if document.namespace else one.id


def service(document: Document) -> str:
    """Return the service, which Sloth wants as a name; else the name of the document."""
    for name in (document.service, document.name):
        if NAME.fullmatch(name):
            return name
    return f"slo-{document.name}"


def expressible(one: Class | Foreign) -> bool:
    """Tell whether Sloth can count it: events, but no slices of time."""
    return one.weight != "slice"


def _slo(document: Document, one: Class | Foreign, options: Options) -> dict[str, Data] | None:
    counted = counts(document, one, options)
    if counted is None or not expressible(one):
        return None
    total, bad = _queries(counted)
    return {
        "name": name_of(document, one),
        "objective": one.objective,
        "description": f"{one.id} of {document.name}",
        "sli": {"events": {"error_query": bad.text, "total_query": total.text}},
        "alerting": dict(_alerting(document, one)),
    }


def _queries(counted: Counts) -> tuple[Expr, Expr]:
    total = _rate(counted.total)
    if counted.bad is None:
        assert counted.good is not None, counted
        return total, binary(total, "-", _rate(counted.good))
    bad = _rate(counted.bad)
    if counted.bad.metric == counted.total.metric and counted.bad.metric not in _ALWAYS_THERE:
        # A part that never occurred has no series: a true zero while others of it exist.
        bad = binary(bad, "or", binary(number(0), "*", total))
    return total, bad


def _rate(counter: Selector) -> Expr:
    ranged = Expr(f"{_as_text(str(counter))}[{{{{.window}}}}]")
    return aggregate("sum", call("rate", ranged))


def _as_text(text: str) -> str:
    """Return what a Go template prints as `text`."""
    return text.replace(_OPEN, _OPEN_AS_TEXT)


def _alerting(document: Document, one: Class | Foreign) -> Iterator[tuple[str, Data]]:
    """Yield names and labels: alerts of several SLOs of a file must differ."""
    yield "name", ALERT
    known = {"slo": one.id, "namespace": document.namespace, "owner": document.owner}
    labels: Data = {name: _as_text(value) for name, value in known.items() if value}
    yield "labels", labels
    wishes = (("page_alert", document.alerts.page), ("ticket_alert", document.alerts.ticket))
    severities = {"page_alert": "critical", "ticket_alert": "warning"}
    for name, wanted in wishes:
        yield (
            name,
            {"labels": {"severity": severities[name]}} if wanted else {"disable": True},
        )
