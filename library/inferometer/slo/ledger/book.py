"""What the ledger remembers: per SLO and day what was judged, as records and as JSON.

The JSON has a version and checksums, and whoever reads it believes nothing: a file that is cut,
changed or from elsewhere is a `BookError` and never a smaller ledger. Text beyond `SHARD_BYTES_MAX`
is divided into parts that hold whole SLOs, since a ConfigMap takes 1 MiB. Pure.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, NamedTuple, NoReturn

from inferometer.errors import InferometerError
from inferometer.slo.budget import Counts

VERSION: Final = 2
READ: Final = (1, VERSION)
"""Versions that are read. The first one did not say in which timezone its days are."""
SHARD_BYTES_MAX: Final = 700_000
SHARDS_MAX: Final = 64
DAYS_MAX: Final = 100
"""Days that are kept of an SLO: a quarter of a year and some."""
ENTRIES_MAX: Final = 2000
"""SLOs of a book, those of an installation and others that are gone, until they are forgotten."""
DEFINITIONS_MAX: Final = DAYS_MAX
COUNT_MAX: Final = 1 << 62

_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,6})?")
_HEX: Final = re.compile(r"[0-9a-f]{0,64}")
_ZONE: Final = re.compile(r"[A-Za-z0-9+_/-]{0,63}")
_SMALLEST: Final = Decimal("0.000001")

Key = tuple[str, str]
"""Namespace and SLO id."""


class BookError(InferometerError):
    """What was read is no book, or is not whole."""


class Bucket(NamedTuple):
    """One day of one SLO.

    `fresh` was counted from `from_s` to before `until_s`, and is counted again while the day is
    young. `kept` was counted before `from_s` and has since been lost by Prometheus, so it stays as
    it is. `definition` is the hash of what was promised, empty for a day before that was known.
    """

    definition: str
    kept: Counts
    fresh: Counts
    from_s: int
    until_s: int

    @property
    def counts(self) -> Counts:
        """Return everything that is known of the day."""
        return self.kept + self.fresh


@dataclass(frozen=True, slots=True)
class Entry:
    """The days of one SLO. From `since` to `through` all were asked for, with data or without.

    `zone` is the timezone whose days they are, empty in files that did not say so.
    """

    since: date
    through: date
    days: Mapping[date, Bucket] = field(default_factory=dict)
    zone: str = ""

    def with_day(self, of: date, bucket: Bucket | None) -> "Entry":
        """Return the entry with a day that was asked for; None for one without data."""
        days = dict(self.days) if bucket is None else {**self.days, of: bucket}
        return replace(self, since=min(self.since, of), through=max(self.through, of), days=days)

    def after(self, first: date) -> "Entry":
        """Return the entry without the days before `first`."""
        kept = {of: bucket for of, bucket in self.days.items() if of >= first}
        since, through = max(self.since, first), max(self.through, first)
        return replace(self, since=since, through=through, days=kept)

    def definition_since(self) -> date | None:
        """Return the first day with the newest definition, if there were others before."""
        known = [(of, one.definition) for of, one in sorted(self.days.items()) if one.definition]
        changes = [of for (_, old), (of, new) in pairwise(known) if old != new]
        return changes[-1] if changes else None


Book = Mapping[Key, Entry]


class Text(NamedTuple):
    """A book as it is stored: a head, and further parts by the name that the head knows."""

    head: bytes
    parts: Mapping[str, bytes]


def encode(book: Book, *, generation: int, shard_bytes_max: int = SHARD_BYTES_MAX) -> Text:
    """Return the text of a book. `generation` counts its versions and names its parts."""
    pieces = [
        json.dumps(_entry_data(key, book[key]), separators=(",", ":")) for key in sorted(book)
    ]
    shards: list[list[str]] = [[]]
    size = 0
    for piece in pieces:
        if shards[-1] and size + len(piece) > shard_bytes_max:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += len(piece) + 1
    first, *rest = ("[" + ",\n".join(shard) + "]" for shard in shards)
    assert len(rest) <= SHARDS_MAX, len(rest)
    parts = {f"{generation}-{n}": text.encode("ascii") for n, text in enumerate(rest, 1)}
    named = {name: _checksum(text) for name, text in parts.items()}
    intro = {
        "kind": "inferometer-slo-ledger",
        "version": VERSION,
        "generation": generation,
        "parts": named,
        "sha256": _checksum(first.encode("ascii")),
    }
    head = f'{json.dumps(intro)[:-1]}, "slos":\n{first}\n}}\n'
    return Text(head.encode("ascii"), parts)


class Head(NamedTuple):
    """What a head says: its generation, the checksums of its parts by name, and its own SLOs."""

    generation: int
    parts: Mapping[str, str]
    slos: tuple[tuple[Key, Entry], ...]


def decode_head(text: bytes) -> Head:
    """Read a head. Raises BookError."""
    data = _object(_parsed(text))
    if data.get("kind") != "inferometer-slo-ledger":
        _refuse("is no ledger")
    version = data.get("version")
    if version not in READ:
        _refuse(f"has version {version!r:.20}, this program reads {VERSION}")
    start = text.find(b'"slos":\n') + len(b'"slos":\n')
    if data.get("sha256") != _checksum(text[start:].removesuffix(b"\n}\n")):
        _refuse("is not what was written: its checksum differs")
    generation, parts = data.get("generation"), _object(data.get("parts"))
    if len(parts) > SHARDS_MAX:
        _refuse("has more parts than a ledger")
    if not all(re.fullmatch(r"[0-9]{1,19}-[0-9]{1,3}", name) for name in parts):
        _refuse("names parts that no ledger has")
    named = {name: str(of) for name, of in parts.items()}
    return Head(_count(generation), named, _slos(data.get("slos")))


def decode_part(text: bytes, checksum: str) -> tuple[tuple[Key, Entry], ...]:
    """Read a part whose checksum the head knows. Raises BookError."""
    if _checksum(text) != checksum:
        _refuse("is not what was written: its checksum differs")
    return _slos(_parsed(text))


def assembled(*pieces: Sequence[tuple[Key, Entry]]) -> Book:
    """Return the book of a head and its parts. Raises BookError for an SLO that comes twice."""
    every = [pair for piece in pieces for pair in piece]
    book = dict(every)
    if len(book) != len(every) or len(book) > ENTRIES_MAX:
        _refuse("holds an SLO twice, or too many")
    return book


def rounded(number: Decimal) -> Decimal:
    """Return a count as it is stored, to a millionth."""
    return number.quantize(_SMALLEST)


def _entry_data(key: Key, entry: Entry) -> list[Any]:
    definitions = sorted({bucket.definition for bucket in entry.days.values()})
    days = {
        of.isoformat(): [definitions.index(bucket.definition), *_bucket_data(bucket)]
        for of, bucket in sorted(entry.days.items())
    }
    asked = [entry.since.isoformat(), entry.through.isoformat()]
    return [*key, *asked, definitions, days, entry.zone]


def _bucket_data(bucket: Bucket) -> Iterator[Any]:
    yield from (bucket.from_s, bucket.until_s)
    yield from _counts_data(bucket.fresh)
    if bucket.kept != Counts():
        yield from _counts_data(bucket.kept)


def _counts_data(counts: Counts) -> Iterator[Any]:
    for number in (counts.total, counts.bad):
        text = f"{rounded(number):f}".rstrip("0").rstrip(".")
        yield "0" if text in ("-0", "") else text
    yield counts.covered_s


def _slos(data: object) -> tuple[tuple[Key, Entry], ...]:
    if not isinstance(data, list) or len(data) > ENTRIES_MAX:
        _refuse("has no list of SLOs")
    return tuple(map(_entry, data))


def _entry(data: object) -> tuple[Key, Entry]:
    match data:
        case [
            str(namespace), str(slo), str(since), str(through), list(names), dict(days), *where
        ] if len(where) <= 1:  # fmt: skip
            if len(names) > DEFINITIONS_MAX or len(days) > DAYS_MAX:
                _refuse("holds more days than a ledger keeps")
            definitions = [_definition(name) for name in names]
            found = {_date(of): _bucket(one, definitions) for of, one in days.items()}
            zone = _zone(where[0]) if where else ""
            return (namespace, slo), Entry(_date(since), _date(through), found, zone)
        case _:
            return _refuse("holds an SLO that does not fit together")


def _bucket(data: object, definitions: Sequence[str]) -> Bucket:
    match data:
        case [which, first, last, *numbers] if len(numbers) in (3, 6):
            kept = _counts(numbers[3:]) if numbers[3:] else Counts()
            index, from_s, until_s = map(_count, (which, first, last))
            if index >= len(definitions) or from_s > until_s:
                _refuse("holds a day that does not fit together")
            return Bucket(definitions[index], kept, _counts(numbers[:3]), from_s, until_s)
        case _:
            return _refuse("holds a day that does not fit together")


def _counts(data: Sequence[object]) -> Counts:
    match data:
        case [str() as total, str() as bad, covered_s] if _NUMBER.fullmatch(
            total
        ) and _NUMBER.fullmatch(bad):
            return Counts(Decimal(total), Decimal(bad), _count(covered_s))
        case _:
            return _refuse("holds counts that are no numbers")


def _definition(name: object) -> str:
    if not isinstance(name, str) or not _HEX.fullmatch(name):
        _refuse("holds a definition that is no hash")
    return name


def _zone(name: object) -> str:
    if not isinstance(name, str) or not _ZONE.fullmatch(name):
        _refuse("holds a timezone that is none")
    return name


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return _refuse(f"holds {text!r:.20}, which is no date")


def _count(found: object) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < COUNT_MAX:
        _refuse("holds a count that is none")
    return found


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _refuse("is cut short, or no JSON" if text else "is empty")


def _object(data: object) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        _refuse("is no ledger")
    return data


def _checksum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _refuse(what: str) -> NoReturn:
    raise BookError(what)
