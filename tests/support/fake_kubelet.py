"""A kubelet for tests, on a unix socket: `GrpcKubelet` is a real gRPC server, `RawKubelet` one of
bare HTTP/2 frames, for faults that no gRPC library would send.
"""

import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from inferometer.gpu.pods.proto import (
    ContainerResources,
    PluginDevices,
    PodResources,
    encode_list,
)

GPU_A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
GPU_B = "GPU-bbbbbbbb-0000-0000-0000-000000000000"
NOT_FOUND = (grpc.StatusCode.UNKNOWN, "pod not found")
DISABLED = (grpc.StatusCode.UNKNOWN, "PodResources API Get method disabled")


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """Yield a folder whose path is short enough for a unix socket's 108 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="kubelet-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def pod(
    name: str,
    *ids: str,
    namespace: str = "serving",
    container: str = "vllm",
    resource: str = "nvidia.com/gpu",
) -> PodResources:
    """Return a pod of one container that has the given devices."""
    groups = (PluginDevices(resource, ids),) if ids else ()
    return PodResources(name, namespace, (ContainerResources(container, groups),))


class GrpcKubelet:
    """A gRPC server as the kubelet has one. What it answers may be changed at any time."""

    def __init__(self, path: Path, pods: Iterable[PodResources] = ()) -> None:
        self.path = path
        self.answer = encode_list(tuple(pods))
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.get_failure: tuple[grpc.StatusCode, str] | None = NOT_FOUND
        self.slow = threading.Event()
        """While it is clear, answers are slow: they wait for it."""
        self.slow.set()
        self.calls: list[str] = []
        self.metadata: dict[str, str] = {}
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        handlers: dict[str, Any] = {
            "List": grpc.unary_unary_rpc_method_handler(self._list),
            "Get": grpc.unary_unary_rpc_method_handler(self._get),
        }
        service = grpc.method_handlers_generic_handler("v1.PodResourcesLister", handlers)
        self._server.add_generic_rpc_handlers((service,))
        self._server.add_insecure_port(f"unix:{path}")

    def hold(self, *pods: PodResources) -> None:
        """Answer with these pods from now on."""
        self.answer = encode_list(pods)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.slow.set()
        self._server.stop(grace=None).wait()
        self.path.unlink(missing_ok=True)

    def _list(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls.append("List")
        self.metadata = {str(name): str(value) for name, value in context.invocation_metadata()}
        self.slow.wait(10)
        if self.failure is not None:
            context.abort(*self.failure)
        return self.answer

    def _get(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls.append("Get")
        if self.get_failure is not None:
            context.abort(*self.get_failure)
        return b""


class Call:
    """One connection to a `RawKubelet`, with the request read; a script answers as it likes."""

    def __init__(self, sock: socket.socket, stopped: threading.Event) -> None:
        self.sock = sock
        self.stopped = stopped
        self.headers: dict[str, str] = {}
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.stream = 1

    def read_request(self) -> None:
        """Read until the client has sent its request."""
        self.h2.initiate_connection()
        self.flush()
        ended = False
        while not ended:
            data = self.sock.recv(65536)
            assert data, "the client left before it asked"
            for event in self.h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.headers = {str(name): str(value) for name, value in event.headers}
                    self.stream = event.stream_id
                ended = ended or isinstance(event, StreamEnded)
            self.flush()

    def flush(self) -> None:
        """Send what h2 has ready."""
        self.sock.sendall(self.h2.data_to_send())

    def head(self, *headers: tuple[str, str], status: str = "200", end: bool = False) -> None:
        """Send response headers."""
        first = [(":status", status), ("content-type", "application/grpc")]
        self.h2.send_headers(self.stream, [*first, *headers], end_stream=end)
        self.flush()

    def message(self, message: bytes, *, length: int | None = None, compressed: int = 0) -> None:
        """Send a message that fits a window, with a length that may be a lie."""
        prefix = struct.pack(">BI", compressed, len(message) if length is None else length)
        self.h2.send_data(self.stream, prefix + message)
        self.flush()

    def trailers(self, status: str = "0") -> None:
        """End the answer with a status."""
        self.h2.send_headers(self.stream, [("grpc-status", status)], end_stream=True)
        self.flush()


Script = Callable[[Call], None]


class RawKubelet:
    """A server that reads a request and then does what its script says, once a connection."""

    def __init__(self, path: Path, script: Script, *, reads: bool = True) -> None:
        self.path = path
        self.script = script
        self.calls: list[Call] = []
        self._reads = reads
        self._stopped = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(5)
                call = Call(sock, self._stopped)
                self.calls.append(call)
                with contextlib.suppress(OSError):  # the client hangs up when it has enough
                    if self._reads:
                        call.read_request()
                    self.script(call)
