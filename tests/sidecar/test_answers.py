import http.client
import io
import json
from typing import Any, cast

import pytest

from inferometer.sidecar.answers import REASONS, answer


class _Wire:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def read(raw: bytes, method: str = "GET") -> http.client.HTTPResponse:
    got = http.client.HTTPResponse(cast("Any", _Wire(raw)), method=method)
    got.begin()
    return got


@pytest.mark.req("PR-01")
@pytest.mark.parametrize("status", sorted(REASONS))
def test_an_answer_of_ours_is_whole_and_names_the_request_only(status: int) -> None:
    got = read(answer(status, "why", number=7))
    body = got.read()
    assert got.status == status
    assert got.getheader("Connection") == "close"
    assert (got.getheader("Retry-After") is not None) == (status == 503)
    assert json.loads(body) == {
        "error": {"message": "why", "type": "inferometer_sidecar", "code": status},
        "request_id": "7",
    }


@pytest.mark.req("PF-07")
def test_an_answer_to_head_has_no_body() -> None:
    raw = answer(502, "why", number=7, head_only=True)
    assert raw.endswith(b"\r\n\r\n")
    assert read(raw, "HEAD").getheader("Content-Length") != "0"
