"""A proxy as people write it with FastAPI and httpx, run by uvicorn with uvloop and httptools."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

SKIPPED = {"content-length", "transfer-encoding", "connection", "host"}


def make(upstream: str) -> FastAPI:
    """Return the application for an upstream URL."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=upstream, timeout=None, limits=limits) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def relay(path: str, request: Request) -> StreamingResponse:
        client: httpx.AsyncClient = request.app.state.client
        headers = {k: v for k, v in request.headers.items() if k.lower() not in SKIPPED}
        sent = client.build_request(
            request.method, f"/{path}", headers=headers, content=await request.body()
        )
        answer = await client.send(sent, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()

        fields = {k: v for k, v in answer.headers.items() if k.lower() not in SKIPPED}
        return StreamingResponse(body(), status_code=answer.status_code, headers=fields)

    return app


def main() -> None:
    """Serve on the port of the first argument, for the upstream port of the second."""
    app = make(f"http://127.0.0.1:{sys.argv[2]}")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error")


if __name__ == "__main__":
    main()
