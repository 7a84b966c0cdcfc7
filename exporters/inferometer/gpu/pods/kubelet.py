"""The kubelet's pod-resources API: who has which devices, asked over its unix socket.

`List` is the map. It has no pod UIDs, and before Kubernetes 1.34 it tells of dynamic resource
allocation only behind a feature gate. Whether that gate is shut cannot be seen in the answer, so
`Get`, which usually shares its fate, is asked once for each kubelet: if it says "disabled", pods
with claimed devices are unknown, and the error `dra_gate` says so.
"""

from pathlib import Path
from typing import Final

from inferometer.gpu.pods import proto, unary

SOCKET: Final = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
"""Mount its folder rather than the socket, which the kubelet makes anew at each start."""
TIMEOUT_S: Final = 2.0

_LIST: Final = "/v1.PodResourcesLister/List"
_GET: Final = "/v1.PodResourcesLister/Get"
_NOBODY: Final = "inferometer-no-such-pod"


class Kubelet:
    """Asks the kubelet at `socket_path`; one thread only."""

    def __init__(self, socket_path: Path = SOCKET, *, timeout_s: float = TIMEOUT_S) -> None:
        """Connect to nothing yet."""
        self._endpoint = unary.Endpoint(socket_path, timeout_s)
        self._probed: tuple[int, int] | None = None

    def pods(self) -> tuple[proto.PodResources, ...]:
        """Return what every container has. Raises unary.CallError."""
        answer = unary.call(self._endpoint, _LIST, b"")
        try:
            return proto.decode_list(answer)
        except proto.ProtoError as error:
            reason = "too_many" if error.too_many else "garbage"
            raise unary.CallError(str(error), reason=reason) from None

    def gate_is_shut(self) -> bool:
        """Ask `Get` once for each kubelet that we meet; True if it answers "disabled".

        False also where nothing is known: on failures, and on kubelets that were asked before.
        """
        socket = self._socket()
        if socket is None or socket == self._probed:
            return False
        try:
            unary.call(self._endpoint, _GET, proto.encode_get(_NOBODY, _NOBODY))
        except unary.CallError as error:
            if error.reason == "grpc_status":
                self._probed = socket  # it has answered; that the pod is not found is right
            elif error.reason == "unimplemented":
                self._probed = socket  # older than 1.27: no `Get`, and no gate
            return error.reason == "grpc_status" and "disabled" in error.detail.lower()
        self._probed = socket
        return False

    def _socket(self) -> tuple[int, int] | None:
        """Return what tells one kubelet's socket from the next one's."""
        try:
            found = self._endpoint.socket_path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
