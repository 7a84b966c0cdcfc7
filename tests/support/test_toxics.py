import time
from collections.abc import Iterator

import pytest

from support.client import ask
from support.llm import ScriptedServer
from support.script import LAST_CHUNK, chunk, head, plain, request, script
from support.toxics import (
    Bandwidth,
    Down,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    ToxicProxy,
)

BODY = bytes(range(256)) * 40


@pytest.fixture
def proxy() -> Iterator[ToxicProxy]:
    steps = script(head(200, ("Transfer-Encoding", "chunked")), chunk(BODY), LAST_CHUNK)
    closing = script(plain(BODY, ("Connection", "close")))
    with (
        ScriptedServer({b"/": steps, b"/close": closing}) as server,
        ToxicProxy(("127.0.0.1", server.port)) as toxic,
    ):
        yield toxic


def fetch(proxy: ToxicProxy) -> tuple[float, bytes, str]:
    start_s = time.monotonic()
    answer = ask(proxy.address, request("GET", "/"))
    return time.monotonic() - start_s, answer.body, answer.end


def test_without_toxics_everything_passes(proxy: ToxicProxy) -> None:
    assert fetch(proxy)[1:] == (BODY, "complete")


def test_latency_delays(proxy: ToxicProxy) -> None:
    proxy.poison("up", Latency(0.1))
    proxy.poison("down", Latency(0.1, jitter_s=0.02))
    took_s, body, end = fetch(proxy)
    assert took_s >= 0.18
    assert (body, end) == (BODY, "complete")


def test_down_refuses_and_heal_opens_again(proxy: ToxicProxy) -> None:
    proxy.poison("down", Down())
    with pytest.raises(ConnectionError):
        fetch(proxy)
    proxy.heal()
    assert fetch(proxy)[1:] == (BODY, "complete")


def test_bandwidth_throttles(proxy: ToxicProxy) -> None:
    proxy.poison("down", Bandwidth(bytes_per_s=100_000))
    took_s, body, _ = fetch(proxy)
    assert took_s >= 0.1
    assert body == BODY


def test_slow_close_holds_the_end_back(proxy: ToxicProxy) -> None:
    proxy.poison("up", SlowClose(0.2))
    assert fetch(proxy)[1:] == (BODY, "complete")


def test_timeout_passes_nothing_and_closes(proxy: ToxicProxy) -> None:
    proxy.poison("down", Timeout(0.1))
    start_s = time.monotonic()
    with pytest.raises(Exception, match=r"."):
        fetch(proxy)
    assert time.monotonic() - start_s >= 0.1


def test_a_timeout_without_end_only_stalls(proxy: ToxicProxy) -> None:
    proxy.poison("down", Timeout(None))
    start_s = time.monotonic()
    with pytest.raises(TimeoutError):
        ask_with_patience(proxy, 0.2)
    assert time.monotonic() - start_s >= 0.2


def ask_with_patience(proxy: ToxicProxy, timeout_s: float) -> None:
    from support.client import Wire

    with Wire(proxy.address, timeout_s=timeout_s) as wire:
        wire.ask(request("GET", "/"))


def test_reset_peer_resets(proxy: ToxicProxy) -> None:
    proxy.poison("up", ResetPeer(0.0))
    with pytest.raises(ConnectionResetError):
        fetch(proxy)


def test_slicer_cuts_and_loses_nothing(proxy: ToxicProxy) -> None:
    proxy.poison("down", Slicer(1000, variation=500, delay_s=0.001))
    _, body, end = fetch(proxy)
    assert (body, end) == (BODY, "complete")


def test_limit_data_ends_early(proxy: ToxicProxy) -> None:
    proxy.poison("down", LimitData(2000))
    _, body, end = fetch(proxy)
    assert end == "short"
    assert BODY.startswith(body)
    assert 1000 < len(body) < 2000
