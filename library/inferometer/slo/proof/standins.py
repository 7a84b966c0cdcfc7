"""SLOs that stand in for those of a user: each lives through one scenario, with its own counters.

They are the user's own classes and metrics under other ids, so the rules rendered for them are
those of the user but for the id. What a selector of the user's ratio picks out is not part of it:
whether that matches anything is known only to a Prometheus.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby
from typing import Final, NamedTuple

from inferometer.slo import names, selector
from inferometer.slo.document import (
    Class,
    Document,
    Foreign,
    GaugeSource,
    HistogramSource,
    RatioSource,
)
from inferometer.slo.promql import Matcher, Selector, equal, string
from inferometer.slo.proof.counters import Counted, Pod, Sample, notation
from inferometer.slo.proof.scenario import Scenario, Subject

NAMESPACE: Final = "prove"
_WHICH: Final = "inferometer_prove"
_PART: Final = "inferometer_part"
_UNREADABLE: Final = "\ufffd"
_PASSED: Final = 3
"""A calendar's window has passed to a third."""

GAUGE: Final = "gauge"
"""The kind of an SLO on a gauge, which is fine or not, and counts minutes."""

Source = HistogramSource | RatioSource | GaugeSource


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """An SLO in a scenario, under an id of its own."""

    id: str
    subject: Subject
    scenario: Scenario
    document: Document
    promise: Class | Foreign

    def renamed(self) -> Document:
        """Return the document that promises what the user promised, and nothing else."""
        one = self.promise
        classes: tuple[Class, ...] = ()
        foreign: tuple[Foreign, ...] = ()
        if isinstance(one, Class):
            classes = (replace(one, id=self.id, name=self.id),)
        else:
            source = _told_apart(one.source, self.id)
            foreign = (replace(one, id=self.id, name=self.id, source=source),)
        return replace(
            self.document, name=self.id, namespace=NAMESPACE, classes=classes, foreign=foreign
        )

    def series(self, minutes: int) -> Iterator[tuple[str, str]]:
        """Yield the counters of all pods, as promtool writes series and their values."""
        for pod in self.scenario.pods:
            seen = tuple(pod.counted())
            if isinstance(self.promise, Foreign) and isinstance(self.promise.source, GaugeSource):
                series = _described(_gauge(self.promise.source, self.id), pod)
                yield series, _gauged(self.promise.source, pod, seen)
                continue
            for counter in _counters(self.promise, self.id):
                samples = pod.samples([counter.number(minute) for minute in seen])
                yield _described(counter.name, pod), notation(_held(samples, pod, minutes))
        if self.scenario.covered:
            seconds = self.subject.promise.window_s
            if self.document.window.calendar:  # its ledger can cover no more than has passed
                seconds //= _PASSED
            for metric in (names.COVERED, names.ELAPSED):
                name = _Name(metric, {"namespace": NAMESPACE, "slo": self.id})
                yield _described(name), f"{seconds}x{minutes}"


class _Name(NamedTuple):
    metric: str
    labels: Mapping[str, str]


class _Counter(NamedTuple):
    """A counter, and what it counts of a minute."""

    name: _Name
    number: Callable[[Counted], int]


def _counters(one: Class | Foreign, slo: str) -> Iterator[_Counter]:
    if isinstance(one, Class):
        yield from _verdicts(one, slo)
    elif isinstance(one.source, HistogramSource):
        labels = {**_readable(one.source.where), _WHICH: slo}
        metric, edge = one.source.metric, _edge(one.source.threshold)
        yield _Counter(_Name(f"{metric}_count", labels), _all)
        yield _Counter(_Name(f"{metric}_bucket", {**labels, "le": edge}), _good)
        yield _Counter(_Name(f"{metric}_bucket", {**labels, "le": "+Inf"}), _all)
    else:
        assert isinstance(one.source, RatioSource), one.source
        yield from _parts(one.source, slo)


def _verdicts(one: Class, slo: str) -> Iterator[_Counter]:
    labels = {"vantage": "sidecar", "namespace": NAMESPACE, "slo": names.counted(one, slo)}
    good = {**labels, "verdict": "good", "reason": "none"}
    bad = {**labels, "verdict": "bad", "reason": "ttft"}
    yield _Counter(_Name(names.REQUESTS, good), _good)
    yield _Counter(_Name(names.REQUESTS, bad), _bad)
    if one.weight == "token":
        yield _Counter(_Name(names.TOKENS, good), lambda minute: minute.good_tokens)
        yield _Counter(_Name(names.TOKENS, bad), lambda minute: minute.bad_tokens)


