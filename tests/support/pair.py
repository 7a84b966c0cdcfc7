"""A scripted server with a sidecar in front of it, and the twin rule.

Every exchange that goes through `Pair.ask` is replayed against the server directly, and what the
client got must be equal: status line, end-to-end fields in their order, body, chunk sizes,
trailers, interim answers, and the way it ended.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from support.client import Answer, Wire
from support.connection import Exchange
from support.framing import StatusHead
from support.llm import ScriptedServer
from support.script import Action, Script
from support.sidecar import Sidecar

_numbers = itertools.count()

OF_ONE_HOP: Final = frozenset((b"connection", b"keep-alive", b"transfer-encoding"))


def unique_case() -> str:
    """Return a word that no other test uses, for `Speaker.ask`."""
    return f"c{next(_numbers)}"


def unique(path: str = "/t") -> str:
    """Return a target that no other test uses."""
    return f"{path}?case={unique_case()}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both ends of the road."""

    server: ScriptedServer
    sidecar: Sidecar

    def plan(self, script: Script, path: str = "/t") -> str:
        """Answer a target of its own with this script; return the target."""
        target = unique(path)
        self.server.scripts[target.encode()] = script
        return target

    def ask(self, *parts: bytes, method: str = "GET", timeout_s: float = 10.0) -> Answer:
        """Send a request through the sidecar, then directly; return the first, equal answer."""
        with self.sidecar.wire(timeout_s=timeout_s) as wire:
            relayed = wire.ask(*parts, method=method)
        with Wire(self.server.address, timeout_s=timeout_s) as wire:
            assert_twins(relayed, wire.ask(*parts, method=method))
        return relayed

    def ask_in_step(self, ask: bytes, steps: Script) -> Answer:
        """Play a script whose pieces wait for each other (`Manner.in_step`), and its twin."""
        with self.sidecar.wire() as wire:
            _, relayed = in_step(self.server, wire, ask, steps)
        with Wire(self.server.address) as wire:
            _, direct = in_step(self.server, wire, ask, steps)
        assert_twins(relayed, direct)
        return relayed

    def exchange(self, target: str) -> Exchange:
        """Return the exchange that the server had for this target, the first one."""
        return self.server.wait_exchange(target.encode())

    @property
    def upstream_bytes(self) -> int:
        """How many bytes the server has received so far."""
        return sum(c.received_bytes for c in list(self.server.connections))


def in_step(server: ScriptedServer, wire: Wire, ask: bytes, steps: Script) -> tuple[int, Answer]:
    """Play a script whose pieces wait for each other; return the moment of sending, and the answer.

    A script without cues is simply played.
    """
    target = ask.split(b" ", 2)[1]
    server.scripts[target] = steps
    before = len(server.find(target))
    waiting = [s.tag for s in steps.steps if s.what is Action.AWAIT_CUE]
    sent_ns = time.monotonic_ns()
    wire.send(ask)

    def progress(body_bytes: int) -> None:
        while waiting and isinstance(waiting[0], int) and body_bytes >= waiting[0]:
            waiting.pop(0)
            server.wait(lambda: len(server.find(target)) > before)
            server.find(target)[-1].cue()

    return sent_ns, wire.read_answer(progress=progress)


def end_to_end(head: StatusHead) -> tuple[bytes, int, bytes, list[tuple[bytes, bytes]]]:
    """Return what of a head must not change on the way."""
    fields = [(n, v) for n, v in head.fields if n.lower() not in OF_ONE_HOP]
    return head.version, head.status, head.reason, fields


def assert_twins(relayed: Answer, direct: Answer) -> None:
    """Compare what came through the sidecar with what came directly."""
    assert end_to_end(relayed.head) == end_to_end(direct.head)
    assert [end_to_end(h) for h in relayed.interim] == [end_to_end(h) for h in direct.interim]
    assert relayed.body == direct.body
    assert relayed.chunks == direct.chunks
    assert relayed.trailers == direct.trailers
    assert (relayed.end == "complete") == (direct.end == "complete")


@contextlib.contextmanager
def running_pair(*flags: str, environ: Mapping[str, str] | None = None) -> Iterator[Pair]:
    """Run a server and a sidecar for the length of a block."""
    with ScriptedServer() as server, Sidecar(server.url, *flags, environ=environ) as sidecar:
        yield Pair(server, sidecar)
