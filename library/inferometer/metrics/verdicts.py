"""The metrics of service level objectives: each request judged once, and the promises themselves.

They carry the names of the user's own SLO documents, which bound them; clients cannot add to them.
"""

from typing import Final

from inferometer.metrics.metric import Label, Metric
from inferometer.metrics.requests import VANTAGE

BAD_REASONS: Final = ("error", "ttft", "gap", "itl", "tpot", "e2e", "fluidity")
EXCLUDED_REASONS: Final = ("client_cancel", "client_error", "unmeasured", "probe", "unlisted")
VERDICT_PAIRS: Final = (
    ("good", "none"),
    *(("bad", reason) for reason in BAD_REASONS),
    *(("excluded", reason) for reason in EXCLUDED_REASONS),
)
"""Every (verdict, reason) there is. Each exists from the start with a true 0, so that the first
increment is seen by `rate`."""

CLASSES_MAX: Final = 64
"""SLO classes that one sidecar judges."""

SLO: Final = Label("slo", ("request_header",), CLASSES_MAX)
DOCUMENT: Final = Label("document", (), CLASSES_MAX)
VERDICT: Final = Label("verdict", ("good", "bad", "excluded"))
REASON: Final = Label("reason", ("none", *BAD_REASONS, *EXCLUDED_REASONS))
OBJECTIVE: Final = Label("objective", ("ttft", "tpot", "itl", "gap", "e2e", "fluidity"))

VERDICTS: Final = (
    Metric(
        name="inferometer_slo_requests_total",
        kind="counter",
        help="Requests judged, each once per SLO, when the verdict became certain. Excluded ones "
        "are neither good nor bad; those that no class took are not here. Names in --requests are "
        "of classes that count slices of time; request_header is for deadlines in headers that no "
        "class took over.",
        domains=(VANTAGE, SLO, VERDICT, REASON),
    ),
    Metric(
        name="inferometer_slo_tokens_total",
        kind="counter",
        help="Output tokens of judged requests, for token-weighted classes only. A bad request "
        "weighs at least the mean of the good ones so far, so that an outage costs budget.",
        domains=(VANTAGE, SLO, VERDICT, REASON),
        unit="tokens",
    ),
    Metric(
        name="inferometer_slo_unmatched_total",
        kind="counter",
        help="Requests that no class of the document took, by document. Routes that generate "
        "nothing are not here.",
        domains=(VANTAGE, DOCUMENT),
    ),
    Metric(
        name="inferometer_slo_header_clamped_total",
        kind="counter",
        help="Deadlines in request headers that lay outside what the class allows and were moved "
        "to its bound. Unreadable ones are not here.",
        domains=(VANTAGE, SLO),
    ),
    Metric(
        name="inferometer_waiting_over_slo",
        kind="gauge",
        help="Requests without output that are past their limit to the first token now.",
        domains=(SLO,),
    ),
    Metric(
        name="inferometer_slo_objective_ratio",
        kind="gauge",
        help="Share of requests, of tokens or of slices of time that is promised to be good.",
        domains=(SLO,),
        unit="ratio",
    ),
    Metric(
        name="inferometer_slo_threshold_seconds",
        kind="gauge",
        help="Limit of one objective of an SLO. A limit that grows with the prompt shows its "
        "base. Fluidity shows its time for each token.",
        domains=(SLO, OBJECTIVE),
        unit="seconds",
    ),
    Metric(
        name="inferometer_slo_edges_pending",
        kind="gauge",
        help="1 if limits that were declared since the start are no bucket edges before the next "
        "start. Verdicts already follow them.",
    ),
)
