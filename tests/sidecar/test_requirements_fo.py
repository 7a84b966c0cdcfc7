"""FO-01 to FO-04: measuring may break or be poisoned; serving does not notice."""

import json
import random
import statistics
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.faulty import FAULTS, SLEEP_S
from support.llm import ScriptedServer
from support.pair import Pair, running_pair, unique
from support.samples import promtool_complaints
from support.script import chunk, plain, request, script
from support.sidecar import Sidecar, faulty_sidecar
from support.speakers import CHAT
from support.turns import Manner, Turn, dumps


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair("--log-level", "debug") as both:
        both.server.scripts[CHAT.target.encode()] = CHAT.script(Turn())
        yield both


EXIT_WITHIN_S = 10.0
"""Generous: an exporter waits ten seconds and more for each batch that nobody takes."""

SLO = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat, namespace: llm}
service: m
window: {rolling: 30d}
classes:
  - {name: all, objective: 99, good: {ttft: 1s, e2e: 60s}}
"""


@pytest.mark.req("FO-01")
@pytest.mark.parametrize("way", ["raise", "sleep"])
@pytest.mark.parametrize("stage", FAULTS)
def test_a_broken_stage_changes_neither_bytes_nor_timing(
    tmp_path: Path, stage: str, way: str
) -> None:
    turn = Turn(words=("w",) * 20)
    (tmp_path / "slo.yaml").write_text(SLO)
    flags = ("--slo", str(tmp_path / "slo.yaml"))
    fault = f"{stage}:{way}"
    with ScriptedServer() as server, faulty_sidecar(server.url, fault, *flags) as sidecar:
        pair = Pair(server, sidecar)
        late_s = []
        for _ in range(5):
            answer = pair.ask_in_step(CHAT.ask(turn), CHAT.script(turn, Manner(in_step=True)))
            assert answer.end == "complete"
            relayed = server.exchanges[-2]
            sent = [s.moment_ns for s in relayed.sent if isinstance(s.step.what, bytes)][1:]
            pieces = [piece.moment_ns for piece in answer.pieces]
            late_s += [(b - a) / 1e9 for a, b in zip(sent, pieces, strict=False)]
        assert statistics.median(late_s) < SLEEP_S / 2, late_s
        # A sleep that delayed bytes would show in all five answers, a busy machine in one or two.
        assert sorted(late_s)[-3] < SLEEP_S, late_s
        if way == "raise":
            name = "inferometer_sidecar_internal_errors_total"
            sidecar.wait_samples(lambda s: s.total(name, stage=FAULTS[stage]) >= 1)
        else:
            assert sidecar.health("/metrics") == 200


@pytest.mark.req("FO-01")
def test_the_end_of_a_request_is_counted_though_its_parser_broke() -> None:
    with ScriptedServer() as server, faulty_sidecar(server.url, "feed:raise") as sidecar:
        server.scripts[CHAT.target.encode()] = CHAT.script(Turn())
        assert Pair(server, sidecar).ask(CHAT.ask(Turn())).end == "complete"
        samples = sidecar.wait_samples(lambda s: s.total("inferometer_requests_total") == 1)
        assert samples.total("inferometer_tokens_total") == 0, "unknown is not zero, nor a guess"


@pytest.mark.req("FO-02")
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_in_the_environment_is_never_in_the_way(protocol: str) -> None:
    """The sidecar sends spans to nobody: a collector that hangs cannot hold it up."""
    with ScriptedServer(plan=lambda _: script()) as collector, ScriptedServer() as server:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
        }
        with Sidecar(server.url, environ=environ) as sidecar:
            assert Pair(server, sidecar).ask(request("GET", "/t")).status == 200
            sidecar.wait_samples(lambda s: s.total("inferometer_requests_total") == 1)
            begun_s = sidecar.terminate()
            assert sidecar.wait_exit() == 0
            assert time.monotonic() - begun_s < EXIT_WITHIN_S
        assert collector.connections == []


POISON = [
    "\ud800",
    "\udfff lone",
    "\x00\x01\x1f\x7f\x80\x9f",
    'quote" back\\slash \n newline',
    '{le="1"} 1\n# TYPE x counter',
    "\u2028\u2029\u202e\ufeff\uffff",
    "🙂" * 200,
    "x" * 10_000,
    "",
    " ",
    "other",
    "unknown",
    "NaN",
    "\r\n# EOF\r\n",
]


@pytest.mark.req("FO-03")
@pytest.mark.parametrize("model", POISON, ids=lambda m: ascii(m[:12]))
def test_no_model_name_makes_the_metrics_unreadable(pair: Pair, model: str) -> None:
    body = json.dumps({"model": model, "stream": True}).encode()
    assert pair.ask(request("POST", CHAT.target, body=body)).status == 200
    before = pair.sidecar.settle()
    for page in (before, pair.sidecar.scrape()):
        assert promtool_complaints(page.text) == ""
    values = pair.sidecar.scrape().labels("inferometer_requests_total", "model")
    assert all(len(value.encode()) <= 128 for value in values)
    kinds = {unicodedata.category(char) for value in values for char in value}
    assert not kinds & {"Cc", "Cs"}, "control characters and lone surrogates"


@pytest.mark.req("FO-03")
@pytest.mark.parametrize("raw", [b'{"model": "\xff\xfe\x80"}', b'{"model": "\xed\xa0\x80"}'])
def test_no_bytes_of_a_model_name_make_the_metrics_unreadable(pair: Pair, raw: bytes) -> None:
    assert pair.ask(request("POST", CHAT.target, body=raw)).status == 200
    assert promtool_complaints(pair.sidecar.settle().text) == ""


@pytest.mark.req("FO-03")
def test_no_path_method_or_field_makes_the_metrics_unreadable(pair: Pair) -> None:
    odd = bytes(range(0x80, 0x100))
    names = [b"User-Agent", b"X-Request-Id", b"traceparent", b"x-slo-ttft-ms", b"Content-Type"]
    fields = [(name, odd) for name in names]
    target = b"/v1/chat/completions\xff\x80?q=\xfe"
    assert pair.ask(request("POST", target, *fields, body=b"{}")).status == 200
    assert pair.ask(request("QU!RK~", "/t", *fields), method="x").status == 200
    page = pair.sidecar.settle()
    assert promtool_complaints(page.text) == ""
    assert "QU!RK" not in page.text


@pytest.mark.req("FO-03")
def test_the_openmetrics_page_is_whole_too(pair: Pair) -> None:
    accept = ("Accept", "application/openmetrics-text; version=1.0.0")
    trace = ("traceparent", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")
    assert pair.ask(CHAT.ask(Turn())).status == 200
    raw = CHAT.ask(Turn()).replace(b"\r\n", f"\r\n{trace[0]}: {trace[1]}\r\n".encode(), 1)
    assert pair.ask(raw).status == 200
    pair.sidecar.settle()
    answer = pair.sidecar.admin_get("/metrics", accept)
    content_type = answer.head.value(b"content-type") or b""
    assert content_type.startswith(b"application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")
    assert b'trace_id="' + b"ab" * 16 in answer.body


@pytest.mark.req("FO-03")
def test_a_sampled_flag_of_a_client_starts_no_series(pair: Pair) -> None:
    before = len(pair.sidecar.settle())
    draw = random.Random(7)
    for _ in range(50):
        trace = f"00-{draw.getrandbits(128):032x}-{draw.getrandbits(64):016x}-01"
        raw = CHAT.ask(Turn()).replace(b"\r\n", f"\r\ntraceparent: {trace}\r\n".encode(), 1)
        with pair.sidecar.wire() as wire:
            assert wire.ask(raw).status == 200
    assert len(pair.sidecar.settle()) <= before + 60  # a request's own, once


BODIES = [
    b"",
    b"{",
    b"not json at all",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"model": ' + b"9" * 5000 + b"}",
    b'{"model": NaN, "stream": Infinity}',
    b'{"model": "a", "model": "b", "stream": true, "stream": false}',
    b'{"model": {"x": [1, 2]}, "stream": "yes", "n": -1, "max_tokens": 1e999}',
    b'{"n": 99999999999999999999, "model": ["m"]}',
    b"\xef\xbb\xbf{}",
    '{"model": "m"}'.encode("utf-16"),
    b"\x00" * 1000,
    b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--b--\r\n",
]


@pytest.mark.req("FO-04")
@pytest.mark.parametrize("body", BODIES, ids=lambda b: ascii(b[:16]))
def test_any_body_is_forwarded_as_it_is(pair: Pair, body: bytes) -> None:
    target = unique(CHAT.target)
    pair.server.scripts[target.encode()] = script(plain(b"{}"))
    fields = ("Content-Type", "application/json")
    assert pair.ask(request("POST", target, fields, body=body)).status == 200
    assert pair.exchange(target).body == body


@pytest.mark.req("FO-04")
@given(body=st.binary(max_size=300), chunked=st.booleans())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_bodies_are_forwarded_as_they_are(pair: Pair, body: bytes, *, chunked: bool) -> None:
    target = unique(CHAT.target)
    raw = request("POST", target, body=body)
    if chunked:
        raw = request("POST", target, ("Transfer-Encoding", "chunked"))
        raw += (chunk(body) if body else b"") + b"0\r\n\r\n"
    with pair.sidecar.wire() as wire:
        assert wire.ask(raw).status == 200
    assert pair.exchange(target).body == body


@pytest.mark.req("FO-04")
def test_what_cannot_be_read_is_unknown(pair: Pair) -> None:
    for body in BODIES:
        pair.ask(request("POST", CHAT.target, body=body))
    page = pair.sidecar.settle()
    internal = page.find("inferometer_sidecar_internal_errors_total")
    assert sum(value for _, value in internal) == 0, internal
    assert page.total("inferometer_requests_total", model="unknown") > 0


@pytest.mark.req("FO-07")
def test_control_characters_are_escaped_in_logs(pair: Pair) -> None:
    """Debug logs name what outsiders sent; no byte of it may move a terminal."""
    raw = dumps({"model": "\x1b[31mred\x07\u202e\u0085", "stream": True})
    pair.ask(request("POST", b"/\xff\x1b?".replace(b"\x1b", b"\x9b"), body=raw))
    pair.ask(request("POST", CHAT.target, body=raw))
    pair.sidecar.settle()
    log = pair.sidecar.stderr
    assert all(char.isprintable() or char == "\n" for char in log), ascii(log)


TRACING = [
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"),
    ("traceparent", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01"),
    ("traceparent", "00-xyz-01"),
    ("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
    ("tracestate", ",".join(f"k{i}=v" for i in range(70))),
    ("baggage", "k=" + "v" * 10_000),
    ("baggage", ",".join(f"k{i}=v" for i in range(200))),
]


@pytest.mark.req("FO-07")
@pytest.mark.parametrize(("name", "value"), TRACING, ids=lambda v: v[:20])
def test_trace_context_is_forwarded_untouched_whatever_it_says(
    pair: Pair, name: str, value: str
) -> None:
    target = unique(CHAT.target)
    pair.server.scripts[target.encode()] = CHAT.script(Turn())
    raw = CHAT.ask(Turn(), case=target.partition("=")[2])
    raw = raw.replace(b"\r\n", f"\r\n{name}: {value}\r\n".encode(), 1)
    assert pair.ask(raw).status == 200
    exchange = pair.exchange(target)
    assert exchange.values(name.encode()) == [value.encode()]
    sent = {field.lower() for field, _ in exchange.fields}
    assert sent == {b"host", b"content-type", b"content-length", name.encode()}
