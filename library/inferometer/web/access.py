"""Basic authentication with bcrypt, without paying for bcrypt at every scrape.

A password is verified once, on a thread of its own and one at a time, since it takes a tenth of a
second of CPU; verdicts are kept under a keyed hash, never the password. An unknown user costs as
much as a known one. Who may do what is for the server to say.
"""

import base64
import binascii
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from threading import Thread
from typing import Final, NamedTuple

VERDICTS_MAX: Final = 64
"""Verdicts kept of each kind; good ones are never pushed out by bad ones."""

WAITING_MAX: Final = 16
"""Passwords that wait for their turn; more are told to come again."""

PASSWORD_BYTES_MAX: Final = 72
"""What bcrypt looks at; the rest of a longer password has no meaning."""


class Credentials(NamedTuple):
    """A user and a password as a client sent them."""

    user: str
    password: bytes


def read_credentials(authorization: str) -> Credentials | None:
    """Return what an `Authorization` header says, or None if it is no basic authentication."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return Credentials(user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def is_available() -> bool:
    """Return whether bcrypt is installed."""
    try:
        import bcrypt  # noqa: F401 - optional: without it no file with users is accepted
    except ImportError:
        return False
    return True


def verify(password: bytes, password_hash: str) -> bool:
    """Return whether a password belongs to a bcrypt hash; takes a tenth of a second or more."""
    import bcrypt

    if b"\0" in password:  # bcrypt would take it for the end, or raise
        return False
    try:
        return bcrypt.checkpw(password[:PASSWORD_BYTES_MAX], password_hash.encode())
    except ValueError:
        return False


class Access:
    """Verifies credentials against users and their hashes, and remembers the verdicts."""

    def __init__(self, *, verify: Callable[[bytes, str], bool] = verify) -> None:
        """Start with an empty memory and no thread; `verify` does the work."""
        self._verify = verify
        self._key = os.urandom(32)
        self._verdicts: dict[bool, OrderedDict[bytes, None]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._waiting: Queue[Callable[[], None] | None] = Queue(WAITING_MAX)
        self._thread: Thread | None = None

    def recall(self, users: Mapping[str, str], credentials: Credentials) -> bool | None:
        """Return the verdict on credentials, None if they have not been verified."""
        digest = self._digest(users, credentials)
        for verdict, kept in self._verdicts.items():
            if digest in kept:
                kept.move_to_end(digest)
                return verdict
        return None

    def remember(
        self, users: Mapping[str, str], credentials: Credentials, *, verdict: bool
    ) -> None:
        """Keep a verdict; it is forgotten when the user's hash changes."""
        kept = self._verdicts[verdict]
        kept[self._digest(users, credentials)] = None
        if len(kept) > VERDICTS_MAX:
            kept.popitem(last=False)

    def judge(
        self,
        users: Mapping[str, str],
        credentials: Credentials,
        done: Callable[[bool], None],
    ) -> bool:
        """Verify credentials in turn and hand the verdict to `done`, on the thread of this object.

        Returns False, and does nothing, if too many wait already.
        """
        known = credentials.user in users
        # An unknown user is verified against the hash of another one, and fails all the same.
        password_hash = users[credentials.user] if known else next(iter(users.values()))

        def work() -> None:
            done(self._verify(credentials.password, password_hash) and known)

        try:
            self._waiting.put_nowait(work)
        except Full:
            return False
        if self._thread is None:
            self._thread = Thread(target=self._work, name="web access", daemon=True)
            self._thread.start()
        return True

    def stop(self) -> None:
        """End the thread after what it is doing; those who wait get no verdict."""
        try:
            while True:
                self._waiting.get_nowait()
        except Empty:
            self._waiting.put_nowait(None)

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()

    def _digest(self, users: Mapping[str, str], credentials: Credentials) -> bytes:
        import hashlib  # it loads OpenSSL, which takes 3 MiB, and few ports have users

        user = credentials.user.encode()
        parts = (user, users.get(credentials.user, "").encode(), credentials.password)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()
