"""The child's end of the pipe: a message goes out at once, or is dropped and counted.

All threads of a child write here, so the lock is held for writes that cannot block, and never
while a driver is called.
"""

import contextlib
import fcntl
import os
import threading
from typing import Final

from inferometer.gpu.messages import Message, TooLargeError, encode

PIPE_BYTES: Final = 256 * 1024
"""What we ask the kernel to hold for a server that is busy; less is no harm."""


class Outbox:
    """Sends messages to the server."""

    def __init__(self, fd: int) -> None:
        """Take over the writing end of a pipe."""
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):  # above the user's limit
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._fd = fd
        self._lock = threading.Lock()
        self._rest = b""  # of a message that went out in part
        self.dropped = 0
        self.closed = False
        """Nobody reads any more: the server is gone."""

    def send(self, message: Message) -> bool:
        """Send a message; False if it was dropped."""
        try:
            data = encode(message)
        except TooLargeError:
            self.dropped += 1
            return False
        with self._lock:
            sent = self._flush() and self._begin(data)
            self.dropped += not sent
            return sent

    def _flush(self) -> bool:
        if self._rest:
            self._rest = self._rest[self._write(self._rest) :]
        return not self._rest

    def _begin(self, data: bytes) -> bool:
        written = self._write(data)
        if written:  # from now on the rest has to follow, or nothing behind it could be read
            self._rest = data[written:]
        return written > 0

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.closed = True
            return 0
