import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferometer.gpu.pods import unary
from inferometer.gpu.pods.unary import CallError, Endpoint, call
from support.fake_kubelet import Call, GrpcKubelet, RawKubelet, Script, pod

LIST = "/v1.PodResourcesLister/List"


def reason(path: Path, *, timeout_s: float = 5.0) -> str:
    with pytest.raises(CallError) as caught:
        call(Endpoint(path, timeout_s), LIST, b"")
    return caught.value.reason


def test_an_answer_comes_whole(socket_path: Path) -> None:
    with GrpcKubelet(socket_path, [pod("a", "GPU-1")]) as kubelet:
        assert call(Endpoint(socket_path), LIST, b"") == kubelet.answer


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 1 << 20, (4 << 20) + 1, 15 << 20])
def test_an_answer_of_any_size_up_to_the_cap_comes_whole(socket_path: Path, size: int) -> None:
    with GrpcKubelet(socket_path) as kubelet:
        kubelet.answer = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
        kubelet.answer = kubelet.answer[:size]
        assert call(Endpoint(socket_path, 10), LIST, b"") == kubelet.answer


def test_an_answer_above_the_cap_is_refused_before_it_is_read_whole(socket_path: Path) -> None:
    with GrpcKubelet(socket_path) as kubelet:
        kubelet.answer = bytes(unary.ANSWER_BYTES_MAX + 1)
        assert reason(socket_path, timeout_s=10) == "too_large"


def test_a_server_learns_who_asks_what_and_until_when(socket_path: Path) -> None:
    def script(call: Call) -> None:
        call.head()
        call.message(b"")
        call.trailers()

    with RawKubelet(socket_path, script) as kubelet:
        assert call(Endpoint(socket_path), LIST, b"") == b""
    headers = kubelet.calls[0].headers
    assert headers[":authority"] == "localhost"
    assert headers[":method"] == "POST"
    assert headers[":path"] == LIST
    assert headers["te"] == "trailers"
    assert headers["content-type"] == "application/grpc"
    assert 0 < int(headers["grpc-timeout"].removesuffix("m")) <= 2000


def test_no_socket_is_told_as_missing(socket_path: Path) -> None:
    assert reason(socket_path) == "socket_missing"
    assert reason(socket_path / "below" / "kubelet.sock") == "socket_missing"


def test_a_socket_that_nobody_listens_on_is_told_as_refused(socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(socket_path))
    assert reason(socket_path) == "refused"


def test_a_path_that_no_socket_can_have_is_told(tmp_path: Path) -> None:
    assert reason(tmp_path / ("x" * 200)) == "socket_missing"


def test_a_server_that_accepts_and_says_nothing_costs_the_timeout(socket_path: Path) -> None:
    with RawKubelet(socket_path, wait, reads=False):
        assert reason(socket_path, timeout_s=0.2) == "timeout"


def test_a_server_whose_queue_is_full_costs_the_timeout(socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path))
        listener.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for one in waiting:
            one.setblocking(False)  # noqa: FBT003 - the name of the method says what it means
            one.connect_ex(str(socket_path))
        assert reason(socket_path, timeout_s=0.2) == "timeout"
        for one in waiting:
            one.close()


def test_a_byte_now_and_then_does_not_stretch_the_timeout(socket_path: Path) -> None:
    now_s = [0.0]

    def ticking() -> float:
        now_s[0] += 0.1
        return now_s[0]

    def script(call: Call) -> None:
        call.head()
        while True:
            call.h2.ping(b"are you?")
            call.flush()
            call.sock.recv(1024)

    with RawKubelet(socket_path, script), pytest.raises(CallError) as caught:
        call(Endpoint(socket_path, 2.0, ticking), LIST, b"")
    assert caught.value.reason == "timeout"
    assert now_s[0] < 2.5


def wait(call: Call) -> None:
    call.stopped.wait(10)


def hang_up(_call: Call) -> None:
    return


def half_an_answer(call: Call) -> None:
    call.head()
    call.message(b"half", length=100)


def go_away(call: Call) -> None:
    call.h2.close_connection()
    call.flush()
    wait(call)


def reset(call: Call) -> None:
    call.head()
    call.h2.reset_stream(call.stream)
    call.flush()
    wait(call)


def not_http2(call: Call) -> None:
    call.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def data_without_a_head(call: Call) -> None:
    call.sock.sendall(b"\0\0\1\0\0\0\0\0\1x")
    wait(call)


def wrong_http_status(call: Call) -> None:
    call.head(status="503", end=True)


def no_status(call: Call) -> None:
    call.head()
    call.message(b"")
    call.h2.end_stream(call.stream)
    call.flush()


def nonsense_status(call: Call) -> None:
    call.head(("grpc-status", "fine"), end=True)


def no_message(call: Call) -> None:
    call.head()
    call.trailers()


def too_short(call: Call) -> None:
    call.head()
    call.message(b"abc", length=4)
    call.trailers()


