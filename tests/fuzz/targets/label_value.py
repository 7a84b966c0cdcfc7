"""Outside strings on their way into a label: the page stays readable for other parsers."""

import shutil
import subprocess
import zlib
from collections.abc import Iterable

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from inferometer.metrics.catalog import METRICS
from inferometer.metrics.cells import Counter
from inferometer.metrics.exposition import Family, template, write
from inferometer.metrics.labels import VALUE_BYTES_MAX, clean

METRIC = METRICS["inferometer_client_stall_seconds_total"]
PROMTOOL = shutil.which("promtool")
PROMTOOL_EVERY = 4096
"""One input in so many (by its checksum) is also shown to promtool, which takes some 50 ms."""
WORDS = (
    b'"',
    b"\\",
    b"\n",
    b"\\n",
    b"}",
    b"{",
    b",",
    b"#",
    b"\xe2\x80\xa8",
    b"\xed\xa0\x80",
    b"\x00",
)


class Page:
    """A registry of one counter with this model."""

    def __init__(self, model: str) -> None:
        self.model = model

    def families(self) -> Iterable[Family]:
        return [Family(METRIC, (Counter(template(METRIC, ("sidecar", self.model))),))]


def check(data: bytes) -> None:
    """Text and OpenMetrics both give the label back."""
    values = {clean(data), clean(data.decode("utf-8", "surrogateescape"))}
    for value in values:
        assert len(value.encode()) <= VALUE_BYTES_MAX
        assert clean(value) == value
        text = b"".join(write(Page(value), openmetrics=False)).decode()
        (family,) = read_text(text)
        assert family.samples[0].labels[METRIC.labels[1]] == value
        text_om = b"".join(write(Page(value), openmetrics=True)).decode()
        (family,) = read_openmetrics(text_om)  # type: ignore[no-untyped-call]
        assert family.samples[0].labels[METRIC.labels[1]] == value
        if PROMTOOL and zlib.crc32(data) % PROMTOOL_EVERY == 0:
            _check_with_promtool(PROMTOOL, text)


def _check_with_promtool(promtool: str, text: str) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 1, done.stderr
