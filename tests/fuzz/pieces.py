"""How a target takes an input apart: choices first, then the bytes themselves.

libFuzzer mutates one string of bytes. A target that needs more than bytes (which route, where TCP
cuts) takes it from the first few, so that a mutation of them is a mutation of the choice.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

_CUTS = 4


def choose(data: bytes, options: Sequence[T]) -> tuple[T, bytes]:
    """Return an option chosen by the first byte, and the rest."""
    return options[(data[0] if data else 0) % len(options)], data[1:]


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the bytes behind the first four, whole and in the pieces which these four state.

    A byte is the distance to the next cut; 0 makes none, and single bytes follow after 255.
    """
    steps, body = data[:_CUTS], data[_CUTS:]
    if steps[:1] == b"\xff":
        return body, [body[at : at + 1] for at in range(len(body))]
    places = [0]
    for step in steps:
        if step and places[-1] + step < len(body):
            places.append(places[-1] + step)
    places.append(len(body))
    return body, [body[start:end] for start, end in pairwise(places)]
