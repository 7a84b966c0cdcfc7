import os
from pathlib import Path

import pytest

from inferometer.gpu.hpc import FILES_MAX, JOB_CHARS_MAX, JOBS_MAX, Place, one, read


def test_files_are_named_after_devices_and_instances(tmp_path: Path) -> None:
    (tmp_path / "0").write_text(" 4711 \n\n4711\n4712\n")
    (tmp_path / "1.2").write_text("99\n")
    (tmp_path / "2").write_text("\n")
    for name in ("x", "1.", "1.2.3", "-1", "12345", ".hidden"):
        (tmp_path / name).write_text("1\n")
    jobs = read(tmp_path)
    assert jobs == {Place(0): ("4711", "4712"), Place(1, 2): ("99",)}
    assert one(jobs, Place(0)) == ""
    assert one(jobs, Place(1, 2)) == "99"
    assert one(jobs, Place(5)) == ""


def test_ids_are_bounded_and_printable(tmp_path: Path) -> None:
    lines = ["a" * (JOB_CHARS_MAX + 1), "b\x07", *(f"job{n}" for n in range(JOBS_MAX + 5))]
    (tmp_path / "0").write_text("\n".join(lines))
    assert read(tmp_path)[Place(0)] == tuple(f"job{n}" for n in range(JOBS_MAX))


def test_a_fifo_or_folder_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0")
    (tmp_path / "1").mkdir()
    (tmp_path / "2").write_text("7\n")
    assert read(tmp_path) == {Place(2): ("7",)}


def test_only_so_many_files_are_looked_at(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 20):
        (tmp_path / str(number)).write_text("7\n")
    assert len(read(tmp_path)) == FILES_MAX


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")
