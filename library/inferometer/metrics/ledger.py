"""The metrics of the ledger of error budgets: what is left, how much of it is known, how it is.

They carry the namespace of each SLO themselves, since one ledger serves many: a scrape of it must
keep the labels as they are (`honor_labels: true`).
"""

from typing import Final

from inferometer.metrics.metric import Label, Metric
from inferometer.metrics.recorded import SLOS_MAX
from inferometer.metrics.verdicts import CLASSES_MAX

NAMESPACE: Final = Label("namespace", ("",), CLASSES_MAX)
SLO: Final = Label("slo", (), SLOS_MAX)
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
