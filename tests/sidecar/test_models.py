import pytest

from inferometer.sidecar.fields import NO_FIELDS, Fields
from inferometer.sidecar.models import BYTES_MAX, lists_models, names_in
from inferometer.sidecar.tap import Answered, Finish, RequestEnd, Started
from support.marks import MS, Plane

JSON = Fields(b"Content-Type: application/json; charset=utf-8\r\n")
LISTING = b'{"object":"list","data":[{"id":"llama"},{"id":7},{"id":"lora-a"},"x"]}'


def started(method: bytes = b"GET", target: bytes = b"/v1/models?x=1") -> Started:
    return Started(0.0, method, target, NO_FIELDS)


def test_a_listing_is_told_by_route_status_and_type() -> None:
    assert lists_models(started(), Answered(200, JSON))
    assert lists_models(started(target=b"/prefix/v1/models"), Answered(200, JSON))
    assert not lists_models(started(b"POST"), Answered(200, JSON))
    assert not lists_models(started(target=b"/v1/models/llama"), Answered(200, JSON))
    assert not lists_models(started(), Answered(404, JSON))
    assert not lists_models(started(), Answered(200, Fields(b"content-type: text/html\r\n")))
    packed = Fields.of([*JSON, (b"Content-Encoding", b"gzip")])
    assert not lists_models(started(), Answered(200, packed))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":1}', b"{", b'{"data":[1]}', b"\xff"])
def test_what_is_no_listing_names_nothing(body: bytes) -> None:
    assert names_in([body]) == []


def test_the_ids_of_a_listing_are_its_names() -> None:
    assert names_in([LISTING[:9], LISTING[9:]]) == ["llama", "lora-a"]


def answer(plane: Plane, body: bytes) -> None:
    tapped = plane.ring.admit()
    assert tapped is not None
    plane.ring.mark(tapped, 0, started())
    plane.ring.mark(tapped, 0, RequestEnd(0))
    plane.ring.mark(tapped, 1, Answered(200, JSON))
    for start in range(0, len(body), 65_536):
        plane.ring.offer(tapped, MS, body[start : start + 65_536], 65_536)
    plane.ring.mark(tapped, MS, Finish("complete", 200, 0, len(body), tapped.lost))
    plane.tick(1000)


@pytest.mark.req("FO-05")
def test_a_name_that_the_engine_lists_has_its_label_before_it_is_proven() -> None:
    plane = Plane()
    desk = plane.observer.desk
    assert desk.peek_model("llama") == "other"
    answer(plane, LISTING)
    assert desk.peek_model("llama") == "llama"
    assert desk.peek_model("lora-a") == "lora-a"


def test_a_listing_beyond_the_limit_is_not_believed() -> None:
    plane = Plane()
    padding = b'{"id":"' + b"x" * BYTES_MAX + b'"},'
    answer(plane, LISTING[:25] + padding + LISTING[25:])
    assert plane.observer.desk.peek_model("llama") == "other"
