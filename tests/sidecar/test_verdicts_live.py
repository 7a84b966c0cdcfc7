"""A running sidecar with a document that says all it can: what its verdicts are, and its reloads.

Moments are exact in `test_verdicts`; here every deadline is far from what happens.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.client import Answer
from support.pair import Pair, running_pair, unique_case
from support.samples import Samples, promtool_complaints
from support.script import Action, Script, plain, script
from support.speakers import CHAT
from support.turns import Manner, Turn

DOCUMENT = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: d, namespace: llm, owner: me}
classes:
  - {name: fluid, match: {model: fluid}, objective: 99, good: {fluidity: FLUIDITY}}
  - name: asks
    match: {model: asks}
    objective: 99
    good: {ttft: 10s, tpot: 10s}
    headers: {ttft: x-llm-d-slo-ttft-ms, tpot: x-llm-d-slo-tpot-ms, clamp: [0.01, 4]}
  - {name: tokens, match: {model: tokens}, objective: 95, weight: token, good: {e2e: 60s}}
  - name: slices
    match: {model: slices}
    objective: 99
    weight: slice
    slice: {length: 5m, good_share: 50}
    good: {ttft: 30s}
metrics:
  - {name: theirs, objective: 95, histogram: {metric: "vllm:ttft_seconds", threshold: 2.5}}
"""
GENEROUS = "{first: 30s, each: 5s, min: 1}"
STRICT = "{first: 1ms, each: 1ms, min: 0.9}"
TURN = Turn()
GOOD = ("good", "none")
CLAMPED = "inferometer_slo_header_clamped_total"
STALL = script(Action.STALL)


@dataclass(frozen=True, slots=True)
class Promised:
    """A pair whose sidecar judges by a document that can be written anew."""

    pair: Pair
    path: Path

    def ask(self, model: str, answer: Script, *fields: bytes) -> Answer:
        return self.pair.ask(self.plan(model, answer, *fields))

    def plan(self, model: str, answer: Script, *fields: bytes) -> bytes:
        """Answer a request of its own with a script; return the request."""
        raw = CHAT.ask(Turn(model=model), case=unique_case())
        self.pair.server.scripts[raw.split(b" ", 2)[1]] = answer
        lines = b"".join(b"%b\r\n" % one for one in fields)
        return raw.replace(b"\r\n", b"\r\n" + lines, 1)

    def reload(self, text: str) -> Samples:
        """Write the document and return the page after the sidecar has read it."""
        name = "inferometer_sidecar_reloads_total"
        before = self.pair.sidecar.scrape().total(name, what="slo")
        self.path.write_text(text)
        self.pair.sidecar.signal(signal.SIGHUP)
        return self.pair.sidecar.wait_samples(lambda s: s.total(name, what="slo") > before)


def verdicts(page: Samples, slo: str, *, of: str = "requests") -> dict[tuple[str, str], float]:
    found = page.find(f"inferometer_slo_{of}_total", slo=slo)
    return {(one["verdict"], one["reason"]): n for one, n in found if n}


@pytest.fixture
def promised(tmp_path: Path) -> Iterator[Promised]:
    path = tmp_path / "slo.yaml"
    path.write_text(DOCUMENT.replace("FLUIDITY", GENEROUS))
    with running_pair("--slo", str(path)) as pair:
        yield Promised(pair, path)


def test_a_document_that_says_everything_starts_and_its_page_is_readable(
    promised: Promised,
) -> None:
    page = promised.pair.sidecar.scrape()
    assert promtool_complaints(page.text) == ""
    sums = {"d-fluid", "d-asks", "d-tokens", "d-slices--requests", "request_header"}
    assert page.labels("inferometer_slo_requests_total", "slo") == sums
    assert page.labels("inferometer_slo_tokens_total", "slo") == {"d-tokens"}
    assert page.labels(CLAMPED, "slo") == {"d-asks"}
    assert page.value("inferometer_slo_objective_ratio", slo="d-slices") == 0.99


def test_fluidity_is_judged_and_a_reload_changes_it_for_the_next_request(
    promised: Promised,
) -> None:
    paced = CHAT.script(TURN, Manner(every_s=0.02))
    promised.ask("fluid", paced)
    assert verdicts(promised.pair.sidecar.settle(), "d-fluid") == {GOOD: 1}
    page = promised.reload(DOCUMENT.replace("FLUIDITY", STRICT))
    assert verdicts(page, "d-fluid") == {GOOD: 1}
    promised.ask("fluid", paced)
    found = verdicts(promised.pair.sidecar.settle(), "d-fluid")
    assert found == {GOOD: 1, ("bad", "fluidity"): 1}


