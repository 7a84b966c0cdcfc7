"""Texts that were reviewed once and are held to: `pytest --golden` writes them anew, for a diff."""

from collections.abc import Callable
from pathlib import Path

import pytest

Compare = Callable[[Path, bytes], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--golden`."""
    parser.addoption(
        "--golden", action="store_true", help="write golden files anew instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Compare:
    """Return what compares a text with its file."""
    rewrite = bool(request.config.getoption("golden"))

    def compare(path: Path, text: bytes) -> None:
        if rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        assert text.decode() == path.read_text(encoding="utf-8"), "see pytest --golden"

    return compare
