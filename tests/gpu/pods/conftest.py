"""What the tests of the pod map share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_kubelet import socket_folder


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path for a socket that a test may make."""
    with socket_folder() as folder:
        yield folder / "kubelet.sock"
