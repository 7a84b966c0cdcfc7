"""Logs of a program: one line a record, as text or JSON, that can neither block nor betray.

Every program calls `setup` once; all other code uses `logging.getLogger(__name__)` as usual, with
a constant message and fields: `log.warning("upstream refused", extra={"address": address})`.

Three rules hold for whatever is logged. Writing happens in a thread of its own behind a bounded
queue, so a full disk or a stalled pipe delays nobody. Outside strings stay on their line: control
characters and lone surrogates are escaped. And content stays out: exceptions show type and place,
never their message (which may quote a prompt), URLs lose query and credentials, and records of
other packages show the first line of their message without its arguments.
"""

import contextlib
import errno
import json
import logging
import os
import queue
import re
import sys
import threading
import traceback
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, NamedTuple

ROOT: Final = "inferometer"
LEVELS: Final = ("debug", "info", "warning", "error")

LINES_MAX: Final = 1000
"""Lines that wait for a slow stderr; further ones are dropped and counted."""
VALUE_CHARS_MAX: Final = 500
"""Characters of one value that are printed."""
_SCRUBBED_CHARS_MAX: Final = 4000
FRAMES_MAX: Final = 12
"""Frames of a trace, the innermost ones."""
CAUSES_MAX: Final = 4
"""Exceptions of a chain."""
KEYS_MAX: Final = 256
"""Kinds that `once` remembers for a logger; later kinds are not logged at all."""
CLOSE_WAIT_S: Final = 1.0
"""How long an exit waits for lines that stderr has not taken."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ONCE: Final = "once_key"
# Each pattern consumes a word once, so that no text costs more than its length.
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)(?:\S*@)?([^\s?#'\"]*)([^\s'\"]*)")
_QUERY: Final = re.compile(r"(/[^\s?'\"/]*)\?[^\s'\"]+")
_CUT_URL: Final = re.compile(r"://\S*\Z")


def setup(
    program: str, *, level: str = "info", form: Literal["text", "json"] = "text", fd: int = 2
) -> "Writer":
    """Send the records of this process to stderr (`fd`), in place of an earlier set-up.

    `level` is one of `LEVELS` and holds for our own records; other packages show warnings and
    worse. Exceptions that nobody caught are logged too, in the same careful way. Returns the
    writer, whose `dropped` feeds a self metric and whose `close` waits for the last lines.
    """
    writer = Writer(fd)
    writer.setFormatter(_Json(program) if form == "json" else _Text(program))
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, Writer):
            root.removeHandler(handler)
            handler.close()
    root.addHandler(writer)
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level.upper())
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable
    return writer


def once(logger: logging.Logger, key: Hashable, message: str, **fields: object) -> None:
    """Log a warning if `logger` has not seen `key` before, with the exception being handled.

    For faults that can come with every request: the first of a kind tells, a counter does the
    rest. Memory is bounded by `KEYS_MAX` kinds for each logger.
    """
    if not any(isinstance(known, _First) for known in logger.filters):
        logger.addFilter(_First())
    extra = {f"{name}_" if name in _STANDARD else name: value for name, value in fields.items()}
    in_handler = sys.exc_info()[0] is not None
    logger.warning(message, extra={**extra, _ONCE: key}, exc_info=in_handler)


def brief(text: str, chars_max: int = VALUE_CHARS_MAX) -> str:
    """Return `text` short, and without the credentials and queries of the URLs and paths in it."""
    cut = text[:_SCRUBBED_CHARS_MAX]
    if len(cut) < len(text):
        cut = _CUT_URL.sub("://", cut)  # the `@` that marks credentials may be cut off
    if "/" in cut:
        cut = _QUERY.sub(r"\1?***", _URL.sub(_bare_url, cut))
    shortened = len(cut) > chars_max or len(text) > _SCRUBBED_CHARS_MAX
    return f"{cut[:chars_max]}..." if shortened else cut


def _bare_url(match: re.Match[str]) -> str:
    credentials = "***@" if "@" in match[0][: match.start(2) - match.start()] else ""
    query = "?***" if match[3].startswith("?") else ""
    return f"{match[1]}{credentials}{match[2]}{query}"


class _First(logging.Filter):
    """Lets the first record of each kind pass; the kinds live with the logger it is added to."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[Hashable] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is no repetition."""
        if not hasattr(record, _ONCE):
            return True
        key = getattr(record, _ONCE)
        if key in self._seen or len(self._seen) == KEYS_MAX:
            return False
        self._seen.add(key)
        return True


