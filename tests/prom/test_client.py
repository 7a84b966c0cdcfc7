import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inferometer.prom.client import AlertingRule, Client, duration_s, whole
from inferometer.prom.credentials import basic
from inferometer.prom.decode import SERIES_MAX, Result
from inferometer.prom.endpoint import parse
from inferometer.prom.errors import PrometheusError
from support.prometheus import Prometheus, load
from support.promtool import VERSIONS, tool
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector

NOW_S = int(time.time()) // 60 * 60


@pytest.fixture(scope="module", params=VERSIONS)
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    lines = ["# TYPE up gauge", "# TYPE odd gauge"]
    lines += [f'up{{job="{job}"}} 1 {NOW_S - 60 * n}' for job in "ab" for n in range(60, 0, -1)]
    lines += [f"odd NaN {NOW_S - 60}", "# EOF"]
    data = load(tool("2", "promtool"), lines, tmp_path_factory.mktemp("db"))
    with (
        Prometheus(tool(request.param, "prometheus"), data) as prometheus,
        Client(parse(prometheus.url)) as client,
    ):
        yield client


def test_a_real_prometheus_answers_an_instant_query(real: Client) -> None:
    found = real.instant("up", NOW_S - 60)
    assert sorted(one.labels["job"] for one in found.series) == ["a", "b"]
    assert found.series[0].last == (NOW_S - 60, 1.0)


def test_a_stale_series_is_absent(real: Client) -> None:
    assert real.instant("up", NOW_S + 600).series == ()


def test_a_nan_is_told_as_one(real: Client) -> None:
    (found,) = real.instant("odd", NOW_S - 30).series
    assert str(found.last.value) == "nan"


def test_a_real_prometheus_answers_a_range_and_raw_samples(real: Client) -> None:
    found = real.range("sum(up)", NOW_S - 600, NOW_S - 60, step_s=60)
    assert [sample.value for sample in found.series[0].samples] == [2.0] * 10
    (raw,) = real.samples('up{job="a"}[91s]', NOW_S - 30).series
    assert [sample.at_s for sample in raw.samples] == [NOW_S - 120, NOW_S - 60]


def test_a_real_prometheus_refuses_what_is_no_query(real: Client) -> None:
    with pytest.raises(PrometheusError, match="bad_data") as caught:
        real.instant("sum(")
    assert caught.value.reason == "query_error"


def test_a_real_prometheus_tells_its_labels_clock_and_runtime(real: Client) -> None:
    assert real.label_values("job", ["up"]) == ("a", "b")
    assert real.label_values("job", ["up"], ago_s=7200) == ("a", "b")
    assert real.label_values("job", ["nothing"]) == ()
    before_s = time.time()
    assert before_s - 1 <= real.now_s() <= time.time() + 1
    runtime = real.runtime()
    assert runtime.retention_s == 100 * 365 * 86400
    assert not runtime.retention_by_size
    assert runtime.started
    assert real.flags()["storage.tsdb.retention.time"] == "100y"
    assert real.targets() == ()
    assert real.alerting_rules() == ()
    assert real.kinds("up") == frozenset()


def test_the_ends_of_a_range_are_found_out(real: Client, request: pytest.FixtureRequest) -> None:
    is_three = "3" in request.node.callspec.params.values()
    assert real.left_open() is is_three


def test_rules_are_bounded_like_everything() -> None:
    rules = [{"name": "a", "type": "alerting", "query": "up"}]
    script = {"groups": [{"name": "g", "file": "f", "rules": rules}]}
    with ScriptedPrometheus(lambda _: reply(script)) as server, Client(parse(server.url)) as client:
        assert client.alerting_rules() == (AlertingRule("a", "g", "f", "up"),)
        script["groups"] = [{}] * (SERIES_MAX + 1)
        with pytest.raises(PrometheusError, match="more than 20000 entries"):
            client.alerting_rules()


