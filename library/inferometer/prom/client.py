"""Typed questions to a Prometheus, a Thanos or a Mimir.

Each question is one request and its answer a record, or a `PrometheusError`. Nothing is retried
and nothing is remembered: who asks knows what an answer is worth. Used by one thread.
"""

import re
import ssl
from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Final, NamedTuple, Self
from urllib.parse import quote, urlencode

from inferometer.prom import decode
from inferometer.prom.credentials import Authorization, nobody
from inferometer.prom.decode import Envelope, Result
from inferometer.prom.endpoint import API, Endpoint
from inferometer.prom.errors import PrometheusError
from inferometer.prom.wire import Bounds, Wire

POINTS_MAX: Final = 11_000
"""Steps that Prometheus answers in one range query."""

_TIME: Final = re.compile(r"([0-9]+)(y|w|d|h|m(?!s)|s|ms)")
_UNITS_S: Final = {
    "y": Decimal(365 * 86400),
    "w": Decimal(7 * 86400),
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}


class Runtime(NamedTuple):
    """What a Prometheus says about itself; None where it does not say, as Thanos and Mimir."""

    retention_s: float | None
    retention_by_size: bool
    started: str | None


class ScrapeTarget(NamedTuple):
    """Something that is scraped now, by its labels. `interval_s` None is not known."""

    labels: Mapping[str, str]
    interval_s: float | None
    healthy: bool


class AlertingRule(NamedTuple):
    """A rule that alerts, as its author wrote it, and where it was read from; "" is not known."""

    name: str
    group: str
    file: str
    query: str


