"""Top-level keys out of a JSON prefix, against the standard library's reader of whole ones."""

import json
from typing import Any

from fuzz.pieces import choose
from inferometer.stream.sniff import MEMBERS_MAX, NESTED, REPEATED, VALUE_BYTES_MAX, sniff

WANTED = frozenset(("model", "stream", "n"))
WORDS = (
    b'"model"', b'"stream"', b'"n"', b'"mod\\u0065l"', b":", b",", b"{", b"}", b"[", b"]", b"true",
    b"null", b"1e5", b'"\\ud800"', b'\\"', b"\\", b"\xef\xbb\xbf", b"NaN", b'"x":[{"model":1}],',
)  # fmt: skip


def check(data: bytes) -> None:
    """A whole document reads as json reads it; a part of it says nothing else."""
    at, text = choose(data, range(256))
    found = sniff(text, WANTED)
    expected = _expected(text)
    if expected is not None:
        assert found.complete
        assert _shown(found.values) == _shown(expected)
    part = sniff(text[:at], WANTED)
    for key, value in part.values.items():
        assert key in found.values
        assert _shown([found.values[key]]) in (_shown([value]), _shown([REPEATED]))
    if part.complete:
        assert _shown(part.values) == _shown(found.values)


def _expected(text: bytes) -> dict[str, object] | None:
    try:
        pairs = json.loads(text.decode(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, _Pairs) or len(pairs) > MEMBERS_MAX:
        return None
    if any(len(key) >= VALUE_BYTES_MAX // 8 for key, _ in pairs):
        return None
    values: dict[str, object] = {}
    for key, value in pairs:
        if key not in WANTED:
            continue
        if isinstance(value, str | int | float) and len(text) >= VALUE_BYTES_MAX:
            return None  # written longer than it reads, perhaps
        nested = NESTED if isinstance(value, list | _Pairs) else value
        values[key] = REPEATED if key in values else nested
    return values


class _Pairs(list[tuple[str, Any]]):
    """The members of an object in their order, repeated ones too."""


def _shown(value: object) -> str:
    return repr(value)  # NaN equals itself here, and True is not 1