def two_messages(call: Call) -> None:
    call.head()
    call.message(b"abc")
    call.message(b"def")
    call.trailers()


def compressed(call: Call) -> None:
    call.head()
    call.message(b"abc", compressed=1)
    call.trailers()


def endless_pings(call: Call) -> None:
    while True:
        for _ in range(500):
            call.h2.ping(b"12345678")
        call.flush()
        call.sock.recv(65536)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (hang_up, "closed"),
        (half_an_answer, "closed"),
        (reset, "closed"),
        (go_away, "goaway"),
        (not_http2, "closed"),
        (data_without_a_head, "protocol"),
        (wrong_http_status, "http_status"),
        (no_status, "garbage"),
        (nonsense_status, "garbage"),
        (no_message, "garbage"),
        (too_short, "garbage"),
        (two_messages, "garbage"),
        (compressed, "garbage"),
    ],
)
def test_each_fault_of_a_server_has_its_reason(
    socket_path: Path, script: Script, expected: str
) -> None:
    with RawKubelet(socket_path, script):
        assert reason(socket_path) == expected


def test_what_is_read_beside_the_answer_is_bounded(socket_path: Path) -> None:
    endpoint = Endpoint(socket_path, 30, answer_bytes_max=10_000, framing_bytes_max=50_000)
    with RawKubelet(socket_path, endless_pings), pytest.raises(CallError) as caught:
        call(endpoint, LIST, b"")
    assert caught.value.reason == "too_large"


def test_a_status_is_read_from_trailers_and_from_trailers_only(socket_path: Path) -> None:
    def refuse_at_once(call: Call) -> None:
        call.head(("grpc-status", "14"), ("grpc-message", "not%20now"), end=True)

    def refuse_later(call: Call) -> None:
        call.head()
        call.message(b"")
        call.trailers("12")

    with RawKubelet(socket_path, refuse_at_once), pytest.raises(CallError) as caught:
        call(Endpoint(socket_path), LIST, b"")
    assert (caught.value.reason, str(caught.value)) == ("unavailable", "unavailable: 14 not now")
    with RawKubelet(socket_path, refuse_later):
        assert reason(socket_path) == "unimplemented"


def test_a_deadline_that_the_server_notices_first_is_a_timeout(socket_path: Path) -> None:
    with RawKubelet(socket_path, lambda call: call.head(("grpc-status", "4"), end=True)):
        assert reason(socket_path) == "timeout"


def test_a_server_that_hears_no_more_may_still_be_answering(socket_path: Path) -> None:
    def script(call: Call) -> None:
        call.sock.shutdown(socket.SHUT_RD)
        call.h2.ping(b"12345678")  # whoever answers it learns that nobody is there to hear
        call.flush()
        call.stopped.wait(0.05)
        call.head()
        call.message(b"ab")
        call.trailers()

    with RawKubelet(socket_path, script):
        assert call(Endpoint(socket_path), LIST, b"") == b"ab"


def test_an_answer_that_ends_before_the_server_goes_away_counts(socket_path: Path) -> None:
    def script(call: Call) -> None:
        call.h2.send_headers(call.stream, [(":status", "200")])
        call.h2.send_data(call.stream, b"\0\0\0\0\2ab")
        call.h2.send_headers(call.stream, [("grpc-status", "0")], end_stream=True)
        call.h2.close_connection(last_stream_id=call.stream)
        call.flush()
        wait(call)

    with RawKubelet(socket_path, script):
        assert call(Endpoint(socket_path), LIST, b"") == b"ab"


@pytest.mark.parametrize("size", [10, 3000])
@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_bytes_of_a_server_raise_one_kind_of_error(
    socket_path: Path, size: int, draw: st.DataObject
) -> None:
    garbage = draw.draw(st.binary(max_size=size))
    kind = draw.draw(st.integers(0, 9))
    settings_frame = b"\0\0\0\4\0\0\0\0\0"
    frame = len(garbage).to_bytes(3) + bytes([kind]) + b"\4\0\0\0\1" + garbage

    def script(call: Call) -> None:
        call.sock.sendall(settings_frame + frame + garbage)

    with RawKubelet(socket_path, script, reads=False):
        assert reason(socket_path) in {"closed", "protocol", "goaway", "garbage", "http_status"}


def test_no_descriptor_is_left_open_by_failures(socket_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    with RawKubelet(socket_path, hang_up):
        reason(socket_path)
        before, running = len(list(descriptors.iterdir())), threading.active_count()
        for _ in range(20):
            reason(socket_path)
        assert len(list(descriptors.iterdir())) <= before + 1
        assert threading.active_count() <= running


WITHOUT_H2 = """
import sys
sys.modules["h2"] = None
from pathlib import Path
from inferometer.gpu.pods import podmap, unary
try:
    unary.call(unary.Endpoint(Path("/nowhere")), "/x/Y", b"")
except unary.CallError as error:
    print(error.reason)
"""


def test_without_h2_everything_imports_and_a_call_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_H2], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("h2_missing\n", "")
