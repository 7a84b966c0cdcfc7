"""A streaming model server without a model: the OpenAI routes over the simulated engine.

Run as a child: `python -m inferometer.demo.model SEED`; prints its port when it listens. It serves
`POST /v1/chat/completions`, `GET /v1/models` and `/health`, fails now and then as servers do, and
tells at `GET /demo/truth` what it really did. Tokens are syllables.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from inferometer.demo.engine import Engine, Job, Shape
from inferometer.demo.truth import Answer, End, Truth

MODEL: Final = "demo-8b"
HEAD_BYTES_MAX: Final = 16 << 10
BODY_BYTES_MAX: Final = 4 << 20
OUTPUT_TOKENS_MAX: Final = 4096
OUTPUT_TOKENS_DEFAULT: Final = 128

FAULTS: Final[Mapping[End, float]] = {"error": 0.004, "stream_error": 0.003, "aborted": 0.003}
"""Share of requests that fail: at once with 500, with an error in the stream, by a reset."""

VOWELS: Final = "aeiou"
CONSONANTS: Final = "bdfgklmnprst"
"""Tokens are syllables: what a demo says is nobody's text."""

Head = tuple[str, str, Mapping[str, str]]
"""Method, target, fields with lower-case names."""


@dataclass(eq=False, slots=True)
class Work:
    """A request that is answered: who gets its tokens, and what is written down about it."""

    connection: "Connection"
    job: Job
    answer: Answer
    identity: str
    usage: bool
    fault: End | None
    fault_at: int = field(default=1)


class Server:
    """The engine's clock and the answers in progress."""

    def __init__(
        self, *, seed: int, shape: Shape | None = None, faults: Mapping[End, float] = FAULTS
    ) -> None:
        """Start idle. `faults` are the shares of requests that fail, by how they do."""
        self.engine = Engine(shape or Shape(), seed=seed)
        self._faults = faults
        self.truth = Truth()
        self.works: dict[Job, Work] = {}
        self._random = Random(seed + 1)  # noqa: S311 - a simulation
        self._wake = asyncio.Event()
        self._count = 0

    def accept(
        self, connection: "Connection", body: Mapping[str, Any], start_s: float
    ) -> Work | None:
        """Queue a request, or None where it was answered at once with an error."""
        self._count += 1
        job = _job(body)
        answer = Answer(start_s, job.prompt_tokens)
        fault = self._fault()
        if fault == "error":
            self.truth.end(answer, fault, now_s=time.monotonic())
            connection.reply(500, {"error": {"message": "the demo fails now and then"}})
            return None
        if not self.engine.submit(job):
            self.truth.end(answer, "rejected", now_s=time.monotonic())
            connection.reply(429, {"error": {"message": "the queue is full"}})
            return None
        options = body.get("stream_options")
        usage = isinstance(options, dict) and options.get("include_usage") is True
        work = Work(connection, job, answer, f"chatcmpl-{self._count}", usage, fault)
        work.fault_at = self._random.randint(1, job.output_tokens)
        self.works[job] = work
        self._wake.set()
        return work

    def leave(self, work: Work) -> None:
        """Stop a request whose client has gone."""
        if self.works.pop(work.job, None) is not None:
            self.engine.cancel(work.job)
            self.truth.end(work.answer, "client_left", now_s=time.monotonic())

    async def run(self) -> None:
        """Turn the engine for ever, in real time."""
        due_s = time.monotonic()
        while True:
            if not self.engine.busy:
                self._wake.clear()
                await self._wake.wait()
                now_s = time.monotonic()
                self.engine.idle(max(0.0, now_s - due_s))
                due_s = now_s
            step = self.engine.step()
            for job in step.admitted:
                self.works[job].connection.begin(self.works[job])
            due_s = max(due_s + step.duration_s, time.monotonic() - step.duration_s)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self.truth.woke(max(0.0, time.monotonic() - due_s))
            for job in step.tokens:
                if job in self.works:
                    self._token(self.works[job])

    def _token(self, work: Work) -> None:
        """Write one token, and the end of the answer where it was the last."""
        if work.fault is not None and work.job.generated == work.fault_at:
            self._break(work, work.fault)
            return
        syllable = self._random.choice(CONSONANTS) + self._random.choice(VOWELS)
        work.connection.token(work, syllable)
        work.answer.token_moments_s.append(time.monotonic())
        if work.job.generated == 1:
            self.truth.first(work.answer)
        if work.job.generated == work.job.output_tokens:
            self._end(work, "success")
            work.connection.finish(work)

    def _break(self, work: Work, fault: End) -> None:
        self.engine.cancel(work.job)
        self._end(work, fault)
        work.connection.fail(reset=fault == "aborted")

    def _end(self, work: Work, how: End) -> None:
        del self.works[work.job]
        self.truth.end(work.answer, how, now_s=time.monotonic())

    def _fault(self) -> End | None:
        """Draw whether, and how, the next request fails."""
        ends: list[End | None] = [None, *self._faults]
        shares = [1 - sum(self._faults.values()), *self._faults.values()]
        return self._random.choices(ends, shares)[0]