@contextmanager
def asking(
    data: object = None, *, status: int = 200, **more: Any
) -> Iterator[tuple[Client, list[Asked]]]:
    body = data if isinstance(data, bytes) else None
    answer = reply(data, status=status, body=body)
    with (
        ScriptedPrometheus(lambda _: answer) as server,
        Client(parse(server.url), **more) as client,
    ):
        yield client, server.asked


def test_the_tenant_and_the_credentials_go_along(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text("u:p")
    with asking(vector(), tenant="team-a", authorization=basic(file)) as (there, asked):
        there.instant("up", 5.25)
    (first,) = asked
    assert first.headers["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    assert first.headers["x-scope-orgid"] == "team-a"
    assert (first.method, first.form) == ("POST", {"query": "up", "time": "5.250"})


def test_without_them_nothing_is_said() -> None:
    with asking(vector()) as (there, asked):
        there.instant("up")
    assert asked[0].form == {"query": "up"}
    assert not {"authorization", "x-scope-orgid"} & asked[0].headers.keys()


def test_an_error_names_the_server() -> None:
    body = b'{"status": "error", "errorType": "timeout", "error": "too slow"}'
    with asking(body, status=503) as (there, _), pytest.raises(PrometheusError) as caught:
        there.instant("up")
    assert str(caught.value) == f"{there.endpoint}: refuses the query: timeout: 'too slow'"


def test_an_answer_with_warnings_is_not_whole() -> None:
    endpoint = parse("http://p")
    whole(Result((), (), ("a remark",)), endpoint)
    with pytest.raises(PrometheusError, match="a store is away") as caught:
        whole(Result((), ("a store is away",)), endpoint)
    assert caught.value.reason == "partial"


def test_what_a_thanos_or_mimir_does_not_have_is_unknown() -> None:
    with asking({}, status=404) as (there, _):
        assert there.targets() == ()
        assert there.kinds("up") == frozenset()
        assert there.runtime() == (None, False, None)
        with pytest.raises(PrometheusError, match="answers 404"):
            there.flags()


def test_other_failures_are_not_taken_for_unknown() -> None:
    with asking({}, status=500) as (there, _), pytest.raises(PrometheusError, match="answers 500"):
        there.runtime()


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("15d", (1_296_000.0, False)),
        ("30d or 50GiB", (2_592_000.0, True)),
        ("50GiB", (None, True)),
        ("512B", (None, True)),
        ("", (None, False)),
        ("soon", (None, False)),
    ],
)
def test_retention_is_read_as_it_is_told(text: str, known: tuple[float | None, bool]) -> None:
    with asking({"storageRetention": text, "startTime": 5}) as (there, _):
        assert there.runtime() == (*known, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("2w", 1_209_600.0)],
)
def test_durations_of_prometheus_are_read(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "1.5h", "1h ", "h", "-5s", "1x"])
def test_what_is_no_duration_is_unknown(text: str) -> None:
    assert duration_s(text) is None


def test_targets_are_read_with_their_intervals() -> None:
    targets = [
        {"labels": {"job": "a"}, "scrapeInterval": "15s", "health": "up"},
        {"labels": {"job": "b"}, "scrapeInterval": 5, "health": "down"},
        {"labels": None},
        "nonsense",
    ]
    with asking({"activeTargets": targets}) as (there, _):
        first, second = there.targets()
    assert (first.labels, first.interval_s, first.healthy) == ({"job": "a"}, 15.0, True)
    assert (second.interval_s, second.healthy) == (None, False)


def test_kinds_of_a_metric_are_read() -> None:
    with asking({"up": [{"type": "gauge"}, {"type": "gauge"}, {"help": ""}]}) as (there, _):
        assert there.kinds("up") == {"gauge"}


def test_a_server_without_subqueries_is_told() -> None:
    with asking(vector()) as (there, _), pytest.raises(PrometheusError, match="subqueries"):
        there.left_open()


def test_a_label_goes_into_the_path_as_data() -> None:
    with asking([]) as (there, asked):
        there.label_values("a/../b", ['x{y="&="}'])
    assert asked[0].path == "/api/v1/label/a%2F..%2Fb/values"
    assert asked[0].form == {"match[]": 'x{y="&="}'}
