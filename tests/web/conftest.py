"""What the tests of the admin server share."""

from collections.abc import Iterator

import pytest

from inferometer.web.server import Server
from support.admin import serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