class Connection(asyncio.Protocol):
    """One client connection: one request after the other."""

    def __init__(self, server: Server) -> None:
        """Wait for a request."""
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._work: Work | None = None
        self._start_s: float | None = None
        self._last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop generating for a client that has gone."""
        del exc
        self._transport = None
        if self._work is not None:
            self._server.leave(self._work)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._received += data
        if len(self._received) > HEAD_BYTES_MAX + BODY_BYTES_MAX:
            self._close()
        else:
            self._read()

    def reply(self, status: int, body: Mapping[str, Any]) -> None:
        """Answer with a JSON document."""
        data = json.dumps(body).encode()
        head = (
            f"HTTP/1.1 {status} Demo\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        self._write(head.encode() + data)
        self._next()

    def begin(self, work: Work) -> None:
        """Write the head, and the chunk that names the role: bytes, but no token yet."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        self._write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        self._event(_chunk(work, {"role": "assistant", "content": ""}))

    def token(self, work: Work, text: str) -> None:
        """Write one token."""
        self._event(_chunk(work, {"content": text}))

    def finish(self, work: Work) -> None:
        """Write why it ended, the usage if it was asked for, and the terminator."""
        self._event(_chunk(work, {}, finish="length"))
        if work.usage:
            prompt, output = work.job.prompt_tokens, work.job.output_tokens
            usage = {"prompt_tokens": prompt, "completion_tokens": output}
            usage["total_tokens"] = prompt + output
            self._event(_chunk(work, None) | {"usage": usage})
        self._over()

    def fail(self, *, reset: bool) -> None:
        """Break an answer that has begun: by an error in the stream, or by closing it."""
        if reset:
            self._work = None
            if self._transport is not None:
                self._transport.abort()
            return
        self._event({"error": {"message": "the demo fails now and then", "code": 500}})
        self._over()

    def _over(self) -> None:
        self._write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        self._work = None
        self._next()

    def _next(self) -> None:
        """Close if the client wants that after this answer; else serve what it sent meanwhile."""
        if self._last:
            self._close()
        elif self._received:
            asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        """Serve the next request if it is here as a whole."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._work is not None:
            return
        if self._start_s is None:
            self._start_s = time.monotonic()
        head = _head(bytes(self._received[:end]))
        size = int(head[2].get("content-length", "0")) if head else 0
        if head is None or not 0 <= size <= BODY_BYTES_MAX:
            self._close()
            return
        if len(self._received) < end + 4 + size:
            return
        body = bytes(self._received[end + 4 : end + 4 + size])
        del self._received[: end + 4 + size]
        start_s, self._start_s = self._start_s, None
        self._last = head[2].get("connection", "").lower() == "close"
        self._serve(head, body, start_s)

    def _serve(self, head: Head, body: bytes, start_s: float) -> None:
        match head[0], head[1]:
            case "POST", "/v1/chat/completions":
                self._work = self._server.accept(self, _object(body), start_s)
            case "GET", "/v1/models":
                self.reply(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            case "GET", "/health":
                self.reply(200, {})
            case "GET", "/demo/truth":
                self.reply(200, self._server.truth.told())
            case _:
                self.reply(404, {"error": {"message": "no such route"}})

    def _event(self, message: Mapping[str, Any]) -> None:
        event = b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"
        self._write(b"%x\r\n%b\r\n" % (len(event), event))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _job(body: Mapping[str, Any]) -> Job:
    """Return what a request asks for; each word of its messages is a token."""
    messages = body.get("messages")
    contents = [
        one.get("content")
        for one in (messages if isinstance(messages, list) else [])
        if isinstance(one, dict)
    ]
    words = sum(len(content.split()) for content in contents if isinstance(content, str))
    wanted = body.get("max_tokens")
    tokens = wanted if isinstance(wanted, int) else OUTPUT_TOKENS_DEFAULT
    return Job(max(1, words), min(max(1, tokens), OUTPUT_TOKENS_MAX))


def _chunk(
    work: Work, delta: Mapping[str, str] | None, finish: str | None = None
) -> dict[str, Any]:
    """Return a chunk; `delta` None is the last one, which has no choices but the usage."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": work.identity,
        "object": "chat.completion.chunk",
        "model": MODEL,
        "choices": [] if delta is None else [choice],
    }


def _head(data: bytes) -> Head | None:
    """Read a request head; None if it is none."""
    first, *lines = data.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    fields = [line.partition(":") for line in lines]
    lengths = [value.strip() for name, _, value in fields if name.lower() == "content-length"]
    if len(parts) != 3 or any(not length.isascii() or not length.isdigit() for length in lengths):  # noqa: PLR2004 - method, target, version
        return None
    return parts[0], parts[1], {name.lower(): value.strip() for name, _, value in fields}


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def serve(seed: int) -> None:
    """Listen on a free port of the loopback, tell it on stdout, and serve for ever."""
    server = Server(seed=seed)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with listening:
        await server.run()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
