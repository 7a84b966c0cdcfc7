import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.prom.endpoint import Endpoint, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://prometheus:9090", Endpoint(tls=False, host="prometheus", port=9090)),
        ("http://prometheus", Endpoint(tls=False, host="prometheus", port=80)),
        ("https://[::1]/", Endpoint(tls=True, host="::1", port=443)),
        (
            "http://m:8080/prometheus",
            Endpoint(tls=False, host="m", port=8080, prefix="/prometheus"),
        ),
        (
            "http://m:8080/prometheus/api/v1/",
            Endpoint(tls=False, host="m", port=8080, prefix="/prometheus"),
        ),
        ("https://t/a/b//", Endpoint(tls=True, host="t", port=443, prefix="/a/b")),
    ],
)
def test_a_url_is_read_with_its_prefix(text: str, expected: Endpoint) -> None:
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("prometheus:9090", "begin with"),
        ("ftp://p", "begin with"),
        ("http://", "begin with"),
        ("http://p:99999", "port"),
        ("http://p:0", "port 0"),
        ("http://p/?query=up", "query"),
        ("http://p/#x", "query"),
        ("http://p/a b", "ASCII"),
        ("http://p/\r\nHost: x", "ASCII"),
        ("http://[::1", "port"),
    ],
)
def test_what_is_no_url_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="Prometheus") as caught:
        parse(text)
    assert hint in caught.value.args[1]


@pytest.mark.req("SC-02")
def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="Prometheus") as caught:
        parse("http://user:hunter2@prometheus:9090")
    assert "hunter2" not in str(caught.value.args)
    assert "--prometheus-auth-file" in caught.value.args[1]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read(text)
    assert found is None or parse(str(found)) == found


def read(text: str) -> Endpoint | None:
    try:
        return parse(text)
    except ValueError:
        return None
