"""A `/metrics` page as numbers, read by a parser that is not the one under test.

Only lines that are asked for are taken apart, since tests that wait scrape often.
"""

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

PROMTOOL: Final = shutil.which("promtool")
_LINE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? ([^ ]+)")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\}$)')
_ESCAPES: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Samples:
    """All samples of one page. A sample that is not there is None, never 0."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._count = 0
        seen: set[str] = set()
        # Not splitlines: that would also cut at characters that may stand inside a label.
        for line in text.split("\n"):
            if line and not line.startswith("#"):
                found = _LINE.fullmatch(line)
                assert found, f"unreadable line: {line!r}"
                name, labels, value = found.groups("")
                assert name + labels not in seen, f"twice on one page: {name}{labels}"
                seen.add(name + labels)
                self._lines[name].append((labels, value))
                self._count += 1

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for name in list(self._lines):
            for labels, value in self.find(name):
                yield name, labels, value

    def __len__(self) -> int:
        return self._count

    def find(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """Return (labels, value) of all samples of this name that have at least these labels."""
        wanted = set(labels.items())
        read = [(read_labels(raw), float(v)) for raw, v in self._lines.get(name, ())]
        return [(own, value) for own, value in read if wanted <= set(own.items())]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the only such sample, None if there is none."""
        found = self.find(name, **labels)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all such samples; 0 without any, as absence counts nothing."""
        return sum(value for _, value in self.find(name, **labels))

    def labels(self, name: str, label: str) -> set[str]:
        """Return all values of one label of a metric."""
        return {labels[label] for labels, _ in self.find(name) if label in labels}

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """Return cumulative counts by upper edge, summed over all such children."""
        edges: dict[float, float] = {}
        for found, value in self.find(f"{name}_bucket", **labels):
            edge = float(found["le"])
            edges[edge] = edges.get(edge, 0.0) + value
        return dict(sorted(edges.items()))


def read_labels(raw: str) -> dict[str, str]:
    """Read `{name="value",...}`; "" is no label."""
    labels: dict[str, str] = {}
    at = 1
    while at < len(raw):
        found = _LABEL.match(raw, at)
        assert found, f"unreadable labels: {raw!r}"
        assert found[1] not in labels, f"a label twice: {raw!r}"
        labels[found[1]] = re.sub(r"\\.", lambda m: _ESCAPES[m[0]], found[2])
        at = found.end()
    return labels


def promtool_complaints(text: str) -> str:
    """Return what `promtool check metrics` says of a page: "" is clean. Skips without promtool.

    Lint remarks on names that we do not choose (OpenTelemetry's) are no complaints: only what
    makes a page unreadable counts, which promtool tells with exit code 1.
    """
    if PROMTOOL is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stderr.decode() if done.returncode == 1 else ""
