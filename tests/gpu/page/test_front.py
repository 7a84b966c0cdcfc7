from collections.abc import Iterator

from inferometer.gpu.page.front import health, index, readiness
from inferometer.gpu.sample import BackendView, DeviceView, Identity
from inferometer.web.server import Request, Response

ASKED = Request("GET", "/", "", {})
ABSENT = BackendView(name="nvml", state="absent", reason="library_not_found")
RUNNING = BackendView(name="amd", state="running", devices_listed=1, driver_version="6<b>")
DEVICE = DeviceView(
    identity=Identity(uuid="GPU-1", index=0, vendor="amd", model="MI<300>"),
    backend="amd",
    state="stalled",
    sample=None,
)


def body(response: Response) -> str:
    assert not isinstance(response.body, Iterator)
    return response.body.decode()


def test_health_is_about_our_own_pages_only() -> None:
    assert health(lambda: 14.9, 15.0)(ASKED).status == 200
    late = health(lambda: 15.1, 15.0)(ASKED)
    assert (late.status, body(late)) == (503, "the latest page is 15.1 s old\n")


def test_readiness_is_yes_and_tells_of_each_backend() -> None:
    answer = readiness(lambda: [ABSENT, RUNNING])(ASKED)
    assert (answer.status, body(answer)) == (
        200,
        "ready\nnvml absent library_not_found\namd running\n",
    )


def test_the_page_names_backends_reasons_and_devices_without_a_script() -> None:
    page = body(index("1.2", lambda: [ABSENT, RUNNING], lambda: [DEVICE])(ASKED))
    for words in ("library_not_found", "6&lt;b&gt;", "MI&lt;300&gt;", "stalled", "/metrics", "1.2"):
        assert words in page
    assert "<script" not in page
    assert "http" not in page


def test_the_page_says_when_there_is_no_device() -> None:
    assert "No device is known." in body(index("1", list, list)(ASKED))
