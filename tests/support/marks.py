"""A measuring plane that is fed marks with made-up moments."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from inferometer.metrics import exposition
from inferometer.metrics.build import Registry
from inferometer.sidecar.cli import make_stages
from inferometer.sidecar.desk import Stages
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.observe import Observer
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import (
    Cause,
    Finish,
    Mark,
    RequestBody,
    RequestEnd,
    Ring,
    Started,
    Tapped,
)
from inferometer.slo import spec
from support.samples import Samples

MS = 1_000_000
SENT = (3 * MS, 1 * MS)
"""When requests were sent on, and how long connecting had taken."""
SSE = Fields(b"Content-Type: text/event-stream\r\n")
JSON = Fields(b"Content-Type: application/json\r\n")
ASK = b'{"model":"m","stream":true,"messages":[]}'
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

SLO = """
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat}
classes:
  - name: gold
    match: {tenant: [gold]}
    objective: 90
    good: {e2e: 9s}
  - name: fast
    match: {stream: true}
    objective: 99
    good: {ttft: 100ms, itl: {within: 50ms, share: 50, max: 200ms}}
"""


def chunk(text: str, *, finish: str = "null") -> bytes:
    delta = f'{{"content":"{text}"}}' if text else "{}"
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
    return f'data: {{"choices":[{choice}]}}\n\n'.encode()


def usage(completion: int, prompt: int = 7) -> bytes:
    told = f'{{"prompt_tokens":{prompt},"completion_tokens":{completion}}}'
    return f'data: {{"choices":[],"usage":{told}}}\n\n'.encode()


USAGE = usage(3)
DONE = b"data: [DONE]\n\n"


@dataclass
class Plane:
    stages: Stages | None = None
    ring: Ring = field(default_factory=Ring)
    registry: Registry = field(default_factory=Registry)
    settings: Settings = field(default_factory=lambda: Settings(tenant_header="X-Tenant"))

    def __post_init__(self) -> None:
        stages = self.stages or make_stages(self.registry, self.settings)
        self.observer = Observer(self.ring, self.registry, stages)

    def promise(self, folder: Path, text: str = SLO) -> None:
        path = folder / "slo.yaml"
        path.write_text(text)
        self.observer.desk.bench.replace(spec.load([path]))

    def begin(
        self,
        *,
        ask: bytes = ASK,
        target: bytes = b"/v1/chat/completions",
        more: Iterable[tuple[bytes, bytes]] = (),
    ) -> Tapped:
        """Begin a request; `more` are fields of its head."""
        tapped = self.ring.admit()
        assert tapped is not None
        fields = Fields.of([*JSON, (b"traceparent", TRACE), *more])
        self.ring.mark(tapped, 0, Started(1.5, b"POST", target, fields))
        self.ring.offer(tapped, 0, RequestBody(ask), len(ask))
        self.ring.mark(tapped, 2 * MS, RequestEnd(len(ask)))
        return tapped

    def say(self, tapped: Tapped, *marks: tuple[int, Mark]) -> None:
        for at_ms, mark in marks:
            size = len(mark) if isinstance(mark, bytes) else 0
            self.ring.offer(tapped, at_ms * MS, mark, size)

    def end(self, tapped: Tapped, at_ms: int, cause: Cause = "complete", status: int = 200) -> None:
        self.ring.mark(tapped, at_ms * MS, Finish(cause, status, len(ASK), 99, tapped.lost, *SENT))
        self.tick(at_ms + 1000)

    def tick(self, at_ms: int) -> None:
        self.observer.tick(at_ms * MS)

    def samples(self) -> Samples:
        page = b"".join(exposition.write(self.registry, openmetrics=False))
        return Samples(page.decode())

    def verdicts(self, slo: str, *, of: str = "requests") -> dict[tuple[str, str], float]:
        found = self.samples().find(f"inferometer_slo_{of}_total", slo=slo)
        return {(one["verdict"], one["reason"]): n for one, n in found if n}
