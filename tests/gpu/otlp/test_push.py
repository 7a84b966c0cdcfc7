import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inferometer.errors import WorldError
from inferometer.gpu.fake.scenario import Fault, Scenario
from inferometer.gpu.otlp.conventions import ROWS
from inferometer.gpu.otlp.push import Destination, Push
from support.gpu_views import Machine
from support.sidecar import wait_until

otel = pytest.importorskip("opentelemetry.sdk.metrics.export")
HERE = Destination("http://127.0.0.1:1", 10.0, "1.2", "node1")


def machine() -> Machine:
    one = Machine(Scenario(devices=2, mig=(1,), faults=(Fault(1, 0, "xid", code=31),)))
    one.age_s = 10.0
    return one


def test_every_instrument_reaches_the_reader_with_its_unit_and_kind() -> None:
    reader = otel.InMemoryMetricReader()
    push = Push(HERE, machine().views, reader=reader)
    (resource,) = reader.get_metrics_data().resource_metrics
    found = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    assert {name: metric.unit for name, metric in found.items()} == {
        row.name: row.unit for row in ROWS
    }
    for row in ROWS:
        assert hasattr(found[row.name].data, "is_monotonic") == (row.kind != "gauge")
    assert found["hw.energy"].data.is_monotonic
    assert resource.resource.attributes["host.name"] == "node1"
    assert resource.resource.attributes["service.version"] == "1.2"
    push.stop()


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    with pytest.raises(WorldError, match="opentelemetry") as caught:
        Push(HERE, machine().views)
    assert caught.value.hint == "pip install 'inferometer[otlp]'"


@contextmanager
def receiver(bodies: list[tuple[str, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            bodies.append((self.path, self.rfile.read(length)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_receiver_gets_the_last_push_at_the_end() -> None:
    bodies: list[tuple[str, bytes]] = []
    with receiver(bodies) as endpoint:
        push = Push(Destination(endpoint, 3600.0, "1.2"), machine().views)
        push.stop()
        wait_until(lambda: bool(bodies))
    path, body = bodies[0]
    assert path == "/v1/metrics"
    assert b"hw.gpu.utilization" in body


def test_a_stop_does_not_wait_for_a_receiver_that_hangs() -> None:
    with receiver_that_hangs() as (endpoint, asked, answered):
        push = Push(Destination(f"{endpoint}/v1/metrics", 3600.0, "1.2"), machine().views)
        push.stop()
        assert asked.wait(10)
        assert not answered.is_set()


@contextmanager
def receiver_that_hangs() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """Yield its address, whether it was asked, and whether it let go of the one who asked."""
    asked, over, answered = threading.Event(), threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.set()
            over.wait(30)
            answered.set()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked, answered
    finally:
        over.set()
        server.shutdown()
        server.server_close()
