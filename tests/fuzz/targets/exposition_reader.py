"""The reader of strangers' expositions: a page or its own error, in bounds."""

from inferometer.metrics.reader import LABELS_MAX, ExpositionError, parse

WORDS = (
    b"# TYPE a counter\n", b"# HELP a b\n", b'a{b="c"} 1\n', b'{"a.b","c"="d"} 1', b" 1e5",
    b"NaN", b"+Inf", b' # {t="x"} 1 1', b"\\n", b'\\"', b"}", b"# EOF\n", b'le="0.5"', b"\xff",
)  # fmt: skip


def check(data: bytes) -> None:
    """Nothing but ExpositionError, and samples that a caller can rely on."""
    try:
        page = parse(data)
    except ExpositionError as error:
        if error.reason != "not_prometheus":
            raise
        return
    lines = data.count(b"\n") + 1
    assert len(page.samples) + page.skipped <= lines
    for sample in page.samples:
        assert sample.name
        assert isinstance(sample.value, float)
        assert len(sample.labels) <= LABELS_MAX
        assert "" not in sample.labels
