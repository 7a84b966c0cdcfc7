"""One TPU chip."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from inferometer.gpu.backend import Calls, DeviceError
from inferometer.gpu.binding.integrals import Totals, lacking
from inferometer.gpu.quantities import XID, Gauge, Tier, Total
from inferometer.gpu.sample import Identity, Reading, Reason
from inferometer.gpu.tpu.client import GONE, Answer, Client
from inferometer.gpu.tpu.layout import DUTY, GAUGES, NAMES, SOURCES, Chip, plausible, read

NEVER: Final[Mapping[str, Reason]] = {
    **lacking((*GAUGES.values(), Gauge.MEMORY_FREE_BYTES), SOURCES),
    XID: "backend",
}
LOST: Final = "lost"
STALLED: Final = "stalled"
GONE_MAX: Final = 2
REASONS: Final[Mapping[str, Reason]] = {
    "unimplemented": "not_supported",
    "invalid_argument": "not_supported",
    "not_found": "not_supported",
    "permission_denied": "no_permission",
    "unauthenticated": "no_permission",
}


class TpuDevice:
    """A chip. Each metric is a request, so that one that is not served leaves the others."""

    def __init__(
        self,
        client: Client,
        chip: Chip,
        identity: Identity,
        calls: Calls,
        *,
        clock_ns: Callable[[], int],
    ) -> None:
        """Ask for nothing yet; `clock_ns` is monotonic."""
        self._client = client
        self._chip = chip
        self._identity = identity
        self._calls = calls
        self._clock_ns = clock_ns
        self._totals = Totals(SOURCES)
        self._implausible: dict[str, int] = {}

    @property
    def identity(self) -> Identity:
        """Who it is; busy time is made of duty cycles."""
        return self._identity

    def probe(self) -> Mapping[str, Reason]:
        """Ask for each metric once."""
        answers = self._answers(NAMES)
        told = self._read(answers)
        reasons: dict[str, Reason] = {}
        for metric, gauge in GAUGES.items():
            if gauge not in told:
                outcome = answers[metric].outcome if metric in answers else ""
                reasons[str(gauge)] = REASONS.get(outcome, "no_data")
        for gauge in (Gauge.MEMORY_USED_BYTES, Gauge.MEMORY_TOTAL_BYTES):
            if gauge in reasons:
                reasons[str(Gauge.MEMORY_FREE_BYTES)] = reasons[gauge]
        for source in SOURCES:
            if source.gauge in reasons:
                reasons[str(source.total)] = reasons[source.gauge]
        if Total.BUSY_NS in reasons:
            reasons[str(Total.OBSERVED_NS)] = reasons[Total.BUSY_NS]
        return {**NEVER, **reasons}

    def sample(self, tier: Tier) -> Reading:
        """Ask for what is due. Raises DeviceError if the runtime does not answer at all."""
        due = [metric for metric, name in NAMES.items() if self._calls.due(name, "fast", tier)]
        answers = self._answers(due)
        gauges = self._read(answers)
        totals: dict[Total, int] = {}
        if tier == "fast":
            self._totals.add(gauges, dict.fromkeys(gauges, self._clock_ns()))
            totals = self._totals.read()
        return Reading(gauges=gauges, totals=totals, implausible=dict(self._implausible))

    def alive(self) -> bool:
        """Ask for the duty cycle."""
        return self._ask(DUTY).outcome not in GONE

    def close(self) -> None:
        """Do nothing: the connection is the backend's."""

    def _answers(self, metrics: Iterable[str]) -> dict[str, Answer]:
        """Ask for metrics; a runtime that has not answered twice is not asked any more."""
        answers: dict[str, Answer] = {}
        for metric in metrics:
            answers[metric] = self._ask(metric)
            if [answer.outcome in GONE for answer in answers.values()].count(True) == GONE_MAX:
                break
        self._judge(answers)
        return answers

    def _ask(self, metric: str) -> Answer:
        return self._calls.run(
            NAMES[metric],
            lambda: self._client.ask(metric),
            result=lambda answer: answer.outcome,
        )

    def _read(self, answers: Mapping[str, Answer]) -> dict[Gauge, float]:
        """Take the chip's values out of the answers."""
        gauges: dict[Gauge, float] = {}
        for metric, answer in answers.items():
            value = read(metric, self._chip, answer.metrics)
            if value is None:
                continue
            if plausible(metric, value):
                gauges[GAUGES[metric]] = value
            else:
                name = str(GAUGES[metric])
                self._implausible[name] = self._implausible.get(name, 0) + 1
        used, total = (gauges.get(q) for q in (Gauge.MEMORY_USED_BYTES, Gauge.MEMORY_TOTAL_BYTES))
        if used is not None and total is not None and used <= total:
            gauges[Gauge.MEMORY_FREE_BYTES] = total - used
        return gauges

    def _judge(self, answers: Mapping[str, Answer]) -> None:
        """Raise if the runtime is gone, or has other chips than it had."""
        if not answers:
            return
        outcomes = {answer.outcome for answer in answers.values()}
        if outcomes <= GONE:
            message = f"{self._client.address} does not answer: {min(outcomes)}"
            raise DeviceError(STALLED, message, backend_lost=True)
        heard = [(metric, answer) for metric, answer in answers.items() if answer.outcome == "ok"]
        if heard and all(read(m, self._chip, a.metrics) is None for m, a in heard):
            message = f"{self._client.address} has no chip {self._chip.number}"
            raise DeviceError(LOST, message)
