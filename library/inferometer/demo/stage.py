"""The demo's processes: who is started in which order, when they are ready, how they end."""

import http.client
import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from inferometer.addresses import Address
from inferometer.demo import limits
from inferometer.demo.child import Child
from inferometer.demo.settings import Settings
from inferometer.demo.summary import Facts
from inferometer.errors import WorldError
from inferometer.live import reading
from inferometer.live.page import Page, scrapes
from inferometer.live.reading import Reading
from inferometer.live.settings import Settings as PageSettings
from inferometer.live.target import parse

START_S: Final = 20.0
"""How long a process may take to be ready: a loaded CI machine is slow."""

ASK_S: Final = 5.0
"""How long the model server may take to tell what it did."""

ANSWER_BYTES_MAX: Final = 1 << 20

FINISH_S: Final = 15.0
"""How long clients may take to finish their requests at the end."""

SETTLE_S: Final = 3.0
"""How long the sidecar may take until its metrics hold the last request."""

STEP_S: Final = 0.05


class Stage:
    """Model server, sidecar, page and load, in this order; the end goes backwards."""

    def __init__(self, settings: Settings, *, folder: Path, version: str) -> None:
        """Start everything. Raises WorldError that tells which process failed and what it said."""
        self._ends = ExitStack()
        try:
            self._start(settings, folder, version)
        except BaseException:
            self.close()
            raise

    def _start(self, settings: Settings, folder: Path, version: str) -> None:
        seed = str(settings.seed)
        self.model = self._child(Child("model", "inferometer.demo.model", seed, messages=folder))
        self.model_port = int(self.model.line(START_S))
        slo = folder / "slo.yaml"
        slo.write_text(limits.document(), encoding="utf-8")
        self.port, self.admin_port = free_ports(2)
        words = (
            *("--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin_port}"),
            *("--upstream", f"http://127.0.0.1:{self.model_port}", "--slo", str(slo)),
        )
        sidecar = Child("sidecar", "inferometer.cli", "sidecar", *words, messages=folder)
        self.sidecar = self._child(sidecar)
        self._wait_until_ready()
        target = parse(f"http://127.0.0.1:{self.admin_port}")
        self._scrape = scrapes((target,), ca=None, auth_file=None)[target.name]
        self._ends.callback(self._scrape.close)
        self.page = Page(PageSettings(admin=(target,), listen=_page_address()), version=version)
        self.page.start()
        self._ends.callback(self.page.stop)
        self._began = self.measured()
        aim = (str(self.port), seed, str(settings.speed))
        self.load = self._child(Child("load", "inferometer.demo.load", *aim, messages=folder))
        self.load.line(START_S)
        self._start_s = time.monotonic()

    def check(self) -> None:
        """Raise WorldError if a process has ended by itself."""
        for child in (self.model, self.sidecar, self.load):
            if not child.running:
                what = "ended by itself"
                raise child.failure(what)

    def measured(self) -> Reading:
        """Return what the sidecar has measured up to now."""
        return self._scrape.fetch()

    def finish(self) -> Facts:
        """End the load, wait until all is measured, and return what is known."""
        seconds = time.monotonic() - self._start_s
        self.load.terminate()
        ends = json.loads(self.load.line(FINISH_S))
        truth = ask(self.model_port, "/demo/truth")
        deadline_s = time.monotonic() + SETTLE_S
        measured = self.measured()
        while _requests(measured) < sum(truth["ends"].values()) and time.monotonic() < deadline_s:
            time.sleep(STEP_S)
            measured = self.measured()
        # A page is written in slices while measuring goes on: only the one after it is whole.
        measured = self.measured()
        return Facts(self._began, measured, truth, ends, seconds)

    def close(self) -> None:
        """End everything that was started."""
        self._ends.close()

    def _child(self, child: Child) -> Child:
        self._ends.callback(child.stop)
        return child

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_S
        while not _answers(self.admin_port, "/readyz"):
            late = time.monotonic() > deadline_s
            if late or not self.sidecar.running:
                what = f"was not ready within {START_S:g} s" if late else "ended at its start"
                raise self.sidecar.failure(what)
            time.sleep(STEP_S)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on now."""
    with ExitStack() as sockets:
        held = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def ask(port: int, path: str) -> Any:  # noqa: ANN401 - whatever JSON says
    """Return a JSON answer of a process of ours. Raises WorldError if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read(ANSWER_BYTES_MAX))
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"the demo's process on port {port} does not answer {path}"
        raise WorldError(message) from error
    finally:
        connection.close()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _page_address() -> Address:
    return PageSettings().listen


def _requests(measured: Reading) -> float:
    return sum(n for key, n in measured.counters.items() if key[0] == reading.REQUESTS)
