import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from inferometer.gpu.pods import apiserver
from inferometer.gpu.pods.apiserver import ApiError, ApiServer, Slices, fetch
from inferometer.gpu.pods.dra import SliceDevice
from inferometer.gpu.pods.holders import DeviceKey
from support.certificates import Authority
from support.fake_kubelet import GPU_A

TOKEN = "token-of-the-test"

Answer = tuple[int, bytes]


class Server:
    """The API server over TLS; what it answers may be changed at any time."""

    def __init__(self, authority: Authority) -> None:
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        self.answer: Callable[[str, dict[str, list[str]]], Answer] = self.one_page
        self.items: list[Any] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query)
                outer.asked.append((parts.path, query, self.headers["Authorization"]))
                status, body = outer.answer(parts.path, query)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True  # the client had enough

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        context = authority.issue().server_context()
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    def one_page(self, _path: str, _query: dict[str, list[str]]) -> Answer:
        return 200, json.dumps({"items": self.items, "metadata": {}}).encode()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    server = Server(authority)
    server.thread.start()
    yield server
    server.released.set()
    server.http.shutdown()
    server.thread.join()
    server.http.server_close()


@pytest.fixture
def api(server: Server, authority: Authority, tmp_path: Path) -> ApiServer:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    return ApiServer(
        host="127.0.0.1",
        port=server.http.server_port,
        node="node-1",
        token_path=token,
        ca_path=authority.file,
        timeout_s=5.0,
    )


def item(generation: int = 1) -> dict[str, Any]:
    device = {"name": "gpu-0", "attributes": {"uuid": {"string": GPU_A}}}
    pool = {"name": "node-1", "generation": generation}
    return {"spec": {"driver": "gpu.nvidia.com", "pool": pool, "devices": [device]}}


def test_slices_of_our_own_node_are_asked_for_with_our_token(
    server: Server, api: ApiServer
) -> None:
    server.items = [item()]
    assert fetch(api) == [item()]
    ((path, query, authorization),) = server.asked
    assert path == "/apis/resource.k8s.io/v1/resourceslices"
    assert query == {"fieldSelector": ["spec.nodeName=node-1"], "limit": ["100"]}
    assert authorization == f"Bearer {TOKEN}"


def test_pages_are_followed_to_the_last(server: Server, api: ApiServer) -> None:
    def answer(_path: str, query: dict[str, list[str]]) -> Answer:
        page = int(query.get("continue", ["0"])[0])
        metadata = {"continue": str(page + 1)} if page < 3 else {}
        return 200, json.dumps({"items": [item(page)], "metadata": metadata}).encode()

    server.answer = answer
    assert fetch(api) == [item(page) for page in range(4)]


def test_pages_without_an_end_are_given_up(server: Server, api: ApiServer) -> None:
    server.answer = lambda _path, _query: (200, b'{"items":[],"metadata":{"continue":"x"}}')
    with pytest.raises(ApiError, match="without an end"):
        fetch(api)
    assert len(server.asked) == apiserver.PAGES_MAX + 1


def test_a_page_that_is_gone_is_an_error(server: Server, api: ApiServer) -> None:
    def answer(_path: str, query: dict[str, list[str]]) -> Answer:
        return (404, b"") if "continue" in query else (200, b'{"metadata":{"continue":"x"}}')

    server.answer = answer
    with pytest.raises(ApiError):
        fetch(api)


def test_an_older_cluster_is_asked_in_its_own_version(server: Server, api: ApiServer) -> None:
    def answer(path: str, query: dict[str, list[str]]) -> Answer:
        return server.one_page(path, query) if "v1beta1" in path else (404, b"{}")

    server.items, server.answer = [item()], answer
    assert fetch(api) == [item()]
    assert [path.split("/")[3] for path, _, _ in server.asked] == ["v1", "v1beta2", "v1beta1"]


def test_a_cluster_without_slices_is_an_error(server: Server, api: ApiServer) -> None:
    server.answer = lambda _path, _query: (404, b"{}")
    with pytest.raises(ApiError, match="no resourceslices"):
        fetch(api)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((403, b"{}"), "status 403"),
        ((500, b""), "status 500"),
        ((200, b"no json"), "JSONDecodeError"),
        ((200, b"[]"), "no list"),
        ((200, b"\xff"), "UnicodeDecodeError"),
        ((200, b"[" * 100_000), "RecursionError"),
    ],
)
def test_answers_of_every_other_kind_are_one_kind_of_error(
    server: Server, api: ApiServer, answer: Answer, message: str
) -> None:
    server.answer = lambda _path, _query: answer
    with pytest.raises(ApiError, match=message):
        fetch(api)


def test_the_size_of_an_answer_is_bounded(server: Server, api: ApiServer) -> None:
    server.answer = lambda _path, _query: (200, bytes(apiserver.ANSWER_BYTES_MAX + 1))
    with pytest.raises(ApiError, match="above"):
        fetch(api)


def test_a_server_that_hangs_costs_the_timeout(server: Server, api: ApiServer) -> None:
    def answer(_path: str, _query: dict[str, list[str]]) -> Answer:
        server.released.wait(10)
        return 200, b"{}"

    server.answer = answer
    short = ApiServer(
        host=api.host,
        port=api.port,
        node=api.node,
        token_path=api.token_path,
        ca_path=api.ca_path,
        timeout_s=0.3,
    )
    with pytest.raises(ApiError, match=r"TimeoutError|in time"):  # or it took long to connect
        fetch(short)


def test_the_time_is_that_of_all_pages_together(server: Server, api: ApiServer) -> None:
    now_s = iter(range(0, 1000, 2))
    server.answer = lambda _path, _query: (200, b'{"items":[],"metadata":{"continue":"x"}}')
    with pytest.raises(ApiError, match="in time"):
        fetch(api, clock=lambda: next(now_s))
    assert len(server.asked) < 4


def test_a_server_that_our_authority_did_not_sign_for_gets_no_token(
    server: Server, api: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    api.ca_path.write_bytes(Authority(folder).file.read_bytes())
    with pytest.raises(ApiError, match="SSL"):
        fetch(api)
    assert server.asked == []


@pytest.mark.parametrize("token", [b"", b"a\nb", b"\xff", b"a\rb"])
def test_a_token_that_is_none_is_not_sent(server: Server, api: ApiServer, token: bytes) -> None:
    api.token_path.write_bytes(token)
    with pytest.raises(ApiError, match="no token"):
        fetch(api)
    assert server.asked == []


def test_without_a_token_nothing_is_asked(server: Server, api: ApiServer) -> None:
    api.token_path.unlink()
    with pytest.raises(ApiError, match="FileNotFoundError"):
        fetch(api)
    assert server.asked == []


def test_an_answer_and_a_failure_are_kept_for_a_while(server: Server, api: ApiServer) -> None:
    now_s = [0.0]
    slices = Slices(api, clock=lambda: now_s[0])
    server.items = [item()]
    assert slices.known == {}
    assert slices.refresh()
    assert slices.known == {SliceDevice("gpu.nvidia.com", "node-1", "gpu-0"): DeviceKey(uuid=GPU_A)}
    assert not slices.refresh()
    server.answer = lambda _path, _query: (500, b"")
    now_s[0] = apiserver.KEEP_S
    with pytest.raises(ApiError):
        slices.refresh()
    assert not slices.refresh()
    assert len(server.asked) == 2
    assert slices.known != {}
    now_s[0] = apiserver.STALE_S + 1
    assert slices.known == {}
