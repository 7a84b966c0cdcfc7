"""A real Prometheus over given samples, asked through its API on the loopback."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from support.sidecar import free_port

START_S: Final = 60.0
STARTS: Final = 3
END_S: Final = 60.0
QUERY_S: Final = 240.0
IMPORT_S: Final = 600.0


def load(promtool: Path, lines: Iterable[str], folder: Path) -> Path:
    """Write OpenMetrics lines as blocks of a database, and return its folder."""
    text, data = folder / "samples.txt", folder / "data"
    with text.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)
    subprocess.run(
        [
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=840h",
            text,
            data,
        ],
        capture_output=True,
        check=True,
        timeout=IMPORT_S,
    )
    text.unlink()
    return data


class Served:
    """A server of the family of Prometheus on the loopback, as a child that is ready on entry.

    `argv` makes its command line for an address. A port that was free may be taken before the
    server listens on it: it then ends, and is started again on another one.
    """

    def __init__(self, argv: Callable[[str], Sequence[str]], log: Path) -> None:
        self.url = ""
        self._argv = argv
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        end_s = time.monotonic() + START_S
        for _ in range(STARTS):
            if self._started(end_s):
                return self
            self.__exit__()
        message = f"not ready: {self._log.read_text('utf-8', 'replace')}"
        raise AssertionError(message)

    def _started(self, end_s: float) -> bool:
        """Start it on another port, and tell whether it is ready in time."""
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        with self._log.open("wb") as log:
            argv = self._argv(address)
            self._process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
        while self._process.poll() is None and time.monotonic() < end_s:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return self._process.poll() is None
            except OSError:
                time.sleep(0.05)
        return False

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            finally:
                self._process.kill()
                self._process.wait()


class Prometheus(Served):
    """One Prometheus, which keeps everything and, unless told otherwise, scrapes nothing."""

    def __init__(self, binary: Path, data: Path, *, configuration: str = "{}\n") -> None:
        config = data.parent / "prometheus.yaml"
        config.write_text(configuration, "utf-8")

        def argv(address: str) -> Sequence[str]:
            return (
                str(binary),
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address={address}",
                "--log.level=error",
            )

        super().__init__(argv, data.parent / "prometheus.log")

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules with their health, and of alerts what is pending or firing."""
        with urllib.request.urlopen(f"{self.url}/api/v1/rules", timeout=QUERY_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return [rule for group in found["data"]["groups"] for rule in group["rules"]]

    def ask(self, expr: str, at_s: float) -> list[tuple[dict[str, str], float]]:
        """Return the series of an instant query with their labels."""
        data = urllib.parse.urlencode({"query": expr, "time": at_s}).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/query", data, timeout=QUERY_S) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found["status"] == "success", found
        return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]
