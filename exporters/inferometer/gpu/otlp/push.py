"""Pushes devices to an OTLP receiver, from the same samples that a scrape shows.

The SDK collects and sends on a thread of its own, so a receiver that hangs holds up nothing. The
only importer of opentelemetry, and only once a push is asked for.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inferometer.errors import WorldError
from inferometer.gpu.otlp.conventions import ROWS, Row
from inferometer.gpu.sample import DeviceView

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader

STOP_WAIT_S: Final = 0.3
"""How long a stop waits for the last push."""
SEND_WAIT_S: Final = 5.0
SCOPE: Final = "inferometer.gpu"
PATH: Final = "/v1/metrics"

_log: Final = logging.getLogger(__name__)


class Destination(NamedTuple):
    """Where to push, how often, and who we are; `host` "" is not known."""

    endpoint: str
    period_s: float
    version: str
    host: str = ""


class Push:
    """Pushes until it is stopped."""

    def __init__(
        self,
        destination: Destination,
        views: Callable[[], Sequence[DeviceView]],
        *,
        reader: "MetricReader | None" = None,
    ) -> None:
        """Begin at once; `reader` takes the place of the one that sends.

        Raises WorldError where the packages are not installed.
        """
        self._views = views
        try:
            self._provider = _provider(destination, reader)
        except ImportError as error:
            message = f"--otlp-endpoint needs the package {error.name!r}, which is not installed"
            raise WorldError(message, "pip install 'inferometer[otlp]'") from None
        meter = self._provider.get_meter(SCOPE, destination.version)
        make: dict[str, Callable[..., Any]] = {
            "counter": meter.create_observable_counter,
            "gauge": meter.create_observable_gauge,
            "updowncounter": meter.create_observable_up_down_counter,
        }
        for row in ROWS:
            callback = self._callback(row)
            make[row.kind](row.name, callbacks=[callback], unit=row.unit, description=row.help)

    def stop(self) -> None:
        """Push a last time, but do not wait long for it."""
        last = threading.Thread(target=self._end, name="otlp-stop", daemon=True)
        last.start()
        last.join(STOP_WAIT_S)

    def _end(self) -> None:
        try:
            self._provider.shutdown(timeout_millis=SEND_WAIT_S * 1000)
        except Exception:  # noqa: BLE001 - the process ends, whatever a receiver says
            _log.debug("the last push failed")

    def _callback(self, row: Row) -> "Callable[[CallbackOptions], Iterable[Observation]]":
        from opentelemetry.metrics import Observation

        def read(_: "CallbackOptions") -> "Iterable[Observation]":
            return [
                Observation(point.value, dict(point.attributes))
                for view in self._views()
                for point in row.read(view)
            ]

        return read


def _provider(destination: Destination, reader: "MetricReader | None") -> "MeterProvider":
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource

    facts = {"service.name": "inferometer-gpu-exporter", "service.version": destination.version}
    if destination.host:
        facts["host.name"] = destination.host
    return MeterProvider(
        metric_readers=[reader or _sending(destination)],
        resource=Resource.create(facts),
        shutdown_on_exit=False,
    )


def _sending(destination: Destination) -> "MetricReader":
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    endpoint = destination.endpoint.rstrip("/")
    url = endpoint if endpoint.endswith(PATH) else f"{endpoint}{PATH}"
    return PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=url, timeout=SEND_WAIT_S),
        export_interval_millis=destination.period_s * 1000,
        export_timeout_millis=SEND_WAIT_S * 1000,
    )
