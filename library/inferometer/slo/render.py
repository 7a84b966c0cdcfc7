"""Rules as files for what will load them: a Prometheus, an operator of Prometheus, a Mimir.

One file serves all SLOs (`slo.yaml`), one more is made for each document, so that teams may load
theirs apart. The same input gives the same bytes anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from inferometer.slo import alerts, constants, rules
from inferometer.slo.document import Document
from inferometer.slo.names import Options
from inferometer.slo.promql import duration
from inferometer.slo.rule import Alert, Group, Pairs, Rule
from inferometer.slo.shipped import groups, inhibition
from inferometer.slo.windows import lengths_in_use, summed_by_rules
from inferometer.slo.yaml_text import Data, document

Target = Literal["prometheus", "prometheusrule", "mimir"]

GENERIC: Final = "slo.yaml"
"""The file that serves all SLOs."""
MIMIR_RULES_MAX: Final = 20
"""Rules that a group of Mimir may have, unless its operator allows more."""

HEAD: Final = (
    "# Written by `inferometer slo render`: change the SLO documents, then render again.\n"
)
SHIPPED_HEAD: Final = (
    "# Written by `inferometer slo render --shipped`: set limits as docs/alerts.md tells.\n"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written, by its name in the folder that the user named."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Home:
    """Where an operator's objects go: `namespace` empty is the one they are applied in."""

    namespace: str = ""
    labels: Pairs = ()


def render(
    documents: Sequence[Document], target: Target, options: Options, *, home: Home = Home()
) -> tuple[File, ...]:
    """Return the files for all SLOs and for each document, in the order of the documents."""
    return (
        generic(target, options, lengths_in_use(tuple(documents)), home=home),
        *(
            _file(document_name(one), constants.groups(one, options), target, home)
            for one in documents
        ),
    )


def generic(
    target: Target, options: Options, lengths_days: Sequence[int], *, home: Home = Home()
) -> File:
    """Return the file with the rules and alerts for all SLOs."""
    groups = (rules.generic(options, lengths_days), alerts.generic(options, lengths_days))
    return _file(GENERIC, groups, target, home)


def shipped(target: Target, options: Options, *, home: Home = Home()) -> tuple[File, ...]:
    """Return the files that need no document, those for Alertmanager in a folder of their own.

    A Prometheus that loads every file of the folder must not find what is no rule.
    """
    rule_files = (("serving.yaml", groups.serving(options)), ("gpu.yaml", groups.gpus(options)))
    notifying = (
        ("inhibition.yaml", inhibition.configuration()),
        ("alertmanagerconfig.yaml", inhibition.configuration_object()),
    )
    return (
        generic(target, options, lengths_in_use(()), home=home),
        *(_file(name, found, target, home, SHIPPED_HEAD) for name, found in rule_files),
        *(File(f"alertmanager/{name}", SHIPPED_HEAD + document(one)) for name, one in notifying),
    )


def document_name(one: Document) -> str:
    """Return the name of a document's file; `--` cannot stand inside of an id."""
    return f"slo-{'--'.join(filter(None, (one.namespace, one.name)))}.yaml"


def notes(documents: Sequence[Document], target: Target) -> tuple[str, ...]:
    """Return what the files cannot say, for the user to know."""
    found = []
    for one in documents:
        if one.classes:
            found.append(
                f"{one.name}: which requests belong to a class, and what makes them good, is judged"
                " by the sidecar: give it the same document"
            )
        if not summed_by_rules(one.window):
            found.append(
                f"{one.name}: rules cannot sum up its window: its budget comes from the ledger"
            )
    if target == "mimir":
        found.append(
            f"mimir: by default it refuses groups of more than {MIMIR_RULES_MAX} rules, and these"
            " cannot be split: raise -ruler.max-rules-per-rule-group"
        )
        found.append(
            "mimir: LLMSLOWindowTruncated needs the metrics of a Prometheus, which Mimir is not"
        )
    return tuple(found)


def _file(name: str, groups: Sequence[Group], target: Target, home: Home, head: str = HEAD) -> File:
    return File(name, head + document(WRAPPERS[target](name, groups, home)))


def _prometheus(name: str, groups: Sequence[Group], home: Home) -> Mapping[str, Data]:
    del name, home
    return {"groups": [_group(group) for group in groups]}


def _mimir(name: str, groups: Sequence[Group], home: Home) -> Mapping[str, Data]:
    """Return groups in a namespace of their file: mimirtool takes none from two files at once."""
    return {"namespace": _object_name(name), **_prometheus(name, groups, home)}


def _object_name(name: str) -> str:
    return f"inferometer-{name.removesuffix('.yaml')}"


def _prometheusrule(name: str, groups: Sequence[Group], home: Home) -> Mapping[str, Data]:
    metadata: dict[str, Data] = {"name": _object_name(name)}
    if home.namespace:
        metadata["namespace"] = home.namespace
    labels = {"app.kubernetes.io/part-of": "inferometer", **dict(home.labels)}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {**metadata, "labels": labels},
        "spec": _prometheus(name, groups, home),
    }


WRAPPERS: Final = {
    "prometheus": _prometheus,
    "prometheusrule": _prometheusrule,
    "mimir": _mimir,
}
"""What makes a document of groups, by target."""


def _group(group: Group) -> Mapping[str, Data]:
    return {
        "name": group.name,
        "interval": duration(group.interval_s),
        "rules": [_rule(rule) for rule in group.rules],
    }


def _rule(rule: Rule | Alert) -> Mapping[str, Data]:
    return dict(_alert_fields(rule) if isinstance(rule, Alert) else _record_fields(rule))


def _record_fields(rule: Rule) -> Iterator[tuple[str, Data]]:
    yield "record", rule.record
    yield "expr", rule.expr.text
    if rule.labels:
        yield "labels", dict(rule.labels)


def _alert_fields(alert: Alert) -> Iterator[tuple[str, Data]]:
    yield "alert", alert.name
    yield "expr", alert.expr.text
    if alert.for_s:
        yield "for", duration(alert.for_s)
    if alert.keep_firing_for_s:
        yield "keep_firing_for", duration(alert.keep_firing_for_s)
    yield "labels", {"severity": alert.severity, **dict(alert.labels)}
    yield "annotations", dict(alert.annotations)
