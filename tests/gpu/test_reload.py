import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from inferometer.errors import Place, Problem, SettingsError
from inferometer.gpu.hpc import Place as Spot
from inferometer.gpu.page.selfmetrics import Books
from inferometer.gpu.reload import JOBS_S, Files, Watched
from support.sidecar import wait_until


class World:
    """Files with a clock, and what a reload does."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "fields.csv"
        self.jobs = folder / "jobs"
        self.now_s = 0.0
        self.reloads = 0
        self.wrong = False
        self.books = Books("1")

    def reload(self) -> Sequence[Path]:
        self.reloads += 1
        if self.wrong:
            raise SettingsError([Problem(Place("fields.csv", 2), "is wrong")])
        return [self.file]

    def watch(self, reload: Callable[[], Sequence[Path]] | None = None) -> Files:
        watched = Watched(reload or self.reload, [self.file], self.jobs)
        return Files(
            watched, self.books, clock_s=lambda: self.now_s, wall_s=lambda: 1000 + self.now_s
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    one.file.write_text("a")
    one.jobs.mkdir()
    return one


def test_the_start_counts_as_a_reload(world: World) -> None:
    world.watch()
    assert (world.books.reload_ok, world.books.reloaded_s, world.reloads) == (True, 1000, 0)


def test_a_file_that_did_not_change_is_not_read_again(world: World) -> None:
    files = world.watch()
    files.turn()
    assert world.reloads == 0


def test_a_changed_file_is_taken_over(world: World) -> None:
    files = world.watch()
    world.now_s = 5.0
    world.file.write_text("longer")
    files.turn()
    files.turn()
    assert (world.reloads, world.books.reloaded_s) == (1, 1005)


def test_a_swapped_link_is_a_change(world: World, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
        os.utime(tmp_path / name, ns=(0, 0))
    world.file.unlink()
    world.file.symlink_to(tmp_path / "one")
    files = world.watch()
    world.file.unlink()
    world.file.symlink_to(tmp_path / "two")
    files.turn()
    assert world.reloads == 1


def test_a_wrong_file_leaves_the_old_state_until_it_is_right(world: World) -> None:
    files = world.watch()
    world.wrong = True
    world.file.write_text("wrong")
    files.turn()
    files.turn()
    assert (world.reloads, world.books.reload_ok, world.books.reloaded_s) == (1, False, 1000)
    world.wrong, world.now_s = False, 9.0
    world.file.unlink()
    files.turn()
    assert (world.books.reload_ok, world.books.reloaded_s) == (True, 1009)


def test_a_reload_that_is_asked_for_happens_without_a_change(world: World) -> None:
    files = world.watch()
    files.turn(asked=True)
    assert world.reloads == 1


def test_jobs_are_read_at_once_and_every_five_seconds(world: World) -> None:
    (world.jobs / "0").write_text("1\n")
    files = world.watch()
    files.turn()
    assert files.jobs == {Spot(0): ("1",)}
    (world.jobs / "0").write_text("2\n")
    files.turn()
    assert files.jobs == {Spot(0): ("1",)}
    world.now_s = JOBS_S
    files.turn()
    assert files.jobs == {Spot(0): ("2",)}


def test_a_folder_of_jobs_that_is_gone_means_that_none_is_known(world: World) -> None:
    (world.jobs / "0").write_text("1\n")
    files = world.watch()
    files.turn()
    (world.jobs / "0").unlink()
    world.jobs.rmdir()
    world.now_s = JOBS_S
    files.turn()
    assert files.jobs == {}
    assert world.books.errors["jobs"] == 1


def test_the_thread_reloads_when_asked_and_outlives_a_fault(world: World) -> None:
    def fail() -> Sequence[Path]:
        raise RuntimeError

    files = world.watch(fail)
    files.start()
    files.ask()
    wait_until(lambda: world.books.errors["reload"] == 1)
    files.ask()
    wait_until(lambda: world.books.errors["reload"] == 2)
    files.stop()
    files._thread.join(5)
    assert not files._thread.is_alive()
