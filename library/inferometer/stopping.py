"""A word to end that a signal's handler may give.

`threading.Event.set` takes a lock. A handler runs on the main thread between two of its steps, and
if that thread is just about to wait for the event, it holds the lock: the process hangs for ever.
`queue.SimpleQueue.put` is made for that place.
"""

import queue
from contextlib import suppress


class Stop:
    """Said once, heard by all who wait."""

    def __init__(self) -> None:
        """Begin without the word."""
        self._word: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._said = False

    def set(self) -> None:
        """Say it; for any thread and for a signal's handler."""
        self._said = True
        if self._word.empty():
            self._word.put(None)

    def is_set(self) -> bool:
        """Return whether it was said."""
        return self._said

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is said; returns whether it was."""
        if not self._said:
            with suppress(queue.Empty):
                self._word.get(timeout=timeout_s)
        if self._said:
            self.set()  # for whoever waits, too
        return self._said
