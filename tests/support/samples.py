"""A `/metrics` page as numbers, read by a parser that is not ours (prometheus_client's)."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
PROMTOOL: Final = shutil.which("promtool")


class Samples:
    """All samples of one page. A sample that is not there is None, never 0."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self._values, f"twice on one page: {key}"
                self._values[key] = float(sample.value)

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for (name, labels), value in self._values.items():
            yield name, dict(labels), value

    def __len__(self) -> int:
        return len(self._values)

    def find(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """Return (labels, value) of all samples of this name that have at least these labels."""
        wanted = set(labels.items())
        return [(own, v) for n, own, v in self if n == name and wanted <= set(own.items())]

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
