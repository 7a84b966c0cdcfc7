from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.addresses import (
    SOCKET_PATH_BYTES_MAX,
    Address,
    Upstream,
    parse_address,
    parse_upstream,
)

SOCKET = Path("/run/llm.sock")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
        ("unix:/run/llm.sock", Address(path=SOCKET)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "upstream", "written"),
    [
        ("http://vllm:8000", Upstream(tls=False, host="vllm", port=8000), "http://vllm:8000"),
        ("http://vllm:8000/", Upstream(tls=False, host="vllm", port=8000), "http://vllm:8000"),
        ("https://[::1]", Upstream(tls=True, host="::1", port=443), "https://[::1]:443"),
        ("http://10.0.0.1", Upstream(tls=False, host="10.0.0.1", port=80), "http://10.0.0.1:80"),
        ("https://a.b:1", Upstream(tls=True, host="a.b", port=1), "https://a.b:1"),
        ("http+unix:///run/llm.sock", Upstream(path=SOCKET), "http+unix:///run/llm.sock"),
    ],
)
def test_upstreams_are_read_and_written_alike(text: str, upstream: Upstream, written: str) -> None:
    assert parse_upstream(text) == upstream
    assert str(upstream) == written
    assert parse_upstream(written) == upstream


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("9464", "add a port, such as 127.0.0.1:9464"),
        ("", "add a port, such as 127.0.0.1:9464"),
        (":9464", "for every interface write 0.0.0.0:9464 or [::]:9464"),
        ("::1:9464", "an IPv6 address needs brackets, such as [::1]:9464"),
        ("[::x]:1", "this is no IP address"),
        ("256.1.1.1:1", "this is no IP address"),
        ("a b:1", "a host is a name or an IP address"),
        ("http://a:1", "an IPv6 address needs brackets, such as [::1]:9464"),
        ("a:65536", "a port is a number up to 65535"),
        ("a:01", "a port is a number up to 65535"),
        ("a:-1", "a port is a number up to 65535"),
        ("a:", "a port is a number up to 65535"),
        ("unix:run/x", "the path of a unix socket starts at the root: /run/llm.sock"),
        ("unix:/", "the path of a unix socket starts at the root: /run/llm.sock"),
        ("unix:/a\0b", "the path of a unix socket starts at the root: /run/llm.sock"),
        ("unix:/" + "x" * SOCKET_PATH_BYTES_MAX, "a socket path has at most 107 bytes"),
    ],
)
def test_a_wrong_address_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT") as caught:
        parse_address(text)
    assert caught.value.args == ("HOST:PORT, [IPV6]:PORT or unix:/PATH", hint)


def test_a_socket_path_of_the_greatest_length_is_read() -> None:
    path = "/" + "x" * (SOCKET_PATH_BYTES_MAX - 1)
    assert parse_address(f"unix:{path}") == Address(path=Path(path))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("vllm:8000", "begin with http:// or https://"),
        ("ftp://vllm", "begin with http:// or https://"),
        ("http:vllm", "begin with http:// or https://"),
        ("http+unix:/x", "begin with http:// or https://"),
        ("http://u:p@h:1", "leave out the credentials: clients send their own"),
        ("http://h:1/v1", "leave out path and query: each request brings its own"),
        ("http://h:1//", "leave out path and query: each request brings its own"),
        ("http://h:1?a=b", "leave out path and query: each request brings its own"),
        ("http://h:1#a", "leave out path and query: each request brings its own"),
        ("http://h:0", "port 0 cannot be connected"),
        ("http://h:99999", "a port is a number up to 65535"),
        ("http://", "a host is a name or an IP address"),
        ("http+unix://x", "the path of a unix socket starts at the root: /run/llm.sock"),
    ],
)
@pytest.mark.req("PF-04")
def test_a_wrong_upstream_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="http") as caught:
        parse_upstream(text)
    assert caught.value.args[1] == hint


@given(st.text())
def test_any_text_is_read_or_refused_with_words_and_a_hint(text: str) -> None:
    for parse in (parse_address, parse_upstream):
        told: tuple[object, ...] = ("must be", "hint")
        try:
            parse(text)
        except ValueError as error:
            told = error.args
        assert len(told) == 2
