"""A proxy as people write it with aiohttp and prometheus_client: one histogram of gaps."""

import sys
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from prometheus_client import Histogram

UPSTREAM = web.AppKey("UPSTREAM", str)
SESSION = web.AppKey("SESSION", aiohttp.ClientSession)
GAPS = Histogram("gap_seconds", "Seconds between chunks", ["model"])
SKIPPED = {"content-length", "transfer-encoding", "connection"}


async def relay(request: web.Request) -> web.StreamResponse:
    """Pass a request on and stream the answer back, chunk by chunk."""
    gaps = GAPS.labels("bench-7b")
    url = request.app[UPSTREAM] + request.path_qs
    headers = {k: v for k, v in request.headers.items() if k.lower() not in {*SKIPPED, "host"}}
    async with request.app[SESSION].request(
        request.method, url, headers=headers, data=request.content
    ) as answer:
        fields = {k: v for k, v in answer.headers.items() if k.lower() not in SKIPPED}
        response = web.StreamResponse(status=answer.status, headers=fields)
        await response.prepare(request)
        last = time.monotonic()
        async for chunk in answer.content.iter_any():
            now = time.monotonic()
            gaps.observe(now - last)
            last = now
            await response.write(chunk)
        await response.write_eof()
        return response


async def session(app: web.Application) -> AsyncIterator[None]:
    """Keep one client session while the application runs."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False
    ) as opened:
        app[SESSION] = opened
        yield


def main() -> None:
    """Serve on the port of the first argument, for the upstream port of the second."""
    import uvloop

    uvloop.install()
    app = web.Application(client_max_size=1 << 30)
    app[UPSTREAM] = f"http://127.0.0.1:{sys.argv[2]}"
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{tail:.*}", relay)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
