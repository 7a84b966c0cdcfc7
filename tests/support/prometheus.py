"""A real Prometheus over given samples, asked through its API on the loopback."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from support.sidecar import free_port

START_S = 60.0
QUERY_S = 240.0
IMPORT_S = 300.0


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


class Prometheus:
    """One Prometheus, which keeps everything and, unless told otherwise, scrapes nothing."""

    def __init__(self, binary: Path, data: Path, *, configuration: str = "{}\n") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        config = data.parent / "prometheus.yaml"
        config.write_text(configuration, "utf-8")
        self._argv = [
            str(binary),
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--log.level=error",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv, stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s:
            assert self._process.poll() is None, "prometheus ended"
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        message = "prometheus is not ready"
        raise AssertionError(message)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

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
