"""Rules of finding the classes of a request, and the deadlines that its headers bring along."""

from pathlib import Path

import pytest

from inferometer.metrics.build import Registry
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.promises import MATCHED_CHARACTERS_MAX, MATCHES_MAX, REQUEST_HEADER
from inferometer.sidecar.tap import Started
from inferometer.sidecar.verdicts import Bench
from inferometer.slo import spec
from inferometer.slo.document import FirstToken
from inferometer.slo.verdict import Judge, Verdict
from inferometer.stream.dialect import Call
from support.marks import MS

CALL = Call("openai_chat", "chat", "llama", "true")
HEAD = "apiVersion: inferometer/v1\nkind: SLO\n"
BY_MODEL = f"""{HEAD}
metadata: {{name: one}}
classes:
  - name: llama
    match: {{model: [llama], route: [/v1/chat/completions]}}
    objective: 99
    good: {{ttft: 100ms, itl: {{within: 50ms, share: 50, max: 200ms}}}}
  - {{name: long, match: {{model: ["x*"]}}, objective: 99, good: {{e2e: 9s}}}}
"""
BY_TENANT = f"""{HEAD}
metadata: {{name: two}}
classes:
  - {{name: gold, match: {{tenant: [gold]}}, objective: 99, good: {{e2e: 9s}}}}
  - {{name: team, match: {{header: {{X-Team: [a]}}}}, objective: 99, good: {{e2e: 9s}}}}
"""
OPTS_IN = f"""{HEAD}
metadata: {{name: in}}
classes:
  - name: chat
    objective: 99
    good: {{ttft: 100ms, tpot: 20ms}}
    headers: {{ttft: x-slo-ttft-ms, tpot: X-My-Tpot, clamp: [0.5, 4]}}
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


# Deadlines in headers.


def limit_ms(judge: Judge) -> int | None:
    """Return the last whole millisecond at which a first token is not late yet."""
    late = Verdict("bad", "ttft")
    return next((ms - 1 for ms in range(1, 2000) if judge.sweep(ms * MS) == late), None)


@pytest.mark.req("FO-08")
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", 100),
        (b"X-SLO-TTFT-ms: 250\r\n", 250),
        (b"x-llm-d-slo-ttft-ms:250\r\n", 250),
        (b"x-slo-ttft-ms: 9000\r\n", 400),
        (b"x-slo-ttft-ms: 1\r\n", 50),
        (b"x-slo-ttft-ms: soon\r\n", 100),
        (b"x-slo-ttft-ms: -5\r\n", 100),
        (b"x-slo-ttft-ms: 250\r\nx-slo-ttft-ms: 300\r\n", 100),
        (b"x-slo-ttft-ms: \xff\x80\r\n", 100),
    ],
)
def test_a_class_that_opts_in_takes_the_deadline_of_the_request(
    tmp_path: Path, lines: bytes, expected: int
) -> None:
    judge = bench(tmp_path, OPTS_IN).judges(started(lines=lines), CALL, 0)[0]
    assert judge.slo.id == "in-chat"
    assert judge.slo.good.ttft == FirstToken(100 * MS), "the class itself stays as it is"
    assert limit_ms(judge) == expected


@pytest.mark.req("FO-08")
def test_headers_change_neither_the_class_nor_what_is_remembered(tmp_path: Path) -> None:
    made = bench(tmp_path, OPTS_IN)
    for value in (b"100", b"200", b"nonsense", b"1" * 5000):
        assert taken(made, started(lines=b"x-slo-ttft-ms: %b\r\n" % value)) == ["chat"]
    assert made.matches == 1


@pytest.mark.req("FO-08")
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"x-slo-ttft-ms: 700\r\n", 700),
        (b"x-llm-d-slo-ttft-ms: 700\r\n", 700),
        (b"x-slo-ttft-ms: 700\r\nx-slo-tpot-ms: 5\r\n", 700),
        (b"x-slo-tpot-ms: 5\r\n", None),
    ],
)
def test_deadlines_that_no_class_asked_for_are_judged_under_a_name_of_their_own(
    tmp_path: Path, lines: bytes, expected: int | None
) -> None:
    own, apart = bench(tmp_path, BY_MODEL).judges(started(lines=lines), CALL, 0)
    assert (own.slo.id, apart.slo.id) == ("one-llama", REQUEST_HEADER)
    assert limit_ms(own) == 100, "a declared promise is not altered"
    assert limit_ms(apart) == expected
    assert (apart.slo.good.tpot_ns == 5 * MS) is (b"tpot" in lines)


def test_a_request_that_no_class_takes_is_judged_by_its_headers_all_the_same(
    tmp_path: Path,
) -> None:
    made = bench(tmp_path, BY_TENANT)
    assert taken(made, started(lines=b"x-slo-ttft-ms: 700\r\n")) == [REQUEST_HEADER]


def test_a_request_whose_class_took_its_deadline_is_not_judged_twice(tmp_path: Path) -> None:
    made = bench(tmp_path, OPTS_IN)
    assert taken(made, started(lines=b"x-slo-ttft-ms: 700\r\n")) == ["chat"]
    both = b"x-slo-ttft-ms: 700\r\nx-slo-tpot-ms: 5\r\n"
    assert taken(made, started(lines=both)) == ["chat"]
    assert taken(made, started(lines=b"x-my-tpot: 5\r\nx-slo-tpot-ms: 5\r\n")) == ["chat"]
    assert taken(made, started(lines=b"x-slo-tpot-ms: 5\r\n")) == ["chat", REQUEST_HEADER]


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        (CALL._replace(stream="false"), b"x-slo-ttft-ms: 700\r\n"),
        (CALL._replace(operation="embeddings"), b"x-slo-ttft-ms: 700\r\n"),
        (CALL._replace(operation="other"), b"x-slo-ttft-ms: 700\r\n"),
        (CALL, b"x-slo-ttft-ms: soon\r\n"),
        (CALL, b"x-slo-team: a\r\n"),
        (CALL, b"x-other: x-slo-ttft-ms\r\n"),
    ],
)
def test_deadlines_that_say_nothing_about_a_request_are_not_judged(
    tmp_path: Path, call: Call, lines: bytes
) -> None:
    assert taken(bench(tmp_path, BY_TENANT), started(lines=lines), call) == []


def test_without_a_document_nothing_is_judged() -> None:
    assert Bench(Registry()).judges(started(lines=b"x-slo-ttft-ms: 700\r\n"), CALL, 0) == ()


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/chat/completions/",
        b"//v1/chat//completions",
        b"/v1/chat/completions#x",
        b"/v1/chat/completions?a=/b",
        b"http://a/v1/chat/completions",
        b"https://user@a:8000/v1/chat/completions/?x",
    ],
)
def test_however_a_client_spells_a_route_its_class_is_the_same(
    tmp_path: Path, target: bytes
) -> None:
    assert taken(bench(tmp_path, BY_MODEL), started(target)) == ["llama"]
