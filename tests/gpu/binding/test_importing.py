import sys
from pathlib import Path

import pytest

from inferometer.gpu.backend import BackendError
from inferometer.gpu.binding.importing import load


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_a_module_comes_from_its_folder_and_the_path_stays_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, "binding_good", "VALUE = 1\n")
    before = list(sys.path)
    assert vars(load("binding_good", folder=tmp_path))["VALUE"] == 1
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("binding_key", "raise KeyError('libamd_smi.so')\n"),
        ("binding_exit", "import sys\nsys.exit(1)\n"),
        ("binding_import", "import nothing_of_that_name\n"),
        ("binding_syntax", "print 'Python 2'\n"),
    ],
)
def test_a_module_that_fails_in_any_way_is_unusable(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, name, text)
    before = list(sys.path)
    with pytest.raises(BackendError) as caught:
        load(name, folder=tmp_path)
    assert caught.value.reason == "bindings_unusable"
    assert sys.path == before


def test_a_module_that_is_nowhere_is_not_found() -> None:
    with pytest.raises(BackendError) as caught:
        load("binding_of_nobody")
    assert caught.value.reason == "bindings_not_found"


def test_what_a_module_prints_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "binding_loud", "print('no library')\nraise KeyError('x')\n")
    with pytest.raises(BackendError):
        load("binding_loud", folder=tmp_path)
    assert capsys.readouterr().out == ""


def test_a_module_that_failed_can_be_had_later(tmp_path: Path) -> None:
    write(tmp_path, "binding_later", "raise KeyError('x')\n")
    with pytest.raises(BackendError):
        load("binding_later", folder=tmp_path)
    write(tmp_path, "binding_later", "VALUE = 'a longer text than before'\n")
    assert vars(load("binding_later", folder=tmp_path))["VALUE"]
