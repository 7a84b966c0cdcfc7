"""A real Alertmanager on the loopback: it is given alerts and asked which of them are inhibited."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from support.prometheus import Served

PACKAGE: Final = "prometheus-alertmanager"
ANSWER_S: Final = 60.0
CHECK_S: Final = 60.0


def tool(name: str) -> Path:
    """Return `amtool` or `prometheus-alertmanager` as Debian ships them; else skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {PACKAGE}")
    return Path(found)


def check_config(path: Path) -> str:
    """Return what amtool has to say against a configuration, empty if nothing."""
    done = subprocess.run(
        [tool("amtool"), "check-config", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_S,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


class Alertmanager(Served):
    """One Alertmanager that notifies nobody."""

    def __init__(self, config: Path, data: Path) -> None:
        binary = tool(PACKAGE)

        def argv(address: str) -> Sequence[str]:
            return (
                str(binary),
                f"--config.file={config}",
                f"--storage.path={data}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
                "--log.level=error",
            )

        super().__init__(argv, data.parent / "alertmanager.log")

    def tell(self, alerts: Iterable[Mapping[str, str]]) -> None:
        """Post alerts by their labels."""
        body = json.dumps([{"labels": labels} for labels in alerts]).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_S):
            pass

    def inhibited(self) -> Sequence[tuple[dict[str, str], bool]]:
        """Return all alerts by their labels, and whether each is inhibited at the moment."""
        url = f"{self.url}/api/v2/alerts?active=true&inhibited=true"
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return [(one["labels"], bool(one["status"]["inhibitedBy"])) for one in found]

    def amtool(self, *words: str) -> None:
        """Run amtool against this Alertmanager."""
        argv = [str(tool("amtool")), f"--alertmanager.url={self.url}", *words, "--author=test"]
        subprocess.run(argv, check=True, capture_output=True, timeout=CHECK_S)

    def silences(self) -> Sequence[Sequence[tuple[str, str]]]:
        """Return the matchers of all silences, by label and value."""
        with urllib.request.urlopen(f"{self.url}/api/v2/silences", timeout=ANSWER_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return [[(m["name"], m["value"]) for m in one["matchers"]] for one in found]
