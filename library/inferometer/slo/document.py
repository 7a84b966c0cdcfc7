"""An SLO document as frozen records, with the places that later messages need.

Durations are whole nanoseconds, shares are percent as `Decimal`, and None or an empty tuple means
that the document does not say. How they are written in YAML is known by `spec` and `classes`.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from inferometer.errors import Place
from inferometer.stream.summary import Outcome

Objective = Literal["ttft", "tpot", "itl", "gap", "e2e", "fluidity"]

BAD_OUTCOMES: Final[tuple[Outcome, ...]] = (
    "rejected",
    "upstream_error",
    "stream_error",
    "truncated",
    "timeout",
    "drain_cut",
    "proxy_error",
)
"""Outcomes that are bad unless a class takes them off its list."""

OURS: Final[frozenset[Outcome]] = frozenset({"drain_cut", "proxy_error"})
"""Failures of our own, which no class can take off its list."""

SECOND_NS: Final = 10**9


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Limit of the wait for the first token: `base_ns`, and more for each uncached prompt token.

    It counts from the request head, or with `from_body` from the end of the request body.
    """

    base_ns: int
    per_1k_prompt_tokens_ns: int = 0
    from_body: bool = False


@dataclass(frozen=True, slots=True)
class InterToken:
    """At least `share` percent of the tokens came within `within_ns` of the one before."""

    within_ns: int
    share: Decimal = Decimal(99)


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """Limit of the whole request, counted like `FirstToken`."""

    limit_ns: int
    from_body: bool = False


@dataclass(frozen=True, slots=True)
class Fluidity:
    """Share (0 to 1) of tokens on time, slack carried over; `first_ns` None is the ttft limit."""

    first_ns: int | None
    each_ns: int
    minimum: Decimal
    place: Place


@dataclass(frozen=True, slots=True)
class Good:
    """What makes a request good: ALL that is stated must hold. `gap_ns` bounds every gap."""

    ttft: FirstToken | None = None
    tpot_ns: int | None = None
    itl: InterToken | None = None
    gap_ns: int | None = None
    fluidity: Fluidity | None = None
    e2e: EndToEnd | None = None
    errors: tuple[Outcome, ...] = BAD_OUTCOMES

    @property
    def needs_stream(self) -> bool:
        """Tell whether a token objective is stated."""
        tokens = (self.ttft, self.tpot_ns, self.itl, self.gap_ns, self.fluidity)
        return any(objective is not None for objective in tokens)

    def applies(self, *, streamed: bool) -> bool:
        """Tell whether something of it says something about such a request.

        A class without any time limit is about errors only, which every request can have.
        """
        return streamed or self.e2e is not None or not self.needs_stream


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a class takes: keys are AND, the values of one are OR, empty is any.

    Values are exact or a glob with `*`. `header` is a name in lower case and its values.
    """

    model: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    stream: bool | None = None
    header: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Headers:
    """Request headers that change deadlines, within `clamp` times the limits of the class."""

    ttft: str | None
    tpot: str | None
    clamp: tuple[Decimal, Decimal]
    place: Place


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice of time counts as good if `good_share` percent of its requests are."""

    length_ns: int
    good_share: Decimal


@dataclass(frozen=True, slots=True)
class Class:
    """One promise: `objective` percent of the matching requests are good. `id` is the SLO id."""

    name: str
    id: str
    place: Place
    match: Match
    objective: Decimal
    good: Good
    weight: Literal["request", "token", "slice"]
    weight_place: Place
    slice: Slice | None
    headers: Headers | None

    @property
    def objective_ratio(self) -> float:
        """The promise as a ratio: 0.99, not 99."""
        return float(self.objective / 100)

    def thresholds_s(self) -> dict[Objective, float]:
        """Return every limit in seconds: the base where it grows, fluidity's time for a token."""
        good = self.good
        limits_ns: dict[Objective, int | None] = {
            "ttft": good.ttft.base_ns if good.ttft else None,
            "tpot": good.tpot_ns,
            "itl": good.itl.within_ns if good.itl else None,
            "gap": good.gap_ns,
            "e2e": good.e2e.limit_ns if good.e2e else None,
            "fluidity": good.fluidity.each_ns if good.fluidity else None,
        }
        return {name: ns / SECOND_NS for name, ns in limits_ns.items() if ns is not None}


@dataclass(frozen=True, slots=True)
class HistogramSource:
    """A histogram of somebody else: observations up to `threshold` are good."""

    metric: str
    threshold: Decimal
    where: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RatioSource:
    """Counters of somebody else, as PromQL selectors; one of `good` and `bad` is None."""

    good: str | None
    bad: str | None
    total: str


@dataclass(frozen=True, slots=True)
class GaugeSource:
    """A gauge of somebody else, as a selector: fine while its worst series keeps to `bound`.

    The worst series is the highest for an upper bound, the lowest for a lower one.
    """

    selector: str
    operator: Literal["<", "<=", ">", ">="]
    bound: Decimal


@dataclass(frozen=True, slots=True)
class Foreign:
    """A promise about metrics that we do not emit: of events, or of slices of time.

    A gauge counts minutes inside of slices, so it always has `slice`.
    """

    name: str
    id: str
    place: Place
    objective: Decimal
    source: HistogramSource | RatioSource | GaugeSource
    slice: Slice | None = None

    @property
    def weight(self) -> Literal["event", "slice"]:
        """Return what the objective is a percentage of."""
        return "event" if self.slice is None else "slice"


@dataclass(frozen=True, slots=True)
class Window:
    """The time over which a budget is counted: rolling days, or a calendar unit of a timezone.

    `place` is where the timezone stands, else the window; None where the document has neither.
    """

    rolling_days: int | None = 30
    calendar: Literal["week", "month", "quarter"] | None = None
    timezone: str = "UTC"
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Alerts:
    """Who is told; `min_bad` bad requests are needed in the long window of a pair."""

    min_bad: int = 10
    page: bool = True
    ticket: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """One SLO document. `namespace`, `owner` and `service` are empty where it does not say."""

    name: str
    namespace: str
    owner: str
    service: str
    window: Window
    alerts: Alerts
    classes: tuple[Class, ...]
    foreign: tuple[Foreign, ...]
    place: Place

    @property
    def promises(self) -> tuple[Class | Foreign, ...]:
        """Return everything that has an SLO id, in the order of the document."""
        return (*self.classes, *self.foreign)
