"""The records of which the tables of engines are made."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "summary"]


class Shown(NamedTuple):
    """A metric by its kind. `edges` of a histogram are empty where they depend on the model."""

    kind: Kind
    edges: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What one version of an engine shows.

    `tuned` is the setting that moves bucket edges, empty where there is none.
    """

    engine: str
    version: str
    metrics: Mapping[str, Shown]
    source: str
    tuned: str = ""


class Alias(NamedTuple):
    """A metric that got another name: since when it has `new`, and from when `old` is gone."""

    engine: str
    old: str
    new: str
    since: str
    gone: str
    source: str


def named(kind: Kind, prefix: str, names: str) -> Iterator[tuple[str, Shown]]:
    """Yield metrics without edges; `names` are words, each after `prefix`."""
    return ((f"{prefix}{name}", Shown(kind)) for name in names.split())


def histograms(prefix: str, names: str, edges: Sequence[Decimal]) -> Iterator[tuple[str, Shown]]:
    """Yield histograms that share their edges."""
    return ((f"{prefix}{name}", Shown("histogram", tuple(edges))) for name in names.split())


def numbers(text: str) -> tuple[Decimal, ...]:
    """Return the numbers of a text, exactly."""
    return tuple(map(Decimal, text.split()))


def metrics(*parts: Iterable[tuple[str, Shown]]) -> Mapping[str, Shown]:
    """Return all parts as one mapping; a name that comes twice is a mistake of the table."""
    found: dict[str, Shown] = {}
    for part in parts:
        for name, shown in part:
            assert name not in found, name
            found[name] = shown
    return found
