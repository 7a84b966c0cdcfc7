"""What each SLO counts, as selectors of counters: for the formats of others, which add the rest."""

from dataclasses import dataclass
from decimal import Decimal

from inferometer.slo import names, selector
from inferometer.slo.constants import le_regex
from inferometer.slo.document import Class, Document, Foreign, GaugeSource, HistogramSource
from inferometer.slo.names import Options
from inferometer.slo.promql import Matcher, Selector, any_of, equal


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of everything and of one part of it: `bad` or `good`, the other is None.

    `edge` is the bucket edge of a histogram whose `good` part it is.
    """

    total: Selector
    bad: Selector | None = None
    good: Selector | None = None
    edge: Decimal | None = None


def counts(document: Document, one: Class | Foreign, options: Options) -> Counts | None:
    """Return what an SLO counts; None for a gauge, which counts nothing.

    Slices of time are not part of it: what is counted inside of them is returned. Clusters are
    counted together.
    """
    cluster = (any_of("cluster", options.clusters),) if options.clusters else ()
    if isinstance(one, Class):
        return _of_class(document, one, options, cluster)
    source = one.source
    if isinstance(source, GaugeSource):
        return None
    if isinstance(source, HistogramSource):
        where = (*cluster, *(equal(name, value) for name, value in source.where))
        edge = Matcher("le", "=~", le_regex(source.threshold))
        return Counts(
            total=Selector(f"{source.metric}_count", where),
            good=Selector(f"{source.metric}_bucket", (*where, edge)),
            edge=source.threshold,
        )
    part = selector.parse(source.bad or source.good or "").where(*cluster)
    total = selector.parse(source.total).where(*cluster)
    return Counts(total, bad=part) if source.bad else Counts(total, good=part)


def _of_class(
    document: Document, one: Class, options: Options, cluster: tuple[Matcher, ...]
) -> Counts:
    counter = options.counter(names.TOKENS if one.weight == "token" else names.REQUESTS)
    where = (*cluster, equal("namespace", document.namespace), equal("slo", names.counted(one)))
    judged = any_of("verdict", ("good", "bad"))
    return Counts(
        total=counter.where(*where, judged), bad=counter.where(*where, equal("verdict", "bad"))
    )
