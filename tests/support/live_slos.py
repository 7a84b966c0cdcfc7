"""A real Prometheus that has everything about some SLOs: scraped series, and recorded ones.

Its samples go on for some hours after now, so that tests may take their time. Traffic has the shape
of a day in which it is always noon: what tests see does not depend on when they run.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from support.recorded import Minute, Recorded, gauges, lines

DAY_S: Final = 86400
AHEAD_S: Final = 4 * 3600
SCRAPED_DAYS: Final = 15
RECORDED_DAYS: Final = 33

DOCUMENTS: Final = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat, namespace: llm, owner: team}
service: llama
window: {rolling: 30d}
classes:
  - {name: quiet, objective: 90, good: {e2e: 5s}, match: {tenant: quiet}}
  - {name: words, objective: 90, good: {e2e: 9s}, match: {tenant: words}, weight: token}
  - {name: slices, objective: 90, good: {e2e: 8s}, match: {tenant: slices}, weight: slice,
     slice: {length: 10m, good_share: 50}}
  - {name: all, objective: 99, good: {ttft: 1s}, match: {stream: true}}
"""
FOREIGN: Final = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: ext, namespace: llm, owner: team}
metrics:
  - {name: engine, objective: 95, histogram: {metric: "engine_ttft_seconds", threshold: 2.5s,
     where: {model_name: llama}}}
  - {name: gateway, objective: 99, ratio: {bad: 'rq_total{code="5"}', total: rq_total}}
  - {name: queue, objective: 90, gauge: {metric: queue_depth, at_most: 5},
     slice: {length: 5m, good_share: 90}}
