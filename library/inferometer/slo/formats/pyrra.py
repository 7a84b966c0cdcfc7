"""SLOs as objects for Pyrra: `pyrra.dev/v1alpha1`, a ratio of counters or a bucket of a histogram.

Pyrra takes its queries apart, so they must be plain selectors: it counts errors, or for a latency
the successes of one bucket.
Source: Pyrra, kubernetes/api/v1alpha1/servicelevelobjective_types.go, its fields and `validate`.
"""

import re
from typing import Final

from inferometer.slo.counts import Counts, counts
from inferometer.slo.document import Class, Document, Foreign
from inferometer.slo.names import Options
from inferometer.slo.promql import Selector, duration, equal
from inferometer.slo.render import Home
from inferometer.slo.windows import DAY_S
from inferometer.slo.yaml_text import Data, number

ALERT: Final = "SLOBurn"
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
"""What Kubernetes takes as the value of a label."""
_WHOLE: Final = re.compile(r"[0-9]+")


def objects(document: Document, options: Options, home: Home) -> list[dict[str, Data]]:
    """Return an object for each SLO that can be said."""
    made = []
    for one in document.promises:
        indicator = _indicator(counts(document, one, options))
        if expressible(one) and indicator is not None and document.window.rolling_days:
            made.append(_object(document, one, indicator, home))
    return made


def name_of(document: Document, one: Class | Foreign) -> str:
    """Return the name of an object, with the namespace of the SLO: ids may be equal in two."""
    return f"{document.namespace}--{one.id}" if document.namespace else one.id


def expressible(one: Class | Foreign) -> bool:
    """Tell whether Pyrra can count it at all: events, but no slices of time."""
    return one.weight != "slice"


def countable(document: Document, one: Class | Foreign, options: Options) -> bool:
    """Tell whether Pyrra can name what is counted."""
    return _indicator(counts(document, one, options)) is not None


def _indicator(counted: Counts | None) -> Data | None:
    """Return the indicator; None where it is no ratio of errors and no bucket of a histogram."""
    if counted is None or not _named(counted.total):
        return None
    total = {"metric": str(counted.total)}
    if counted.bad is not None:
        same = str(counted.bad) == str(counted.total)
        ratio: Data = {"errors": {"metric": str(counted.bad)}, "total": total}
        return {"ratio": ratio} if _named(counted.bad) and not same else None
    if counted.edge is None or counted.good is None:
        return None
    success = {"metric": str(bucket(counted.good, counted))}
    return {"latency": {"success": success, "total": total}}


def _named(counter: Selector) -> bool:
    """Tell whether the name stands before the braces: Pyrra looks for it only there."""
    return not str(counter).startswith("{")


def bucket(counter: Selector, counted: Counts) -> Selector:
    """Return the selector with one spelling of the edge, as Prometheus 3 stores it."""
    assert counted.edge is not None, counted
    plain = number(counted.edge)
    edge = f"{plain}.0" if _WHOLE.fullmatch(plain) else plain
    others = tuple(one for one in counter.matchers if one.label != "le")
    return Selector(counter.metric, (*others, equal("le", edge)))


def _object(
    document: Document, one: Class | Foreign, indicator: Data, home: Home
) -> dict[str, Data]:
    assert document.window.rolling_days is not None, document
    labels: dict[str, Data] = {"app.kubernetes.io/part-of": "inferometer", **dict(home.labels)}
    for name, value in (("owner", document.owner), ("service", document.service)):
        if value and LABEL_VALUE.fullmatch(value):
            labels[f"pyrra.dev/{name}"] = value
    namespace: dict[str, Data] = {"namespace": home.namespace} if home.namespace else {}
    wanted = document.alerts.page or document.alerts.ticket
    return {
        "apiVersion": "pyrra.dev/v1alpha1",
        "kind": "ServiceLevelObjective",
        "metadata": {"name": name_of(document, one), **namespace, "labels": labels},
        "spec": {
            "target": number(one.objective),
            "window": duration(document.window.rolling_days * DAY_S),
            "description": f"{one.id} of {document.name}",
            "indicator": indicator,
            "alerting": {"name": ALERT, "burnrates": wanted, "absent": document.alerts.ticket},
        },
    }
