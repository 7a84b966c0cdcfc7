import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from inferometer.addresses import Address
from inferometer.errors import WorldError
from inferometer.live import page, reading
from inferometer.live.page import Page, Scrape
from inferometer.live.settings import Settings
from inferometer.live.target import Client, parse
from support.scripted_admin import Figures, ScriptedAdmin
from support.sidecar import free_port, wait_until

FREE = Address("127.0.0.1", 0)


def points(url: str) -> list[dict[str, Any]]:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc, timeout=5)
    connection.request("GET", "/api/points?source=all&after=0")
    answer = connection.getresponse()
    got: list[dict[str, Any]] = json.loads(answer.read())["points"]
    connection.close()
    return got


def test_a_page_reads_a_sidecar_and_shows_what_it_says() -> None:
    figures = Figures()
    figures.set(reading.IN_FLIGHT, 3, state="streaming")
    with ScriptedAdmin(figures.text()) as admin:
        settings = Settings(admin=(parse(admin.url),), listen=FREE, interval_s=0.5)
        shown = Page(settings, version="1")
        shown.start()
        try:
            wait_until(lambda: any(p["streaming"] == 3 for p in points(shown.url)))
        finally:
            shown.stop()


def test_sidecars_behind_one_host_and_port_are_told_apart_by_their_urls() -> None:
    texts = ("https://a/pod-1/metrics", "https://a/pod-2/metrics", "https://b/metrics")
    sources = page.scrapes([parse(text) for text in texts], ca=None, auth_file=None)
    assert list(sources) == [
        "https://a:443/pod-1/metrics",
        "https://a:443/pod-2/metrics",
        "b:443",
    ]


def test_what_is_no_exposition_is_told_as_the_fault_of_the_world() -> None:
    with ScriptedAdmin(b"<html>") as admin:
        source = Scrape(Client(parse(admin.url)))
        with pytest.raises(WorldError):
            source.fetch()
        source.close()


def test_a_port_in_use_is_an_error_if_the_user_chose_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Address("127.0.0.1", taken.getsockname()[1])
        shown = Page(Settings(listen=listen), version="1")
        with pytest.raises(WorldError, match="cannot listen"):
            shown.start()
        shown.stop()


def test_the_default_port_gives_way_to_a_free_one() -> None:
    port = free_port()
    default = Address("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        server = page.listening(default, {}, default=default)
        assert server.port != port
        server.stop()


def test_an_ipv6_page_has_an_address_that_a_browser_reads() -> None:
    with ScriptedAdmin() as admin:
        settings = Settings(admin=(parse(admin.url),), listen=Address("::1", 0))
        shown = Page(settings, version="1")
        shown.start()
        assert shown.url.startswith("http://[::1]:")
        shown.stop()
