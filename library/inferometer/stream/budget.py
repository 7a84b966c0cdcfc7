"""Memory for the bodies that are kept whole, shared by all answers that are read at once.

One body has a bound of its own, but many clients that stop reading in the middle of theirs would
each keep that much for as long as they like.
"""

from typing import Final


class Budget:
    """How many bytes may be kept at once, by whoever was handed it; for one thread."""

    __slots__ = ("left",)

    def __init__(self, bytes_max: int) -> None:
        """Start with all of it left."""
        self.left: int = bytes_max


class Kept:
    """The bytes of one body, taken from a budget until they are cleared or nobody needs them."""

    __slots__ = ("_budget", "_data")

    def __init__(self, budget: Budget) -> None:
        """Start with nothing."""
        self._budget: Final = budget
        self._data = bytearray()

    def __len__(self) -> int:
        """Return how many bytes are kept."""
        return len(self._data)

    def __del__(self) -> None:
        """Give back what a body took that was left before its end."""
        self.clear()

    def add(self, data: bytes) -> bool:
        """Keep more; tell whether the budget had room."""
        if len(data) > self._budget.left:
            return False
        self._budget.left -= len(data)
        self._data += data
        return True

    def take(self) -> bytes:
        """Return all that was kept, and keep nothing any more."""
        data = bytes(self._data)
        self.clear()
        return data

    def clear(self) -> None:
        """Keep nothing any more, and give the memory back, too."""
        self._budget.left += len(self._data)
        self._data = bytearray()
