"""The file of a ledger: whole at any moment, and never written over when it is not."""

import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from inferometer.errors import WorldError
from inferometer.slo.budget import Counts
from inferometer.slo.ledger.book import Book, Bucket, Entry
from inferometer.slo.ledger.store import BYTES_MAX, FileStore, Stored

FIRST = date(2026, 8, 1)


def book(slos: int = 2, days: int = 3, *, total: int = 10) -> Book:
    bucket = Bucket("ab", Counts(), Counts(Decimal(total), Decimal(1), 60), 1, 2)
    on = {FIRST + timedelta(days=n): bucket for n in range(days)}
    return {("llm", f"slo-{n}"): Entry(FIRST, max(on), on) for n in range(slos)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger [1].json"


def test_there_is_nothing_at_first(path: Path) -> None:
    assert FileStore(path).load() == Stored({}, 0)
    assert not list(path.parent.iterdir())


def test_what_was_kept_is_there_again(path: Path) -> None:
    stored = FileStore(path).save(Stored(book(), 0))
    assert stored == Stored(book(), 1)
    assert FileStore(path).load() == stored
    assert {one.name for one in path.parent.iterdir()} == {path.name}


def test_the_version_before_is_kept(path: Path) -> None:
    store = FileStore(path)
    second = store.save(store.save(Stored(book(total=1), 0))._replace(book=book(total=2)))
    assert second.generation == 2
    last = path.with_name(f"{path.name}.last")
    assert FileStore(last).load() == Stored(book(total=1), 1)


def test_a_large_book_has_parts_and_old_ones_are_swept(path: Path) -> None:
    store, stored = FileStore(path, shard_bytes_max=300), Stored(book(8), 0)
    for total in range(5):
        stored = store.save(stored._replace(book=book(8, total=total)))
        assert store.load() == stored
    names = {one.name.removeprefix(path.name) for one in path.parent.iterdir()}
    generations = {name[1:].split("-")[0] for name in names if "-" in name}
    assert generations == {"4", "5"}


def test_the_version_before_a_large_one_is_whole_too(path: Path) -> None:
    store = FileStore(path, shard_bytes_max=300)
    first = store.save(Stored(book(8, total=1), 0))
    store.save(first._replace(book=book(8, total=2)))
    path.write_bytes(path.with_name(f"{path.name}.last").read_bytes())
    assert store.load() == first


@pytest.mark.parametrize("damage", [b"", b"{", b"not json", b"\0" * 100])
def test_a_damaged_file_is_told_with_the_way_back_and_stays(path: Path, damage: bytes) -> None:
    store = FileStore(path)
    store.save(store.save(Stored(book(total=1), 0)))
    path.write_bytes(damage)
    with pytest.raises(WorldError, match=r"ledger \[1\].json: ") as caught:
        store.load()
    assert caught.value.hint == f"the version before it is whole: cp {path}.last {path}"
    assert path.read_bytes() == damage


def test_a_file_that_was_cut_anywhere_is_told(path: Path) -> None:
    store = FileStore(path)
    store.save(Stored(book(), 0))
    text = path.read_bytes()
    for length in range(0, len(text) - 1, 7):
        path.write_bytes(text[:length])
        with pytest.raises(WorldError, match="ledger") as caught:
            store.load()
        assert "move it away" in caught.value.hint


def test_a_part_that_is_gone_is_told(path: Path) -> None:
    store = FileStore(path, shard_bytes_max=300)
    store.save(Stored(book(8), 0))
    path.with_name(f"{path.name}.1-1").unlink()
    with pytest.raises(WorldError, match="lacks its part"):
        store.load()


def test_a_file_that_is_gone_while_its_last_version_is_there_is_told(path: Path) -> None:
    store = FileStore(path)
    store.save(store.save(Stored(book(), 0)))
    path.unlink()
    with pytest.raises(WorldError, match="is gone"):
        store.load()


def test_a_file_that_is_too_large_is_told(path: Path) -> None:
    path.write_bytes(b" " * (BYTES_MAX + 1))
    with pytest.raises(WorldError, match=f"longer than {BYTES_MAX}"):
        FileStore(path).load()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "absent" / "ledger.json")
    with pytest.raises(WorldError, match="cannot be written: no such folder"):
        store.save(Stored(book(), 0))
    with pytest.raises(WorldError, match="cannot be locked: no such folder"), store.alone():
        pass


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="cannot be read: is a directory"):
        FileStore(tmp_path).load()


def test_two_ledgers_do_not_write_to_one_file(path: Path) -> None:
    with (
        FileStore(path).alone(),
        pytest.raises(WorldError, match="another ledger"),
        FileStore(path).alone(),
    ):
        pass
    with FileStore(path).alone():
        pass


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from inferometer.slo.ledger.store import FileStore
from test_store import book
store = FileStore(Path({path!r}), shard_bytes_max=10_000)
stored = store.load()
while True:
    n = stored.generation + 1
    stored = store.save(stored._replace(book=book(30, 40, total=n)))
    print(n, flush=True)
"""


def test_a_file_is_whole_whenever_its_writer_is_killed(path: Path) -> None:
    script = WRITER.format(paths=[*sys.path, str(Path(__file__).parent)], path=str(path))
    newest = 0
    for round_ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(2):
                newest = int(writer.stdout.readline())
            time.sleep(0.005 * round_)  # any moment will do: nothing is waited for
            os.kill(writer.pid, signal.SIGKILL)
            written = [int(line) for line in writer.stdout]
        newest = max([newest, *written])
        found = FileStore(path).load()
        assert found.generation in (newest, newest + 1)
        assert found.book == book(30, 40, total=found.generation)
