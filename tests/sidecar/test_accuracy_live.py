"""A running sidecar against the scripted truth: what `/metrics` says of real sockets and clocks.

That the arithmetic is exact is shown by `test_accuracy`; how close it gets on a quiet machine is
a matter of the benchmarks. Here every bound is generous, because the machine may be busy.
"""

import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from support.accuracy import FIRST, GAP, TOKENS, TURN, Sample, measure
from support.pair import Pair, running_pair
from support.speakers import SPEAKERS, Speaker

if TYPE_CHECKING:
    from support.samples import Samples

EACH = 3
MEDIAN_ERROR_MAX_S = 0.01


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as both:
        yield both


@pytest.fixture(scope="module")
def found(pair: Pair) -> dict[str, list[Sample]]:
    """All samples, by dialect."""
    return {s.name: list(measure(pair, s, EACH, seed=i)) for i, s in enumerate(SPEAKERS)}


def of_name(speaker: Speaker) -> str:
    return speaker.name


@pytest.mark.alone  # the first one of this file measures for all of them, to the millisecond
def test_every_stream_gives_a_first_token_and_a_gap(found: dict[str, list[Sample]]) -> None:
    assert list(found) == [speaker.name for speaker in SPEAKERS]
    for samples in found.values():
        assert [sample.name for sample in samples] == [FIRST, GAP] * EACH


@pytest.mark.parametrize("name", [FIRST, GAP])
@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_what_is_reported_is_what_happened(
    found: dict[str, list[Sample]], speaker: Speaker, name: str
) -> None:
    errors_s = [abs(s.error_s) for s in found[speaker.name] if s.name == name]
    assert len(errors_s) == EACH
    assert statistics.median(errors_s) < MEDIAN_ERROR_MAX_S, errors_s


@pytest.mark.parametrize("name", [FIRST, GAP])
def test_every_bucket_holds_what_it_must(
    pair: Pair, found: dict[str, list[Sample]], name: str
) -> None:
    """The sum tells each value as it was reported: so much is in each bucket, no more, no less."""
    values_s = [s.reported_s for samples in found.values() for s in samples if s.name == name]
    buckets = pair.sidecar.scrape().buckets(name)
    assert len(buckets) > 10
    for edge_s, count in buckets.items():
        assert count == sum(value <= edge_s for value in values_s), edge_s


def test_tokens_and_outcomes_are_exact(pair: Pair, found: dict[str, list[Sample]]) -> None:
    samples: Samples = pair.sidecar.settle()
    streams = EACH * len(SPEAKERS)
    assert len(found) == len(SPEAKERS)
    assert samples.total("inferometer_requests_total", outcome="success") == streams
    assert samples.total("inferometer_requests_total") == streams + pair.sidecar.markers
    by_source: dict[str, float] = {}
    for speaker in SPEAKERS:
        counted = by_source.get(speaker.source, 0.0)
        by_source[speaker.source] = counted + EACH * TURN.output_tokens
    for source, tokens in by_source.items():
        assert samples.total(TOKENS, direction="output", usage_source=source) == tokens
    assert samples.total(TOKENS, direction="output") == streams * TURN.output_tokens
