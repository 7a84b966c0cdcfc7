"""Where a book lies: a file that is whole at any moment, whatever happens while it is written.

A new version is written beside the old one, flushed to the disk, and takes its place by a rename,
which the file system does at once or not at all. The version before it stays as `FILE.last`. A
file that cannot be read is an error and is never written over.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from inferometer.errors import WorldError
from inferometer.slo.ledger.book import (
    SHARD_BYTES_MAX,
    Book,
    BookError,
    assembled,
    decode_head,
    decode_part,
    encode,
)

BYTES_MAX: Final = 4 * SHARD_BYTES_MAX
"""A file that is larger than this was not written by us."""


class Stored(NamedTuple):
    """A book, and the number of the version that was read; 0 is none yet."""

    book: Book
    generation: int


class Store(Protocol):
    """Where a book is kept between passes: a file, or the ConfigMaps of a cluster."""

    def load(self) -> Stored:
        """Return the book, an empty one if there never was any.

        Raises WorldError for one that cannot be read whole.
        """

    def save(self, stored: Stored) -> Stored:
        """Keep a book in place of the one with this generation; return it with its own.

        Afterwards either this book or the one before it can be loaded. Raises WorldError.
        """


class FileStore:
    """A book in a file, beside it the version before and, if it is large, its further parts."""

    def __init__(self, path: Path, *, shard_bytes_max: int = SHARD_BYTES_MAX) -> None:
        """Remember the path; nothing is read."""
        self.path = path
        self._shard_bytes_max = shard_bytes_max

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other ledgers from writing to the file. Raises WorldError if there is one."""
        with self._failing("cannot be locked"):
            lock = os.open(self._beside("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                message = f"{self.path}: another ledger writes to it"
                raise WorldError(message, "one is enough: stop the other one") from None
            yield
        finally:
            os.close(lock)

    def load(self) -> Stored:
        """Return the book; one that cannot be read names the last one that could."""
        try:
            head = decode_head(self._read(self.path))
            parts = [decode_part(self._part(name), of) for name, of in head.parts.items()]
            return Stored(assembled(head.slos, *parts), head.generation)
        except FileNotFoundError:
            if not self._beside("last").exists():
                return Stored({}, 0)
            what = "is gone"
        except BookError as error:
            what = str(error)
        raise self._damaged(what)

    def save(self, stored: Stored) -> Stored:
        """Write the next generation; the head comes last and makes it valid."""
        generation = stored.generation + 1
        text = encode(stored.book, generation=generation, shard_bytes_max=self._shard_bytes_max)
        with self._failing("cannot be written"):
            for name, part in text.parts.items():
                self._write(self._beside(name), part)
            self._keep_last()
            self._write(self.path, text.head)
            self._sweep(generation)
        return Stored(stored.book, generation)

    def _write(self, path: Path, text: bytes) -> None:
        draft = path.with_name(f"{path.name}.draft")
        with draft.open("wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        self._sync_folder()

    def _keep_last(self) -> None:
        """Keep the present version under a second name; a copy, since not every disk has links."""
        if self.path.exists():
            self._write(self._beside("last"), self.path.read_bytes())

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _sweep(self, generation: int) -> None:
        """Remove the parts that neither this generation nor the one before it names."""
        for path in self.path.parent.glob(f"{_literal(self.path.name)}.*-*"):
            number, _, index = path.name.removeprefix(f"{self.path.name}.").partition("-")
            old = number.isdecimal() and index.isdecimal() and int(number) < generation - 1
            if old:
                path.unlink(missing_ok=True)

    def _part(self, name: str) -> bytes:
        try:
            return self._read(self._beside(name))
        except FileNotFoundError:
            message = f"lacks its part {self._beside(name).name}"
            raise BookError(message) from None

    def _read(self, path: Path) -> bytes:
        with self._failing("cannot be read"), path.open("rb") as stream:
            text = stream.read(BYTES_MAX + 1)
        if len(text) > BYTES_MAX:
            message = f"is longer than {BYTES_MAX} bytes"
            raise BookError(message)
        return text

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _damaged(self, what: str) -> WorldError:
        last = self._beside("last")
        with suppress(OSError, BookError, WorldError):
            decode_head(self._read(last))
            hint = f"the version before it is whole: cp {last} {self.path}"
            return WorldError(f"{self.path}: {what}", hint)
        hint = "move it away to begin anew: Prometheus still has the days that it keeps"
        return WorldError(f"{self.path}: {what}", hint)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            if what == "cannot be read":
                raise
            message = f"{self.path}: {what}: no such folder"
            raise WorldError(message) from None
        except OSError as error:
            message = f"{self.path}: {what}: {(error.strerror or 'failed').lower()}"
            raise WorldError(message) from None


def _literal(name: str) -> str:
    """Return the pattern that takes a file name as it is."""
    return "".join(f"[{char}]" if char in "[*?" else char for char in name)
