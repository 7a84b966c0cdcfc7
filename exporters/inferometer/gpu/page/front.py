"""What people and probes are shown: a page that names backends and devices, health, readiness.

Health looks at our own threads only. A sick GPU is something to report, not a reason to be killed:
a restart does not cure a driver.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

from inferometer.gpu.sample import BackendView, DeviceView
from inferometer.web.server import Handler, Response

HTML: Final = "text/html; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4}"
    "th{font-weight:600}.bad{color:#b31d28;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
    "th,td{border-color:#30363d}a{color:#58a6ff}.bad{color:#ff7b72}}"
)

Backends = Callable[[], Sequence[BackendView]]
Devices = Callable[[], Sequence[DeviceView]]


def health(age_s: Callable[[], float], age_s_max: float) -> Handler:
    """Return what `/healthz` answers: whether pages are still made."""

    def answer(_: object) -> Response:
        age = age_s()
        if age <= age_s_max:
            return Response(200, PLAIN, b"ok\n")
        return Response(503, PLAIN, f"the latest page is {age:.1f} s old\n".encode())

    return answer


def readiness(backends: Backends) -> Handler:
    """Return what `/readyz` answers: yes, with the state of each backend."""

    def answer(_: object) -> Response:
        lines = ["ready", *map(_told, backends())]
        return Response(200, PLAIN, "".join(f"{line}\n" for line in lines).encode())

    return answer


def index(version: str, backends: Backends, devices: Devices) -> Handler:
    """Return what `/` answers."""

    def answer(_: object) -> Response:
        return Response(200, HTML, "\n".join(_page(version, backends(), devices())).encode())

    return answer


def _told(backend: BackendView) -> str:
    return " ".join(filter(None, (backend.name, backend.state, backend.reason)))


def _page(
    version: str, backends: Sequence[BackendView], devices: Sequence[DeviceView]
) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>inferometer gpu-exporter</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>inferometer gpu-exporter</h1><p>Version {escape(version)}. "
    yield '<a href="/metrics">/metrics</a> · <a href="/healthz">/healthz</a> · '
    yield '<a href="/readyz">/readyz</a></p>'
    yield "<h2>Backends</h2>"
    yield from _table(
        ("backend", "state", "reason", "driver", "devices"), map(_backend_row, backends)
    )
    yield "<h2>Devices</h2>"
    if devices:
        yield from _table(("GPU", "state", "model", "UUID", "backend"), map(_device_row, devices))
    else:
        yield "<p>No device is known.</p>"
    yield "</body></html>"


def _backend_row(view: BackendView) -> tuple[str, ...]:
    listed = "" if view.devices_listed is None else str(view.devices_listed)
    state = _marked(view.state, good=view.state == "running")
    return escape(view.name), state, escape(view.reason), escape(view.driver_version), listed


def _device_row(view: DeviceView) -> tuple[str, ...]:
    one = view.identity
    state = _marked(view.state, good=view.state == "ok")
    return str(one.index), state, escape(one.model), escape(one.uuid), escape(view.backend)


def _marked(word: str, *, good: bool) -> str:
    return escape(word) if good else f'<span class="bad">{escape(word)}</span>'


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    yield "</table>"
