"""Every target over its corpus: what was found once stays found, also without atheris."""

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.corpora import FOLDER, NAMES, seeds, target
from fuzz.pieces import choose, cut

SEEDS = [(name, path) for name in NAMES for path in seeds(name)]


@pytest.mark.parametrize(("name", "path"), SEEDS, ids=[f"{n}-{p.name}" for n, p in SEEDS])
def test_a_kept_input_breaks_no_rule(name: str, path: Path) -> None:
    target(name).check(path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_any_end_of_a_kept_input_breaks_no_rule(name: str) -> None:
    for path in seeds(name):
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 16)):
            target(name).check(data[:at])
            target(name).check(data[at:])


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in (FOLDER / "corpus").iterdir()} == set(NAMES)


def test_pieces_add_up_whatever_the_cuts_are() -> None:
    for steps in (b"", b"\x01", b"\x00\x00\x00\x00", b"\x03\x01\x00\x02", b"\xff\x00\x00\x00"):
        body, pieces = cut(steps.ljust(4, b"\x00") + b"0123456789")
        assert body == b"".join(pieces) == b"0123456789"
    assert cut(b"\x03\x01\x00\x020123456789")[1] == [b"012", b"3", b"45", b"6789"]
    assert len(cut(b"\xff\x00\x00\x000123456789")[1]) == 10


def test_the_first_byte_chooses() -> None:
    assert choose(b"\x04rest", "abc") == ("b", b"rest")
    assert choose(b"", "abc") == ("a", b"")


@pytest.mark.checkout
def test_a_finding_ends_with_its_own_exit_code_and_can_be_played_again(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"\x00\x00\x00\x001\r\nx\r\n0\r\n\r\n")
    command = [sys.executable, str(FOLDER), "chunk_walker", "--input", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "held\n", "")
