import pytest

from inferometer.gpu.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_programs_behind_it_have_a_help_of_their_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: inferometer gpu-exporter {name}" in capsys.readouterr().out
