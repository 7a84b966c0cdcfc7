"""Alerts on how long requests take, for models that no SLO speaks of, and on odd replicas.

What counts as slow stands in `facts`, since it must be the edge of a bucket; the share of slow
requests is what users set.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Matching,
    Selector,
    aggregate,
    binary,
    call,
    chain,
    equal,
    number,
    vector,
)
from inferometer.slo.shipped.facts import MEAN, SLOW, TIMED
from inferometer.slo.shipped.places import MODEL, model_key, space
from inferometer.slo.shipped.record import SIDECAR, Declare, Declared, Fires, Limit, above, enough

_TEN_S: Final = 600
_SHARE: Final = "{{ $value | humanizePercentage }}"
_MEDIAN: Final = number(Decimal("0.5"))
_PEERS: Final = number(3)

_LATE: Final = Limit(
    alert="LLMTTFTHigh",
    default=Decimal("0.01"),
    unit="ratio",
    meaning="share of streams that wait longer than 2.5 s for their first token",
    source="MLPerf Inference: 2 s at the 99th percentile; 2.5 s is the next bucket edge",
)
_SLOW: Final = Limit(
    alert="LLMTPOTHigh",
    default=Decimal("0.01"),
    unit="ratio",
    meaning="share of answers that take longer than 200 ms for each token",
    source="MLPerf Inference: 200 ms, in its interactive scenario 40 ms",
)
_STALLED: Final = Limit(
    alert="LLMDecodeStalls",
    default=Decimal("0.01"),
    unit="ratio",
    meaning="share of streams with a silence of more than 1 s after the first token",
    source="Etalon: a stall in mid-answer is worse than a slow one",
)


class _Words(NamedTuple):
    means: str
    summary: str
    description: str


def ttft_high(options: Options) -> Declared:
    """Return the alert on first tokens that are late; those who left before count, too."""
    words = _Words(
        "Too many streams of a model wait longer than 2.5 s for their first token.",
        f"{_SHARE} of the streams of {MODEL} wait more than 2.5 s for a first token",
        f"{_SHARE} waited more than 2.5 s, those who gave up after that included.",
    )
    return _slow(_LATE, "ttft", words, options)


def tpot_high(options: Options) -> Declared:
    """Return the alert on answers that are written slowly."""
    words = _Words(
        "Too many answers of a model are written more slowly than people read.",
        f"{_SHARE} of the answers of {MODEL} take more than 200 ms a token",
        f"{_SHARE} of the answers came at less than five tokens a second.",
    )
    return _slow(_SLOW, "tpot", words, options)


def decode_stalls(options: Options) -> Declared:
    """Return the alert on answers that stop for a second or more."""
    words = _Words(
        "Too many answers of a model stop for more than a second before they go on.",
        f"{_SHARE} of the streams of {MODEL} stall for more than a second",
        f"{_SHARE} of the streams had a silence of more than 1 s after their first token. Clients"
        " that did not read are not in there.",
    )
    return _slow(_STALLED, "gap", words, options)


def _slow(limit: Limit, of: str, words: _Words, options: Options) -> Declared:
    slow, every = (vector(Selector(name, (equal("of", of),))) for name in (SLOW, TIMED))
    rule = Fires(
        severity="warning",
        expr=binary(above(binary(slow, "/", every), limit), "and", enough(slow)),
        summary=words.summary,
        description=words.description,
        for_s=_TEN_S,
    )
    return Declared(
        name=limit.alert,
        means=words.means,
        source=limit.source,
        needs=(SIDECAR,),
        board="inferometer-serving",
        variables=(*space(options), "model"),
        limits=(limit,),
        rules=(rule,),
    )


_TIMES: Final = Limit(
    alert="LLMReplicaOutlier",
    default=Decimal(2),
    unit="times",
    meaning="mean of one replica, compared with the median of all replicas of the model",
    source="vLLM's dashboard of instances",
)


def replica_outlier(options: Options) -> Declared:
    """Return the alert on a replica that is slower than its peers."""
    key, mean = (*model_key(options), "of"), vector(MEAN)
    median = call(f"quantile by ({', '.join(key)}) ", _MEDIAN, mean)
    times = binary(mean, "/", median, Matching(on=key, left=()))
    peers = binary(aggregate("count", mean, by=key), ">=", _PEERS)
    return Declared(
        name="LLMReplicaOutlier",
        means="One replica of a model is much slower than the others.",
        source="vLLM's dashboard of instances",
        needs=(SIDECAR,),
        board="inferometer-replicas",
        variables=(*space(options), "model", "pod"),
        limits=(_TIMES,),
        rules=(
            Fires(
                severity="warning",
                expr=chain("and", [above(times, _TIMES), peers], Matching(on=key)),
                summary="{{ or $labels.pod $labels.instance }} is {{ $value | humanize }} times"
                f" slower than the other replicas of {MODEL}",
                description="Its mean {{ $labels.of }} is {{ $value | humanize }} times the median"
                " of all replicas. A balancer that does not know sends it as much work.",
                for_s=_TEN_S,
            ),
        ),
    )


LATENCY_ALERTS: Final[tuple[Declare, ...]] = (
    ttft_high,
    tpot_high,
    decode_stalls,
    replica_outlier,
)