def _good(minute: Counted) -> int:
    return minute.good


def _bad(minute: Counted) -> int:
    return minute.bad


def _all(minute: Counted) -> int:
    return minute.good + minute.bad


def _held(samples: Sequence[Sample], pod: Pod, minutes: int) -> Sequence[Sample]:
    """Return samples up to the end of a run: a pod that did not vanish stands still."""
    if pod.vanishes:
        return samples
    return [*samples, *[samples[-1]] * max(0, minutes + 1 - len(samples))]


def _described(name: _Name, pod: Pod | None = None) -> str:
    labels = {**name.labels, **({"pod": pod.name} if pod else {})}
    plain = str(Selector(name.metric))
    pairs = ",".join(f"{label}={string(value)}" for label, value in labels.items())
    if plain == name.metric:
        return f"{plain}{{{pairs}}}"
    return f"{plain[:-1]},{pairs}}}"  # a name that must be quoted stands among the labels


def _readable(where: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Return labels without those that no promtool could be given."""
    return {name: value for name, value in where if _UNREADABLE not in value}


def _edge(threshold: Decimal) -> str:
    text = f"{threshold:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _told_apart(source: Source, slo: str) -> Source:
    match source:
        case HistogramSource():
            where = tuple(_readable(source.where).items())
            return replace(source, where=(*where, (_WHICH, slo)))
        case GaugeSource():
            metric, labels = _gauge(source, slo)
            which = tuple(equal(label, value) for label, value in labels.items())
            return replace(source, selector=str(Selector(metric, which)))
    whole, part, word = _selectors(source, slo)
    return RatioSource(
        good=str(part) if word == "good" else None,
        bad=str(part) if word == "bad" else None,
        total=str(whole),
    )


def _selectors(source: RatioSource, slo: str) -> tuple[Selector, Selector, str]:
    """Return selectors of the whole and of its part, on the user's metrics, and which part."""
    word = "bad" if source.bad else "good"
    which: tuple[Matcher, ...] = (equal(_WHICH, slo),)
    whole = Selector(selector.parse(source.total).metric, which)
    part = Selector(
        selector.parse(source.bad or source.good or "").metric, (*which, equal(_PART, word))
    )
    return whole, part, word


def _parts(source: RatioSource, slo: str) -> Iterator[_Counter]:
    whole, part, word = _selectors(source, slo)
    number = {"good": _good, "bad": _bad}
    other = "good" if word == "bad" else "bad"
    yield _Counter(_Name(part.metric, {_WHICH: slo, _PART: word}), number[word])
    if part.metric == whole.metric:
        yield _Counter(_Name(whole.metric, {_WHICH: slo, _PART: other}), number[other])
    else:
        yield _Counter(_Name(whole.metric, {_WHICH: slo}), _all)


def _gauge(source: GaugeSource, slo: str) -> _Name:
    return _Name(selector.parse(source.selector).metric, {_WHICH: slo})


def _gauged(source: GaugeSource, pod: Pod, seen: Sequence[Counted]) -> str:
    """Return the values of a gauge: one off its bound, and none where there was no traffic."""
    aside = 1 if source.operator in {"<", "<="} else -1
    known = {True: f"{source.bound + aside:f}", False: f"{source.bound - aside:f}"}

    def value(minute: int) -> str:
        if minute in pod.lost or minute < pod.born:
            return "_"
        one = seen[minute - 1] if minute else Counted(0, 0, 0, 0)
        return known[is_bad(one)] if one.good + one.bad else "stale"

    runs = groupby(map(value, range(len(seen) + 1)))
    texts = [_repeated(text, len(list(run))) for text, run in runs]
    return " ".join([*texts, "stale"])


def is_bad(one: Counted) -> bool:
    """Tell whether a gauge is off its bound in a minute: where more requests are bad than good."""
    return one.bad > one.good


def _repeated(text: str, count: int) -> str:
    if text == "stale":  # cannot be repeated, and need not be
        return " ".join([text, *([f"_x{count - 1}"] if count > 1 else [])])
    if text == "_":
        return f"_x{count}"
    return text if count == 1 else f"{text}x{count - 1}"


def kind(one: Class | Foreign) -> str:
    """Return how an SLO is counted, as far as rules differ: empty for our own counters."""
    if isinstance(one, Class):
        return ""
    match one.source:
        case HistogramSource():
            return "histogram"
        case GaugeSource():
            return GAUGE
    whole, part, word = _selectors(one.source, "")
    return f"ratio of {word} {'in' if whole.metric == part.metric else 'beside'} total"
