"""The metrics of the ledger of error budgets: what is left, how much of it is known, how it is.

They carry the namespace of each SLO themselves, since one ledger serves many: a scrape of it must
keep the labels as they are (`honor_labels: true`). One that counts for a cluster among many names
the cluster, too: `of_cluster` declares that, since an empty label would hide that of a scrape.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from inferometer.metrics.metric import Label, Metric
from inferometer.metrics.recorded import SLOS_MAX
from inferometer.metrics.verdicts import CLASSES_MAX

NAMESPACE: Final = Label("namespace", ("",), CLASSES_MAX)
SLO: Final = Label("slo", (), SLOS_MAX)
CLUSTER: Final = Label("cluster", (), 1)
STAGE: Final = Label("stage", ("documents", "prometheus", "store"))

LEDGER: Final = (
    Metric(
        name="inferometer_slo_budget_remaining_ratio",
        kind="gauge",
        help="Share of the error budget that is left in the window, by the ledger. Time without "
        "samples is not counted as good. Absent without traffic, and while nothing new is known.",
        domains=(NAMESPACE, SLO),
        unit="ratio",
        source="ledger",
    ),
    Metric(
        name="inferometer_slo_ledger_covered_seconds",
        kind="gauge",
        help="Part of the window for which the ledger knows counts. Time before the SLO existed "
        "is not covered.",
        domains=(NAMESPACE, SLO),
        unit="seconds",
        source="ledger",
    ),
    Metric(
        name="inferometer_slo_ledger_elapsed_seconds",
        kind="gauge",
        help="Part of the window that has passed: all of a rolling one, a calendar's since it "
        "began, at most its nominal length. As much can be covered.",
        domains=(NAMESPACE, SLO),
        unit="seconds",
        source="ledger",
    ),
    Metric(
        name="inferometer_slo_ledger_success_timestamp_seconds",
        kind="gauge",
        help="When the ledger last counted and stored everything. Absent before the first time.",
        unit="seconds",
        source="ledger",
    ),
    Metric(
        name="inferometer_slo_ledger_failures_total",
        kind="counter",
        help="Passes of the ledger that failed, by what failed: documents that are wrong, a "
        "Prometheus that does not answer or not as a whole, a file that cannot be written.",
        domains=(STAGE,),
        source="ledger",
    ),
)


def of_cluster(metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """Return metrics of which those of the ledger that name an SLO name a cluster before it."""
    named = {one.name for one in LEDGER if SLO in one.domains}
    return {
        name: replace(one, domains=(CLUSTER, *one.domains)) if name in named else one
        for name, one in metrics.items()
    }