class Client:
    """Asks one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        trusted: ssl.SSLContext | None = None,
        authorization: Authorization = nobody,
        tenant: str = "",
        bounds: Bounds | None = None,
    ) -> None:
        """Connect at the first question. `tenant` is the X-Scope-OrgID of a Mimir or Cortex."""
        self.endpoint = endpoint
        self._wire = Wire(endpoint, trusted=trusted, bounds=bounds)
        self._authorization = authorization
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if tenant:
            self._headers["X-Scope-OrgID"] = tenant

    def __enter__(self) -> Self:
        """Return the client, whose connection is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._wire.close()

    def instant(self, expr: str, at_s: float | None = None) -> Result:
        """Return the series of an expression at a moment, now if it is None."""
        moment = {} if at_s is None else {"time": _moment(at_s)}
        return decode.vector(self._post("/query", {"query": expr, **moment}))

    def range(self, expr: str, start_s: float, end_s: float, *, step_s: int) -> Result:
        """Return the values of an expression at each step from `start_s` through `end_s`."""
        assert 0 <= end_s - start_s <= step_s * (POINTS_MAX - 1), (start_s, end_s, step_s)
        span = {"start": _moment(start_s), "end": _moment(end_s), "step": str(step_s)}
        return decode.matrix(self._post("/query_range", {"query": expr, **span}))

    def samples(self, expr: str, at_s: float) -> Result:
        """Return the raw samples of a range selector (`name[5m]`), with their own moments."""
        return decode.matrix(self._post("/query", {"query": expr, "time": _moment(at_s)}))

    def label_values(
        self, label: str, matches: Sequence[str] = (), *, ago_s: int = 0
    ) -> tuple[str, ...]:
        """Return the values that a label has, of series that match; `ago_s` 0 is any time.

        A series is in sight if its block overlaps the time, so some may be older.
        """
        parameters = [("match[]", match) for match in matches]
        if ago_s:
            now_s = self.now_s()
            parameters += [("start", _moment(now_s - ago_s)), ("end", _moment(now_s))]
        query = f"?{urlencode(parameters)}" if parameters else ""
        return decode.texts(self._get(f"/label/{quote(label, safe='')}/values{query}"))

    def kinds(self, metric: str) -> frozenset[str]:
        """Return how targets declare a metric: counter, gauge, ...; empty if nobody does."""
        known = self._get_if_known(f"/metadata?{urlencode({'metric': metric})}")
        found = decode.mapping(known).get(metric, []) if known else []
        return frozenset(
            decode.entries(found, lambda one: str(one["type"]) if "type" in one else None)
        )

    def now_s(self) -> float:
        """Return the time on the clock of the server, which stamps the samples."""
        result = self.instant("time()")
        return result.series[0].last.value

    def left_open(self) -> bool:
        """Tell whether ranges leave out their first moment, as they do since Prometheus 3."""
        result = self.instant("count_over_time(vector(0)[2m:1m])", at_s=600)
        if len(result.series) != 1:
            message = f"{self.endpoint}: does not know subqueries"
            raise PrometheusError(message, reason="bad_answer")
        return result.series[0].last.value < 3  # noqa: PLR2004 (both ends and the middle)

    def runtime(self) -> Runtime:
        """Return what the server says of its own storage; all unknown where it says nothing."""
        known = self._get_if_known("/status/runtimeinfo")
        found = decode.mapping(known) if known else {}
        retention = str(found.get("storageRetention", ""))
        started = found.get("startTime")
        return Runtime(
            retention_s=_retention_s(retention),
            retention_by_size="iB" in retention or retention.endswith("B"),
            started=started if isinstance(started, str) else None,
        )

    def flags(self) -> Mapping[str, str]:
        """Return the flags that the server was started with."""
        found = decode.mapping(self._get("/status/flags"))
        return {str(name): str(value) for name, value in found.items()}

    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Return what is scraped now; empty for a server that does not scrape."""
        known = self._get_if_known("/targets?state=active")
        found = decode.mapping(known) if known else {}
        return decode.entries(found.get("activeTargets", []), _target)

    def alerting_rules(self) -> tuple[AlertingRule, ...]:
        """Return the rules that alert; empty for a server that evaluates none."""
        known = self._get_if_known("/rules?type=alert&exclude_alerts=true")
        found = decode.mapping(known).get("groups") if known else None
        groups = decode.entries(found or [], _rules)
        return tuple(rule for group in groups for rule in group)

    def _get_if_known(self, path: str) -> Envelope | None:
        """Return None for a server that has no such part of the API, as a Mimir has no targets."""
        try:
            return self._get(path)
        except PrometheusError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _get(self, path: str) -> Envelope:
        return self._ask("GET", path, {})

    def _post(self, path: str, form: Mapping[str, str]) -> Envelope:
        body = urlencode(form).encode("ascii")
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, kind, body)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Envelope:
        proof = self._authorization()
        known = {"Authorization": proof} if proof else {}
        reply = self._wire.ask(method, API + path, {**self._headers, **headers, **known}, body)
        try:
            return decode.envelope(reply.body)
        except PrometheusError as error:
            message = f"{self.endpoint}: {error}"
            raise PrometheusError(message, reason=error.reason, hint=error.hint) from None


def whole(result: Result, endpoint: Endpoint) -> Result:
    """Return a result that has no warnings: with one, series may be missing from it."""
    if result.warnings:
        message = f"{endpoint}: its answer may not be whole: {result.warnings[0]}"
        raise PrometheusError(message, reason="partial")
    return result


def _moment(at_s: float) -> str:
    return f"{at_s:.3f}"


def _retention_s(text: str) -> float | None:
    """Read `15d` or `30d or 50GiB`; None for a bound on size only, and for what is not known."""
    return duration_s(text.partition(" or ")[0].strip())


def duration_s(text: str) -> float | None:
    """Return a duration of Prometheus (`1h30m`) in seconds; None for any other text."""
    parts = _TIME.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        return None
    return float(sum((int(number) * _UNITS_S[unit] for number, unit in parts), Decimal(0)))


def _rules(group: Mapping[str, object]) -> tuple[AlertingRule, ...]:
    """Return the alerting rules of a group: without odd ones, which have no query in words."""

    def rule(one: Mapping[str, object]) -> AlertingRule | None:
        query = one.get("query")
        if not isinstance(query, str) or one.get("type") != "alerting":
            return None
        named = (str(one.get("name", "")), str(group.get("name", "")), str(group.get("file", "")))
        return AlertingRule(*named, query)

    found = group.get("rules")
    return decode.entries(found, rule) if isinstance(found, list) else ()


def _target(one: Mapping[str, object]) -> ScrapeTarget | None:
    labels = one.get("labels")
    if not isinstance(labels, dict):
        return None
    interval = one.get("scrapeInterval")
    return ScrapeTarget(
        labels={str(name): str(value) for name, value in labels.items()},
        interval_s=duration_s(interval) if isinstance(interval, str) else None,
        healthy=one.get("health") == "up",
    )
