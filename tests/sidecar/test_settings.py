"""What `inferometer sidecar --help` says first."""

import pytest

from inferometer.settings import resolve
from inferometer.sidecar.settings import Settings


def test_help_begins_with_what_the_program_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        resolve(Settings, ["--help"], environ={}, program="sidecar")
    assert ended.value.code == 0
    first = capsys.readouterr().out.partition("settings:")[0]
    assert "Relays requests to a model server" in first
    assert "frozen" not in first