"""


def midnight_s(now_s: int) -> int:
    """Return the last midnight in UTC."""
    return now_s // DAY_S * DAY_S


@dataclass(frozen=True)
class Live:
    """What is in the Prometheus at `url`, as of `now_s`, a whole minute."""

    now_s: int
    url: str = ""

    @property
    def day_s(self) -> int:
        """The moment at which the present day of traffic began: half a day ago."""
        return self.now_s - DAY_S // 2

    @property
    def outage_s(self) -> int:
        """The moment at which everything of chat-all was bad, for 30 minutes."""
        return self.now_s - 4 * DAY_S

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """The recorded series: chat-all with holes and an hour without traffic, chat-quiet idle."""
        start_s, end_s = midnight_s(self.now_s) - RECORDED_DAYS * DAY_S, self.now_s + AHEAD_S
        return (
            Recorded("chat-all", start_s, end_s, self._chat),
            Recorded("chat-quiet", start_s, end_s, lambda _: Minute(0, 0)),
        )

    def lines(self) -> Iterator[str]:
        """Yield everything as OpenMetrics."""
        moments = range(self.now_s - 600, self.now_s + AHEAD_S, 60)
        yield from gauges(self._gauges(), moments)
        yield from (line for line in lines(self.recorded) if line != "# EOF")
        yield from self._scraped()
        yield "# EOF"

    def _gauges(self) -> Mapping[str, float]:
        key = 'namespace="llm",slo="chat-all"'
        quiet = 'namespace="llm",slo="chat-quiet"'
        return {
            f"inferometer:slo_objective:ratio{{{key}}}": 0.99,
            f"inferometer:slo_objective:ratio{{{quiet}}}": 0.95,
            f"inferometer:slo_burn:rate1h{{{key}}}": 1.5,
            f"inferometer:slo_burn:rate6h{{{key}}}": 0.5,
            f'inferometer:slo_error:ratio_window{{{key},window="30d"}}': 0.004,
            f"inferometer:slo_budget_remaining:ratio{{{key}}}": 0.6,
            f"inferometer:slo_total:increase3d{{{key}}}": 1000,
            f"inferometer:slo_total:increase3d{{{quiet}}}": 0,
            f'inferometer:slo_bad_reason:increase5m{{{key},reason="ttft"}}': 40,
            f'inferometer:slo_bad_reason:increase5m{{{key},reason="error"}}': 4,
            f'inferometer_slo_objective_ratio{{{key},pod="a"}}': 0.99,
            f'inferometer_slo_objective_ratio{{{key},pod="b"}}': 0.98,
            "prometheus_tsdb_lowest_timestamp_seconds": self.now_s - RECORDED_DAYS * DAY_S,
        }

    def _scraped(self) -> Iterator[str]:
        start_s, end_s = self.now_s - SCRAPED_DAYS * DAY_S, self.now_s + AHEAD_S
        yield "# TYPE inferometer_slo_requests counter"
        yield from self._counters("requests", "chat-all", start_s, end_s)
        yield from self._counters("requests", "chat-words", start_s, end_s)
        yield from self._counters("requests", "chat-slices--requests", start_s, end_s)
        yield "# TYPE inferometer_slo_tokens counter"
        yield from self._counters("tokens", "chat-words", start_s, end_s)
        yield "# TYPE inferometer_slo_unmatched counter"
        labels = 'vantage="sidecar",namespace="llm",document="chat"'
        for at_s in range(start_s, end_s, 300):
            value = (at_s - start_s) // 10
            yield f"inferometer_slo_unmatched_total{{{labels}}} {value} {at_s}"
        yield "# TYPE engine_ttft_seconds histogram"
        for le, share in (("1.0", 5), ("2.5", 9), ("+Inf", 10)):
            for at_s in range(start_s, end_s, 60):
                labels = f'model_name="llama",le="{le}"'
                value = (at_s - start_s) // 60 * share
                yield f"engine_ttft_seconds_bucket{{{labels}}} {value} {at_s}"
        for at_s in range(start_s, end_s, 60):
            value = (at_s - start_s) // 60 * 10
            yield f'engine_ttft_seconds_count{{model_name="llama"}} {value} {at_s}'
        yield "# TYPE queue_depth gauge"
        for at_s in range(start_s, end_s, 60):
            yield f"queue_depth {9 if self._into_s(at_s) < 7200 else 2} {at_s}"
        yield "# TYPE rq counter"
        for code, each in (("2", 10), ("5", 1)):
            for at_s in range(start_s, end_s, 60):
                yield f'rq_total{{code="{code}"}} {(at_s - start_s) // 60 * each} {at_s}'

    def _counters(self, of: str, slo: str, start_s: int, end_s: int) -> Iterator[str]:
        """Yield the counters of good and bad: 6 a scrape, but an hour each night without any."""
        sums, texts = [0, 0], (list[str](), list[str]())
        labels = f'vantage="sidecar",namespace="llm",slo="{slo}",job="sidecar",instance="a:1"'
        for at_s in range(start_s, end_s, 30):
            is_bad = slo == "chat-all" and self.outage_s <= at_s < self.outage_s + 1800
            sums[is_bad] += 0 if self._into_s(at_s) < 3600 else 6
            for which, verdict in enumerate(("good", "bad")):
                why = "ttft" if which else "none"
                all_labels = f'{labels},verdict="{verdict}",reason="{why}"'
                name = f"inferometer_slo_{of}_total"
                texts[which].append(f"{name}{{{all_labels}}} {sums[which]} {at_s}")
        yield from (line for text in texts for line in text)

    def _chat(self, at_s: int) -> Minute:
        """Return 100 requests a minute, 1 bad; an hour is idle, one unknown, one half known."""
        match self._into_s(at_s) // 3600:
            case 3:
                return Minute(0, 0)
            case 4:
                return Minute(None, None)
            case 5 if (at_s - self.day_s) // DAY_S % 3 == 0:
                return Minute(500, None)
            case hour:
                return Minute(500 + hour, 5 if at_s // 60 % 2 else 1)

    def _into_s(self, at_s: int) -> int:
        """Return the seconds since a day of traffic began."""
        return (at_s - self.day_s) % DAY_S


def now_s() -> int:
    """Return the present minute."""
    return int(time.time()) // 60 * 60
