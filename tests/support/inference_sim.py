"""llm-d-inference-sim as a child process: a vLLM look-alike that nobody here wrote.

It waits as it is told before the first token and between tokens, fails as it is told, and exports
`vllm:` metrics of its own. Run in echo mode, so a prompt of N words is an answer of N tokens.
"""

import http.client
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.go_tools import GoTool, binary
from support.samples import Samples
from support.sidecar import free_port, wait_until

SIMULATOR: Final = GoTool(
    "inference-sim",
    "github.com/llm-d/llm-d-inference-sim/cmd/llm-d-inference-sim",
    go=(1, 26),
)
MODEL: Final = "made-up/model"
READY_WAIT_S: Final = 30.0


class InferenceSim:
    """One running simulator; `flags` are its own command line's."""

    def __init__(self, *flags: str) -> None:
        self.port = free_port()
        own = ["--port", str(self.port), "--model", MODEL, "--mode", "echo"]
        own += ["--force-dummy-tokenizer"]  # or it would ask a model hub at start
        self._argv = [str(binary(SIMULATOR)), *own, *flags]

    @property
    def url(self) -> str:
        """What a sidecar takes as its upstream."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="inference-sim-")
        self._log = Path(self._folder.name, "log")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log)
        try:
            wait_until(self._ready, wait_s=READY_WAIT_S, what="inference-sim is ready")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def _ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return self._ask("GET", "/health/ready")[0] == http.client.OK
        except OSError:
            return False

    def tell(self, **settings: object) -> None:
        """Change its settings while it runs, by their flags' names with `_` for `-`."""
        body = {name.replace("_", "-"): value for name, value in settings.items()}
        status, answer = self._ask("POST", "/admin/config", body)
        assert status == http.client.OK, answer

    def scrape(self) -> Samples:
        """Read its own metrics."""
        return Samples(self._ask("GET", "/metrics")[1].decode())

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[int, bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request(method, path, body=json.dumps(body) if body is not None else None)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()
