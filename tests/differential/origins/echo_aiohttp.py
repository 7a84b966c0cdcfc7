"""An echo server on aiohttp: `python echo_aiohttp.py PORT LOG`."""

import asyncio
import sys

from aiohttp import web

from differential.origins.record import Record


async def main(port: int, record: Record) -> None:
    async def echo(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        # Below the router, which knows no targets but paths.
        target = request._message.path.encode("utf-8", "surrogateescape")
        record.add(request.method.encode(), target, body)
        return web.Response(text="seen")

    runner = web.ServerRunner(web.Server(echo), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Record(sys.argv[2])))
