"""OpenSLO documents become ours: one document for each SLO, with a metric for each objective.

References may go from file to file, so all objects are read together. What OpenSLO can say and we
cannot count is refused with its reason; what changes nothing here (policies of alerting) is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from inferometer.documents import DUPLICATE, Items, Node, Report, Table, closest, shown
from inferometer.errors import Place
from inferometer.schema import Record, Value, one_of
from inferometer.slo.classes import INCOMPLETE, VALUES_MAX
from inferometer.slo.document import Document, Window
from inferometer.slo.openslo.goals import METHODS, Setting, read_goal
from inferometer.slo.openslo.indicators import Indicator, Shelf, read_indicator, read_inline, refer
from inferometer.slo.openslo.objects import (
    ALERTING,
    IGNORED,
    Object,
    ignore,
    not_taken,
    read_object,
    short_text,
)
from inferometer.slo.openslo.windows import read_window


def read(values: Iterable[Value], warnings: Report) -> Mapping[Place, Document]:
    """Return the document of each SLO that can be read, by its place.

    What is wrong goes to the report of its value, what is ignored to `warnings`.
    """
    objects = [one for one in map(read_object, values) if one is not None]
    shelf, services = Shelf(), set()
    for one in _named(objects, "DataSource"):
        shelf.sources[one.name] = _read_source_type(one.spec) or ""
    for one in _named(objects, "SLI"):
        shelf.indicators[one.name] = read_indicator(one.spec, shelf)
    for one in _named(objects, "Service"):
        _read_service(one.spec)
        services.add(one.name)
    reader = _Reader(shelf, frozenset(services), warnings)
    found = {}
    for one in objects:
        if one.kind in ALERTING:
            reader.ignored(one.place, one.kind)
        elif one.kind == "SLO":
            found[one.place] = reader.read(one)
    return found


def _named(objects: Iterable[Object], kind: str) -> Iterator[Object]:
    """Yield the objects of a kind; each name may be taken once."""
    first: dict[str, Place] = {}
    for one in objects:
        if one.kind != kind:
            continue
        if one.name and one.name in first:
            hint = f"the first one is at {first[one.name]}"
            message = f"the name {shown(one.name)} is taken by another {kind}"
            one.spec.report.add(one.place, message, hint=hint, code=DUPLICATE)
            continue
        first[one.name] = one.place
        yield one


def _read_source_type(spec: Value) -> str | None:
    """Read which system a data source is; how to reach it stays unread, as it may be secret."""
    record = Record(spec)
    kind = record.need("type", short_text)
    ignore(record, "description", "connectionDetails")
    record.close()
    return kind


def _read_service(spec: Value) -> None:
    if isinstance(spec.node, Table):
        record = Record(spec)
        ignore(record, "description")
        record.close()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads SLOs, with what they may refer to."""

    shelf: Shelf
    services: frozenset[str]
    warnings: Report

    def read(self, one: Object) -> Document:
        """Return the document of an SLO, without what has been reported."""
        report = one.spec.report
        record = Record(one.spec)
        ignore(record, "description")
        service = record.need("service", short_text) or ""
        window = record.take("timeWindow", read_window) or Window()
        indicator = self._indicator(record, report)
        method = record.need("budgetingMethod", one_of(*METHODS))
        if method == "RatioTimeslices":
            message = "RatioTimeslices averages the ratios of slices, whatever their traffic"
            hint = "take Occurrences, or Timeslices with a target for each slice"
            not_taken(report, record.place_of("budgetingMethod"), message, hint)
        goals = record.need("objectives", _read_entries) or ()
        setting = Setting(one.name, indicator, method, several=len(goals) > 1)
        metrics = [read_goal(Value("the objective", goal, report), setting) for goal in goals]
        self._look_aside(record, service)
        record.close()
        return Document(
            name=one.name,
            namespace=one.notes.namespace,
            owner=one.notes.owner,
            service=service,
            window=window,
            alerts=one.notes.alerts,
            classes=(),
            foreign=tuple(metric for metric in metrics if metric is not None),
            place=one.place,
        )

    def _indicator(self, record: Record, report: Report) -> Indicator | None:
        shelf = self.shelf
        inline = record.take("indicator", lambda one: read_inline(one, shelf))
        named = record.take("indicatorRef", lambda one: refer(one, shelf))
        if ("indicator" in record) == ("indicatorRef" in record):
            message = "an SLO needs either indicator or indicatorRef"
            hint = "indicators in objectives make a composite, which is not taken"
            report.add(record.place, message, hint=hint, code=INCOMPLETE)
            return None
        return named if inline is None else inline

    def _look_aside(self, record: Record, service: str) -> None:
        """Tell what is ignored, and a service that is called otherwise where services are given."""
        policies = record.node("alertPolicies")
        if policies is not None and not (isinstance(policies, Items) and not policies.items):
            self.ignored(policies.place, "alertPolicies")
        near = closest(service, self.services) if service not in self.services else ""
        if near:
            place = record.place_of("service")
            message = f"no Service is called {shown(service)}"
            self.warnings.add(place, message, hint=f"did you mean {near!r}?", code=IGNORED)

    def ignored(self, place: Place, what: str) -> None:
        """Tell that something changes nothing."""
        message = f"{what} is ignored: each SLO is alerted on by several windows here"
        hint = "who is told say the annotations inferometer/page and inferometer/ticket"
        self.warnings.add(place, message, hint=hint, code=IGNORED)


def _read_entries(value: Value) -> tuple[Node, ...] | None:
    if isinstance(value.node, Items) and 1 <= len(value.node.items) <= VALUES_MAX:
        return value.node.items
    hint = f"it has {len(value.node.items)}" if isinstance(value.node, Items) else ""
    value.refuse(f"a list of 1 to {VALUES_MAX} objectives", hint=hint)
    return None
