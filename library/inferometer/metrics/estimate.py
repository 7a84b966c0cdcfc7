"""Quantiles from histograms, also where some waits ended before the answer came.

Pure arithmetic for boards, autoscaling and the live page. Counts are those of each bucket by
itself and may be fractions, as rates are. Edges ascend; the last one is +Inf.
"""

from collections.abc import Sequence
from math import isinf


def quantile(edges: Sequence[float], counts: Sequence[float], q: float) -> float | None:
    """Return the `q` quantile, interpolated inside its bucket; None where there is no sample.

    In the last bucket it is the highest finite edge, a lower bound.
    Source: Prometheus, `histogram_quantile` for classic histograms.
    """
    return kaplan_meier(edges, counts, [0.0] * len(counts), q)


def kaplan_meier(
    edges: Sequence[float], events: Sequence[float], censored: Sequence[float], q: float
) -> float | None:
    """Return the `q` quantile of waits of which some were given up before they were answered.

    `events` are answered waits, `censored` those given up: they tell only that the answer would
    have taken longer. None is unknown: there is no sample, or so many gave up that the quantile
    lies beyond every answer. Without censored waits this is `quantile`.
    Source: Kaplan and Meier, Nonparametric Estimation from Incomplete Observations, 1958.
    """
    assert 0 <= q <= 1, q
    assert len(edges) == len(events) == len(censored), (edges, events, censored)
    if len(edges) < 2:  # noqa: PLR2004 - one bucket, +Inf, tells a mean and nothing else
        return None
    start, share = 0.0, 1.0
    for edge, after, happened in zip(edges, survival(events, censored), events, strict=True):
        if happened > 0 and after <= 1 - q:
            if isinf(edge) or edge <= 0:
                return start if isinf(edge) else edge
            return start + (edge - start) * (share - (1 - q)) / (share - after)
        start, share = edge, after
    return None


def survival(events: Sequence[float], censored: Sequence[float]) -> list[float]:
    """Return for each bucket the share of waits that last longer than its upper edge.

    Inside a bucket answers come before waits given up, so that the share is never too high.
    """
    at_risk = sum(events) + sum(censored)
    share = 1.0
    shares: list[float] = []
    for answered, gave_up in zip(events, censored, strict=True):
        if answered > 0:
            share *= max(0.0, 1 - answered / at_risk)
        at_risk -= answered + gave_up
        shares.append(share)
    return shares
