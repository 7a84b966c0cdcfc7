import json
import re
from collections.abc import Mapping
from importlib.resources import files

import pytest

from inferometer.live import pages
from inferometer.live.history import History
from inferometer.live.reading import Reading
from inferometer.live.watch import Watch, Windows, names
from inferometer.web import server as web

WINDOWS = Windows(1.0, 10.0, 60.0)


class Silent:
    def fetch(self) -> Reading:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


def made(host: str = "127.0.0.1") -> tuple[Watch, Mapping[str, web.Handler]]:
    watch = Watch({"a:1": Silent()}, windows=WINDOWS, history=History(names(1), points_max=3))
    return watch, pages.routes(watch, version="1.2", points_max=3, host=host)


def get(
    routes: Mapping[str, web.Handler], path: str, query: str = "", host: str = "localhost:1"
) -> web.Response:
    return routes[path](web.Request("GET", path, query, {"host": host}))


def body(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def test_points_come_with_what_is_needed_to_read_them() -> None:
    watch, routes = made()
    watch.tick()
    response = get(routes, "/api/points", "source=all&after=0")
    got = json.loads(body(response))
    assert response.status == 200
    assert got["sources"] == [{"id": "0", "name": "a:1", "error": "not read yet"}]
    assert (got["version"], got["interval_s"], got["window_s"], got["slo_window_s"]) == (
        "1.2",
        1,
        10,
        60,
    )
    assert (got["sequence"], got["points_max"], len(got["points"])) == (1, 3, 1)
    assert got["points"][0]["ttft"]["p50"] is None


def test_points_that_the_page_has_already_are_not_sent_again() -> None:
    watch, routes = made()
    watch.tick()
    assert json.loads(body(get(routes, "/api/points", "source=0&after=1")))["points"] == []


def test_each_start_of_the_server_is_another_life() -> None:
    lives = {json.loads(body(get(made()[1], "/api/points")))["life"] for _ in range(3)}
    assert len(lives) == 3


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("after=x", 400),
        ("after=-1", 400),
        ("after=" + "9" * 20, 400),
        ("after=²", 400),
        ("&".join(f"a{at}=1" for at in range(50)), 400),
        ("source=7", 404),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(query: str, status: int) -> None:
    assert get(made()[1], "/api/points", query).status == status


@pytest.mark.parametrize(
    "host", ["localhost:9", "127.0.0.1:9470", "[::1]:80", "[::1]", "LOCALHOST", "127.0.0.1"]
)
def test_on_the_loopback_requests_that_name_it_are_answered(host: str) -> None:
    assert get(made()[1], "/", host=host).status == 200


@pytest.mark.parametrize("host", ["", "evil.example:9470", "127.0.0.1.evil.example", "evil"])
def test_on_the_loopback_requests_for_another_name_are_refused(host: str) -> None:
    routes = made()[1]
    assert get(routes, "/", host=host).status == 421
    assert get(routes, "/api/points", host=host).status == 421


def test_elsewhere_any_name_may_be_used() -> None:
    assert get(made("0.0.0.0")[1], "/", host="node.example:9470").status == 200


def test_every_answer_forbids_the_browser_to_load_anything_from_elsewhere() -> None:
    routes = made()[1]
    for path in routes:
        headers = dict(get(routes, path).headers)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_file_of_the_page_names_another_host() -> None:
    for path, handler in pages.static_routes().items():
        text = body(handler(web.Request("GET", path, "", {}))).decode()
        foreign = [
            url for url in re.findall(r"https?://[^\s\"')`]+", text) if "w3.org/2000/svg" not in url
        ]
        if "uPlot" not in path:  # its licence and comment name its home, nothing is loaded from it
            assert foreign == [], path


def test_every_file_that_the_page_needs_is_served_with_its_licence() -> None:
    routes = pages.static_routes()
    page = body(routes["/"](web.Request("GET", "/", "", {}))).decode()
    wanted = set(re.findall(r"(?:href|src)=\"(static/[^\"]+)\"", page))
    for path in tuple(routes):
        if path.endswith(".js") and "uPlot" not in path:
            text = body(routes[path](web.Request("GET", path, "", {}))).decode()
            wanted |= {f"static/{name}" for name in re.findall(r"from \"\./([^\"]+)\"", text)}
    assert {f"/{name}" for name in wanted} <= set(routes)
    assert (
        "MIT License"
        in body(routes["/static/uPlot.LICENSE.txt"](web.Request("GET", "/", "", {}))).decode()
    )


def test_only_files_of_known_kinds_are_reachable() -> None:
    folder = files("inferometer.live") / "static"
    served = {path.removeprefix("/static/") for path in pages.static_routes()}
    assert {file.name for file in folder.iterdir()} == served - {"/"}