class Writer(logging.Handler):
    """Writes lines from a thread of its own; the caller never waits and never sees an error.

    It writes to the file descriptor and not to `sys.stderr`, since a thread that is stuck in that
    object's lock would abort the interpreter's exit.
    """

    def __init__(self, fd: int, *, lines_max: int = LINES_MAX) -> None:
        """Start the thread."""
        super().__init__()
        self.dropped = 0
        self._fd = fd
        self._lines: queue.Queue[bytes | None] = queue.Queue(lines_max)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, or count it as dropped."""
        try:
            self._lines.put_nowait(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001 (whatever a strange value raises, logging never does)
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, for `CLOSE_WAIT_S` at most."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=CLOSE_WAIT_S)
        self._thread.join(CLOSE_WAIT_S)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                while line:
                    line = line[os.write(self._fd, line) :]
            except OSError:  # closed, full, or nobody reads: there is no place to tell it
                self.dropped += 1


class _Line(NamedTuple):
    """What both forms print of a record."""

    time: str
    level: str
    logger: str
    message: str
    fields: Mapping[str, object]


class _Text(logging.Formatter):
    """`2026-01-31T12:00:00.000Z warning sidecar.proxy: upstream refused address=10.0.0.1:80`."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record)
        head = f"{line.time} {line.level} {self._program} {line.logger}: {_escape(line.message)}"
        return " ".join([head, *(f"{_escape(k)}={_word(v)}" for k, v in line.fields.items())])


class _Json(logging.Formatter):
    """The same as one JSON object a line; a field that has the name of a member gets a `_`."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record)
        members: dict[str, object] = {
            "time": line.time,
            "level": line.level,
            "program": self._program,
            "logger": line.logger,
            "message": line.message,
        }
        for name, value in line.fields.items():
            members[f"{name}_" if name in members else name] = value
        return json.dumps(members)


def _line(record: logging.LogRecord) -> _Line:
    ours = record.name.partition(".")[0] == ROOT
    moment = datetime.fromtimestamp(record.created, UTC)
    message = record.getMessage() if ours else str(record.msg).partition("\n")[0]
    fields = {
        name: _plain(value)
        for name, value in vars(record).items()
        if ours and name not in _STANDARD and name != _ONCE
    }
    if record.exc_info and record.exc_info[1]:
        fields |= _exception_fields(record.exc_info[1])
    return _Line(
        time=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        level=record.levelname.lower(),
        logger=record.name.removeprefix(f"{ROOT}."),
        message=brief(message),
        fields=fields,
    )


def _plain(value: object) -> object:
    """Return a value that JSON can hold: numbers and truth values stay, the rest becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)  # NaN compares false, too
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return brief(text).encode("utf-8", "backslashreplace").decode()


def _word(value: object) -> str:
    """Return a value as one word of a text line, in JSON's quotes where it is more than that."""
    if not isinstance(value, str):
        return json.dumps(value)
    bare = value and value.isprintable() and not set(value) & set(' "=\\')
    return value if bare else _escape(json.dumps(value, ensure_ascii=False))


def _escape(text: str) -> str:
    """Return `text` with everything but printable characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _exception_fields(error: BaseException) -> dict[str, object]:
    """Return type and place of an exception and of what caused it, without any message."""
    chain = list(_causes(error))
    fields: dict[str, object] = {"error": " from ".join(type(e).__qualname__ for e in chain)}
    if type(error).__module__.startswith(f"{ROOT}."):  # our own words, values already shortened
        fields["detail"] = _plain(str(error))
    codes = [e.errno for e in chain if isinstance(e, OSError) and e.errno]
    if codes:
        fields["errno"] = errno.errorcode.get(codes[0], codes[0])
    fields["trace"] = " > ".join(_frames(error.__traceback__))
    return fields


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if current is None:
            return
        yield current
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def _frames(trace: TracebackType | None) -> Iterator[str]:
    for frame, line in list(traceback.walk_tb(trace))[-FRAMES_MAX:]:
        path = frame.f_code.co_filename.replace(os.sep, "/").split("/")
        yield f"{'/'.join(path[-2:])}:{line} {frame.f_code.co_name}"


def _log_uncaught(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    logging.getLogger(ROOT).error("uncaught exception", exc_info=error)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if not isinstance(args.exc_value, SystemExit):
        extra = {"in_thread": getattr(args.thread, "name", None)}
        logging.getLogger(ROOT).error("uncaught exception", exc_info=args.exc_value, extra=extra)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    logging.getLogger(ROOT).error("exception nobody can catch", exc_info=args.exc_value)
