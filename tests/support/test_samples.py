import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.samples import Samples, promtool_complaints

PAGE = """\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{model="a",outcome="ok"} 3
requests_total{model="a",outcome="bad"} 1.5
requests_total{model="q\\"\\\\ \\n,}\u2028",outcome="ok"} 1
# HELP wait_seconds Waits.
# TYPE wait_seconds histogram
wait_seconds_bucket{model="a",le="0.5"} 1
wait_seconds_bucket{model="a",le="+Inf"} 2
wait_seconds_count{model="a"} 2
wait_seconds_sum{model="a"} 1.25
# HELP up Up.
# TYPE up gauge
up 1
"""


def test_reads_a_page_like_prometheus_client() -> None:
    theirs = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(PAGE)
        for sample in family.samples
    }
    ours = {(name, frozenset(labels.items())): value for name, labels, value in Samples(PAGE)}
    assert ours == theirs
    assert len(Samples(PAGE)) == len(theirs)


def test_finds_by_some_of_the_labels() -> None:
    samples = Samples(PAGE)
    assert samples.total("requests_total", model="a") == 4.5
    assert samples.value("requests_total", model="a", outcome="ok") == 3
    assert samples.value("up") == 1
    assert samples.labels("requests_total", "outcome") == {"ok", "bad"}
    assert samples.buckets("wait_seconds") == {0.5: 1, float("inf"): 2}


def test_what_is_absent_is_not_zero() -> None:
    assert Samples(PAGE).value("down") is None
    assert Samples(PAGE).value("requests_total", model="b") is None


@pytest.mark.parametrize("line", ["a{b} 1", 'a{b="c"', "a 1 2 3", 'a{b="\\x"} 1', 'a{b="c" 1'])
def test_a_line_that_is_no_sample_fails(line: str) -> None:
    with pytest.raises(AssertionError):
        list(Samples(line))


def test_a_series_that_is_there_twice_fails() -> None:
    with pytest.raises(AssertionError, match="twice"):
        Samples("a 1\na 2\n")


def test_promtool_tells_what_is_unreadable() -> None:
    assert promtool_complaints(PAGE) == ""
    assert promtool_complaints("a{ 1\n") != ""
