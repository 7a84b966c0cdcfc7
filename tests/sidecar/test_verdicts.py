"""Rules of finding the classes of a request, and of counting verdicts."""

from pathlib import Path

import pytest

from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import write
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.tap import Started
from inferometer.sidecar.verdicts import CELLS_MAX, MATCHED_CHARACTERS_MAX, MATCHES_MAX, Bench
from inferometer.slo import spec
from inferometer.slo.verdict import GOOD
from inferometer.stream.dialect import Call
from support.samples import Samples

CALL = Call("openai_chat", "chat", "llama", "true")
BY_MODEL = """
apiVersion: inferometer/v1
kind: SLO
metadata: {name: one}
classes:
  - name: llama
    match: {model: [llama], route: [/v1/chat/completions]}
    objective: 99
    good: {ttft: 100ms, itl: {within: 50ms, share: 50, max: 200ms}}
  - {name: long, match: {model: ["x*"]}, objective: 99, good: {e2e: 9s}}
"""
BY_TENANT = """
apiVersion: inferometer/v1
kind: SLO
metadata: {name: two}
classes:
  - {name: gold, match: {tenant: [gold]}, objective: 99, good: {e2e: 9s}}
  - {name: team, match: {header: {X-Team: [a]}}, objective: 99, good: {e2e: 9s}}
"""


def bench(folder: Path, text: str, registry: Registry | None = None) -> Bench:
    path = folder / "slo.yaml"
    path.write_text(text)
    made = Bench(registry or Registry(), tenant_header="X-Tenant")
    made.replace(spec.load([path]))
    return made


def started(target: bytes = b"/v1/chat/completions", lines: bytes = b"") -> Started:
    return Started(0.0, b"POST", target, Fields(lines))


def taken(made: Bench, start: Started, call: Call = CALL) -> list[str]:
    return [judge.slo.name for judge in made.judges(start, call, 0)]


def test_requests_that_are_alike_to_all_classes_are_matched_once(tmp_path: Path) -> None:
    made = bench(tmp_path, BY_MODEL)
    for target in (b"/v1/chat/completions", b"/v1/chat/completions?key=secret"):
        assert taken(made, started(target, b"Authorization: secret\r\n")) == ["llama"]
    assert made.matches == 1
    assert taken(made, started(), CALL._replace(model="other")) == []
    assert taken(made, started(b"/other")) == []
    assert made.matches == 3


def test_no_more_matches_are_remembered_than_the_limit(tmp_path: Path) -> None:
    made = bench(tmp_path, BY_MODEL)
    for n in range(MATCHES_MAX + 50):
        assert taken(made, started(), CALL._replace(model=f"x{n}")) == ["long"]
    assert made.matches == MATCHES_MAX


def test_long_names_are_matched_and_not_remembered(tmp_path: Path) -> None:
    made = bench(tmp_path, BY_MODEL)
    long = "x" * MATCHED_CHARACTERS_MAX
    assert taken(made, started(), CALL._replace(model=long)) == ["long"]
    assert taken(made, started(b"/" + long.encode()), CALL) == []
    assert made.matches == 0


def test_what_headers_hold_is_never_remembered(tmp_path: Path) -> None:
    made = bench(tmp_path, BY_TENANT)
    assert taken(made, started(lines=b"x-tenant: gold\r\n")) == ["gold"]
    assert taken(made, started(lines=b"X-Team: a\r\nX-Tenant: lead\r\n")) == ["team"]
    assert taken(made, started(lines=b"X-Team: b\r\n")) == []
    assert made.matches == 0


def test_new_documents_are_in_force_at_once(tmp_path: Path) -> None:
    made = bench(tmp_path, BY_MODEL)
    assert taken(made, started()) == ["llama"]
    made.replace(())
    assert taken(made, started()) == []


def test_no_more_counters_are_remembered_than_the_limit_and_all_others_are_found(
    tmp_path: Path,
) -> None:
    registry = Registry()
    classes = "".join(
        f"  - {{name: c{n}, match: {{model: [m{n}]}}, objective: 99, good: {{e2e: 9s}}}}\n"
        for n in range(CELLS_MAX // 8)
    )
    made = bench(tmp_path, BY_TENANT.partition("  - ")[0] + classes, registry)
    assert made.cells.cache_info().currsize == CELLS_MAX
    (judge,) = made.judges(started(), CALL._replace(model="m0"), 0)
    made.count(judge.slo, GOOD, None)
    page = Samples(b"".join(write(registry, openmetrics=False)).decode())
    assert page.value("inferometer_slo_requests_total", slo="two-c0", verdict="good") == 1


@pytest.mark.parametrize(("operation", "count"), [("chat", 1), ("other", 0)])
def test_a_request_that_no_class_takes_is_counted_where_one_should(
    tmp_path: Path, operation: str, count: int
) -> None:
    registry = Registry()
    made = bench(tmp_path, BY_TENANT, registry)
    made.judges(started(), CALL._replace(operation=operation), 0)  # type: ignore[arg-type]
    (judge,) = made.judges(started(lines=b"X-Tenant: gold\r\n"), CALL, 0)
    made.count(judge.slo, GOOD, None)
    page = Samples(b"".join(write(registry, openmetrics=False)).decode())
    assert page.value("inferometer_slo_unmatched_total", document="two") == count
    assert page.value("inferometer_slo_requests_total", slo=judge.slo.id, verdict="good") == 1
