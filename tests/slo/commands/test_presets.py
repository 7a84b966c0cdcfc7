"""`inferometer slo presets`: a list to choose from, and a document to begin with."""

from pathlib import Path

import pytest

from inferometer.errors import SettingsError
from inferometer.slo.commands.presets import main
from inferometer.slo.presets import PRESETS
from inferometer.slo.spec import load


def test_all_are_listed_below_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for preset in PRESETS:
        assert f"\n  {preset.name} " in printed
        assert printed.count(preset.source) == 1
    assert "99 % of slices of 5 minutes: tpot 12.5ms" in printed


def test_some_make_a_document_once_its_names_are_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["guidellm-chat", "guidellm-agent"]) == 0
    path = tmp_path / "slo.yaml"
    path.write_text(capsys.readouterr().out.replace("NAME", "mine").replace("OWNER", "me"))
    (document,) = load([path])
    assert [one.id for one in document.classes] == ["mine-guidellm-chat", "mine-guidellm-agent"]


def test_a_name_that_is_none_gets_the_nearest() -> None:
    with pytest.raises(SettingsError) as caught:
        main(["guidellm-chad", "x"])
    hints = {problem.hint for problem in caught.value.problems}
    assert "did you mean 'guidellm-chat'?" in hints