def test_a_deadline_in_a_header_is_clamped_and_counts_while_the_answer_is_out(
    promised: Promised,
) -> None:
    sidecar = promised.pair.sidecar
    with sidecar.wire() as wire:
        wire.send(promised.plan("asks", STALL, b"X-SLO-TTFT-MS: 1"))  # 100 ms are the least
        page = sidecar.wait_samples(lambda s: bool(verdicts(s, "d-asks")))
        assert verdicts(page, "d-asks") == {("bad", "ttft"): 1}
        assert page.value("inferometer_waiting_over_slo", slo="d-asks") is not None
    page = sidecar.wait_samples(lambda s: s.value(CLAMPED, slo="d-asks") == 1)
    assert verdicts(page, "d-asks") == {("bad", "ttft"): 1}
    assert verdicts(page, "request_header") == {}


@pytest.mark.req("FO-08")
def test_headers_reach_the_server_as_they_came_and_wrong_ones_change_nothing(
    promised: Promised,
) -> None:
    values = [b"20000", b"soon", b"-1", b"1e9", b"\xff\xfe", b"9" * 400]
    for value in values:
        raw = promised.plan(
            "asks", CHAT.script(TURN), b"x-llm-d-slo-ttft-ms:  " + value, b"X-Slo-Tpot-Ms: 5000"
        )
        assert promised.pair.ask(raw).status == 200
        relayed, direct = promised.pair.server.find(raw.split(b" ", 2)[1])
        for name in (b"x-llm-d-slo-ttft-ms", b"x-slo-tpot-ms"):
            assert relayed.values(name) == direct.values(name) != []
    page = promised.pair.sidecar.settle()
    assert verdicts(page, "d-asks") == {GOOD: len(values)}
    assert page.value(CLAMPED, slo="d-asks") == 0
    assert promtool_complaints(page.text) == ""
    labels = {value for _, found, _ in page for value in found.values()}
    assert not labels & {"20000", "soon", "5000"}, "never a label"


def test_a_deadline_that_no_class_asked_for_is_judged_apart(promised: Promised) -> None:
    promised.ask("fluid", CHAT.script(TURN), b"x-slo-ttft-ms: 60000")
    page = promised.pair.sidecar.settle()
    assert verdicts(page, "request_header") == {GOOD: 1}
    assert verdicts(page, "d-fluid") == {GOOD: 1}


def test_tokens_are_counted_and_a_reload_keeps_what_a_bad_request_weighs(
    promised: Promised,
) -> None:
    broken = script(plain(b"{}", status=500))
    promised.ask("tokens", broken)
    promised.ask("tokens", CHAT.script(TURN))
    promised.ask("tokens", broken)
    each = TURN.output_tokens
    expected = {GOOD: float(each), ("bad", "error"): 1.0 + each}
    page = promised.pair.sidecar.settle()
    assert verdicts(page, "d-tokens", of="tokens") == expected
    assert verdicts(page, "d-tokens") == {GOOD: 1, ("bad", "error"): 2}
    page = promised.reload(DOCUMENT.replace("FLUIDITY", GENEROUS).replace("60s", "50s"))
    assert verdicts(page, "d-tokens", of="tokens") == expected
    promised.ask("tokens", broken)
    expected["bad", "error"] += each
    assert verdicts(promised.pair.sidecar.settle(), "d-tokens", of="tokens") == expected


def test_slices_count_requests_for_the_rules_to_slice(promised: Promised) -> None:
    promised.ask("slices", CHAT.script(TURN))
    promised.ask("slices", script(plain(b"{}", status=500)))
    page = promised.pair.sidecar.settle()
    assert verdicts(page, "d-slices--requests") == {GOOD: 1, ("bad", "error"): 1}
    assert verdicts(page, "d-slices") == {}


@pytest.mark.req("LC-03")
def test_a_reload_that_changes_a_weight_is_refused_with_its_place(promised: Promised) -> None:
    text = DOCUMENT.replace("FLUIDITY", GENEROUS)
    page = promised.reload(text.replace("weight: token, ", ""))
    assert page.value("inferometer_sidecar_reload_ok", what="slo") == 0
    promised.pair.sidecar.wait_log(f"{promised.path}:11:", "restart the sidecar")
    promised.ask("tokens", CHAT.script(TURN))
    page = promised.pair.sidecar.settle()
    assert verdicts(page, "d-tokens", of="tokens") == {GOOD: TURN.output_tokens}
    page = promised.reload(text)
    assert page.value("inferometer_sidecar_reload_ok", what="slo") == 1
