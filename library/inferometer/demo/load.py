"""The demo's clients: replay the trace against a base URL, and leave early now and then.

Run as a child: `python -m inferometer.demo.load PORT SEED SPEED`; says `ready` when it begins.
SIGTERM ends the arrivals; the requests in flight are finished, then one line of JSON tells how they
ended for the clients.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from inferometer.demo import trace
from inferometer.demo.trace import Arrival

READY: Final = "ready"
"""Said once SIGTERM ends it in order."""

IN_FLIGHT_MAX: Final = 256
"""Requests at a time; arrivals beyond are left out and counted."""

PART_BYTES: Final = 65_536
TAIL_BYTES: Final = 64
"""Of an answer, this much is kept: enough to see whether its end is there."""

DONE: Final = b"data: [DONE]"


@dataclass(frozen=True, slots=True)
class Manners:
    """How clients behave."""

    leaving_share: float = 0.04
    """How many of them leave before the end."""
    leaving_s: tuple[float, float] = (0.05, 3.0)
    """When they leave, after they asked."""
    finish_s: float = 12.0
    """How long requests in flight may take after the last arrival; then all leave."""


class Load:
    """Clients of one server."""

    def __init__(
        self,
        *,
        port: int,
        seed: int,
        manners: Manners | None = None,
        clients_max: int = IN_FLIGHT_MAX,
    ) -> None:
        """Aim at a port of the loopback."""
        self.ends: Counter[str] = Counter()
        self._manners = manners or Manners()
        self._clients_max = clients_max
        self._port = port
        self._random = Random(seed)  # noqa: S311 - a simulation
        self._tasks: set[asyncio.Task[None]] = set()

    async def replay(self, arrivals: Iterable[Arrival], stopping: asyncio.Event) -> None:
        """Send requests at their moments until told to stop, then wait for those in flight."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for arrival in arrivals:
            if await _stopped(stopping, start_s + arrival.at_s - loop.time()):
                break
            if len(self._tasks) >= self._clients_max:
                self.ends["not_sent"] += 1
                continue
            task = asyncio.create_task(self._ask(arrival))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._manners.finish_s)
        late = set(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _ask(self, arrival: Arrival) -> None:
        patience_s = self._random.uniform(*self._manners.leaving_s) if self._leaves() else None
        try:
            async with asyncio.timeout(patience_s):
                self.ends[await self._answer(self._request(arrival))] += 1
        except TimeoutError:
            self.ends["left"] += 1
        except OSError:
            self.ends["broken"] += 1

    def _leaves(self) -> bool:
        return self._random.random() < self._manners.leaving_share

    def _request(self, arrival: Arrival) -> bytes:
        body = json.dumps(
            {
                "model": "demo-8b",
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": arrival.output_tokens,
                "messages": [{"role": "user", "content": " word" * arrival.prompt_tokens}],
            }
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body

    async def _answer(self, request: bytes) -> str:
        """Send a request and read its answer to the end of the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request)
            first = await reader.read(PART_BYTES)
            tail = first
            while part := await reader.read(PART_BYTES):
                tail = (tail + part)[-TAIL_BYTES:]
        finally:
            writer.transport.abort()
        status = first[9:12].decode("latin-1")
        if status != "200":
            return status or "broken"
        return "complete" if DONE in tail else "broken"


async def _stopped(stopping: asyncio.Event, wait_s: float) -> bool:
    """Wait, but not beyond the end; tell whether that has come."""
    try:
        async with asyncio.timeout(max(0.0, wait_s)):
            return await stopping.wait()
    except TimeoutError:
        return False


async def main(port: int, seed: int, speed: float) -> None:
    """Replay until SIGTERM, then tell on stdout how it went."""
    load = Load(port=port, seed=seed)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    await load.replay(trace.replay(trace.load(), speed=speed), stopping)
    sys.stdout.write(json.dumps(load.ends) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
