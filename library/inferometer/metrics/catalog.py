"""The catalogue: every metric there is, by name. The single source of names, labels and buckets.

The declarations stand in `requests`, `verdicts`, `ledger`, `programs`, `recorded`, `devices`,
`dcgm` and `exporter`; whoever asks what a metric is called, counts or costs asks here. Reference
pages, panels and rules are held to it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from inferometer.metrics.dcgm import DCGM
from inferometer.metrics.devices import DEVICES
from inferometer.metrics.exporter import EXPORTER
from inferometer.metrics.ladders import CALL, COUNT, FIRST, GAP, LENGTH, OVERHEAD, TOKEN
from inferometer.metrics.ledger import LEDGER
from inferometer.metrics.metric import (
    EXTRA_EDGES_MAX,
    Kind,
    Label,
    Ladder,
    Metric,
    Source,
    edges,
)
from inferometer.metrics.programs import PROCESS, SIDECAR, WEB
from inferometer.metrics.recorded import RECORDED
from inferometer.metrics.requests import (
    CODES,
    NAMES_MAX,
    OUTCOMES,
    REQUESTS,
    USAGE_SOURCES,
)
from inferometer.metrics.verdicts import CLASSES_MAX, VERDICT_PAIRS, VERDICTS

__all__ = [
    "CALL",
    "CLASSES_MAX",
    "CODES",
    "COUNT",
    "EXTRA_EDGES_MAX",
    "FIRST",
    "GAP",
    "LADDERS",
    "LENGTH",
    "METRICS",
    "NAMES_MAX",
    "OUTCOMES",
    "OVERHEAD",
    "TOKEN",
    "USAGE_SOURCES",
    "VERDICT_PAIRS",
    "Kind",
    "Label",
    "Ladder",
    "Metric",
    "Source",
    "edges",
]

LADDERS: Final[Mapping[str, Ladder]] = MappingProxyType(
    {ladder.name: ladder for ladder in (FIRST, TOKEN, LENGTH, GAP, COUNT, OVERHEAD, CALL)}
)
"""Every ladder by its name."""

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            *REQUESTS,
            *VERDICTS,
            *LEDGER,
            *SIDECAR,
            *DEVICES,
            *DCGM,
            *EXPORTER,
            *WEB,
            *PROCESS,
            *RECORDED,
        )
    }
)
"""Every metric by its name, in the order in which a page shows them."""
