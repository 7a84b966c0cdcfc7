"""The last minutes of every source, kept in the server so that a reload of the page shows them."""

import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from threading import Lock
from typing import Final

from inferometer.live.point import Point

DIGITS: Final = 6
"""Significant digits on the way to the page: finer than any pixel, half the bytes."""


class History:
    """A ring of encoded points for each source. Written by one thread, read by many."""

    def __init__(self, sources: tuple[str, ...], *, points_max: int) -> None:
        """Start empty; `points_max` bounds each source."""
        self._rings: Mapping[str, deque[tuple[int, bytes]]] = {
            source: deque(maxlen=points_max) for source in sources
        }
        self._lock = Lock()
        self._sequence = 0

    def add(self, points: Mapping[str, Point]) -> int:
        """Keep one point for each source, all under the next number, and return that number."""
        encoded = {source: encode(point) for source, point in points.items()}
        with self._lock:
            self._sequence += 1
            for source, data in encoded.items():
                self._rings[source].append((self._sequence, data))
            return self._sequence

    def since(self, source: str, number: int) -> tuple[int, list[bytes]]:
        """Return the newest number and the encoded points of `source` after `number`.

        Raises KeyError for a source that does not exist.
        """
        ring = self._rings[source]
        with self._lock:
            return self._sequence, [data for at, data in ring if at > number]


def encode(point: Point) -> bytes:
    """Return the point as JSON: what is unknown, infinite or no number is null."""
    return json.dumps(_plain(asdict(point)), separators=(",", ":"), allow_nan=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, float):
        return _short(value)
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return int(value)
    digits = DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, digits)
