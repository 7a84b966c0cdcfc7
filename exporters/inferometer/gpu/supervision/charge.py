"""The child that is being listened to: its pipes, read as far as they are full."""

import logging
import os
from typing import Final

from inferometer.gpu.messages import Message
from inferometer.gpu.supervision.decoding import Decoder
from inferometer.gpu.supervision.spawn import Process

READ_BYTES: Final = 64 * 1024
READS_MAX: Final = 8
"""Reads in one go, so that no child can keep the supervisor for itself."""
LINES_PER_S: Final = 20
"""Lines of a child's own output that reach our log."""
LINE_BYTES_MAX: Final = 500

logger = logging.getLogger(__name__)


class Lines:
    """Output for humans, cut into lines of which a bounded number passes each second."""

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._held = b""
        self._second = 0
        self._passed = 0
        self.left_out = 0

    def take(self, data: bytes, now_s: float) -> list[str]:
        """Return the lines that are complete and may pass; long ones are cut."""
        if int(now_s) != self._second:
            self._second, self._passed = int(now_s), 0
        *lines, self._held = (self._held + data).split(b"\n")
        self._held = self._held[:LINE_BYTES_MAX]
        good = [line for line in lines if line.strip()]
        passing = good[: LINES_PER_S - self._passed]
        self._passed += len(passing)
        self.left_out += len(good) - len(passing)
        return [line[:LINE_BYTES_MAX].decode("utf-8", "replace") for line in passing]


class Charge:
    """A child that was started and has not ended."""

    def __init__(self, process: Process, now_s: float) -> None:
        """Begin with nothing heard."""
        self.process = process
        self.started_s = now_s
        self.heard_s = now_s
        self.opened = False
        self._decoder = Decoder()
        self._lines = Lines()

    def read(self) -> tuple[list[Message], bool]:
        """Return what came, and whether this is all that ever will. Raises GarbageError."""
        messages: list[Message] = []
        for _ in range(READS_MAX):
            data = _read(self.process.messages_fd)
            if not data:
                return messages, data is not None
            messages += self._decoder.feed(data)
        return messages, False

    def relay(self, backend: str, now_s: float) -> bool:
        """Log what the child says to humans; False once it cannot say more."""
        data = _read(self.process.errors_fd)
        for line in self._lines.take(data or b"", now_s):
            logger.warning("the child says", extra={"backend": backend, "line": line})
        return data != b""

    @property
    def lines_left_out(self) -> int:
        """Lines that were too many for the log."""
        return self._lines.left_out


def _read(fd: int) -> bytes | None:
    """Return what can be read now: None for nothing, b"" at the end."""
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None
