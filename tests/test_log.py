import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import Place, Problem, SettingsError
from inferometer.log import (
    CLOSE_WAIT_S,
    KEYS_MAX,
    VALUE_CHARS_MAX,
    Writer,
    _Text,
    brief,
    once,
    setup,
)


class Captured:
    """A set-up of logging that writes to a pipe of ours."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        self.writer: Writer | None = None

    def setup(self, **options: str) -> None:
        self.writer = setup("tests", fd=self.write_fd, **options)  # type: ignore[arg-type]

    def lines(self) -> list[str]:
        """Return every line so far; ends the capture."""
        assert self.writer is not None
        self.writer.close()
        os.close(self.write_fd)
        with open(self._read_fd, encoding="utf-8") as stream:  # noqa: PTH123 (a descriptor)
            return stream.read().splitlines()


@pytest.fixture
def captured() -> Iterator[Captured]:
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    root, ours = logging.getLogger(), logging.getLogger("inferometer")
    before = list(root.handlers), root.level, ours.level
    capture = Captured()
    yield capture
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def fail(error: BaseException) -> NoReturn:
    raise error


def logger(request: pytest.FixtureRequest) -> logging.Logger:
    return logging.getLogger(f"inferometer.tests.{request.node.name}")


def test_a_record_is_one_line_of_text_with_its_fields(captured: Captured) -> None:
    captured.setup()
    log = logging.getLogger("inferometer.sidecar.proxy")
    fields = {"address": "127.0.0.1:80", "waited_s": 0.5, "why": 'a "b" c', "none": None, "e": ""}
    log.warning("upstream refused", extra=fields)
    (line,) = captured.lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning tests sidecar\.proxy: upstream refused "
        r'address=127\.0\.0\.1:80 waited_s=0\.5 why="a \\"b\\" c" none=null e=""',
        line,
    )


def test_the_json_form_is_one_object_a_line(captured: Captured) -> None:
    captured.setup(form="json")
    log = logging.getLogger("inferometer.x")
    log.warning(
        "m", extra={"level": "mine", "n": 1, "bad": float("nan"), "raw": b"a\xff", "t": True}
    )
    record = json.loads(captured.lines()[0])
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "warning",
        "program": "tests",
        "logger": "x",
        "message": "m",
        "level_": "mine",
        "n": 1,
        "bad": "nan",
        "raw": "a\\xff",
        "t": True,
    }


@pytest.mark.req("FO-07")
@pytest.mark.parametrize("form", ["text", "json"])
def test_outside_strings_stay_on_their_line(captured: Captured, form: str) -> None:
    captured.setup(form=form)
    hostile = "a\r\nb\x1b[2J\u2028\u202e\x00\ud800c"
    logging.getLogger("inferometer.x").warning("hello %s", hostile, extra={"name_": hostile})
    (line,) = captured.lines()
    assert line.isprintable()
    assert "hello a" in line


@pytest.mark.req("FO-07")
@given(st.text())
def test_a_line_of_text_is_printable_whatever_it_says(text: str) -> None:
    capture = Captured()
    writer = Writer(capture.write_fd)
    capture.writer = writer
    writer.setFormatter(_Text("tests"))
    writer.handle(logging.makeLogRecord({"name": "inferometer", "msg": "m", "field": text}))
    (line,) = capture.lines()
    assert line.isprintable()


@pytest.mark.parametrize(
    ("level", "seen"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_the_level_holds_for_our_own_records(captured: Captured, level: str, seen: int) -> None:
    captured.setup(level=level)
    for method in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("inferometer.x"), method)("m")
        logging.getLogger("stranger").info("never shown")
    assert len(captured.lines()) == seen


@pytest.mark.req("PR-01")
def test_records_of_other_packages_show_no_arguments_and_one_line(captured: Captured) -> None:
    captured.setup()
    log = logging.getLogger("asyncio")
    log.error("Task failed\nfuture: <exception=ValueError('my prompt')>", extra={"x": "my prompt"})
    log.warning("got %s from %s", "my prompt", "http://u:p@h/")
    lines = captured.lines()
    assert "prompt" not in "".join(lines)
    assert lines[0].endswith("error tests asyncio: Task failed")
    assert lines[1].endswith("got %s from %s")


@pytest.mark.req("PR-01")
@pytest.mark.parametrize("form", ["text", "json"])
def test_exceptions_show_type_and_place_but_never_their_message(
    captured: Captured, form: str
) -> None:
    captured.setup(form=form)

    def parse() -> None:
        text = "my prompt"
        raise ValueError(text)

    try:
        try:
            parse()
        except ValueError as error:
            raise ConnectionRefusedError(111, "my prompt") from error
    except OSError:
        logging.getLogger("inferometer.x").exception("failed")
    (line,) = captured.lines()
    assert "prompt" not in line
    assert "ConnectionRefusedError from ValueError" in line
    assert "ECONNREFUSED" in line
    assert re.search(r"tests/test_log\.py:\d+ test_exceptions", line)


def test_a_chain_of_exceptions_and_its_trace_are_bounded(captured: Captured) -> None:
    captured.setup()

    def dig(depth: int) -> None:
        if depth:
            try:
                dig(depth - 1)
            except KeyError:
                fail(KeyError())
        fail(KeyError())

    try:
        dig(30)
    except KeyError:
        logging.getLogger("inferometer.x").exception("failed")
    (line,) = captured.lines()
    assert line.count("KeyError") == 4
    assert len(line) < 1000


def test_a_cause_that_was_hidden_stays_hidden(captured: Captured) -> None:
    captured.setup()
    try:
        try:
            fail(KeyError())
        except KeyError:
            raise TypeError from None
    except TypeError:
        logging.getLogger("inferometer.x").exception("failed")
    assert "error=TypeError trace=" in captured.lines()[0]


@pytest.mark.req("PR-01")
def test_our_own_errors_show_their_words(captured: Captured) -> None:
    captured.setup()
    try:
        fail(SettingsError([Problem(Place("--upstream"), "no host in 'http://u:p@h/?k=v'")]))
    except SettingsError:
        logging.getLogger("inferometer.x").exception("reload failed")
    (line,) = captured.lines()
    assert "detail=\"--upstream: no host in 'http://***@h/?***'\"" in line


def test_once_logs_the_first_of_a_kind_with_its_exception(
    captured: Captured, request: pytest.FixtureRequest
) -> None:
    captured.setup()
    log = logger(request)
    for _ in range(3):
        try:
            fail(ValueError())
        except ValueError:
            once(log, "parser", "parser failed", name="taken", dialect="openai")
    once(log, ("parser", 2), "another kind")
    log.warning("another record")
    lines = captured.lines()
    assert len(lines) == 3
    assert "name_=taken dialect=openai error=ValueError trace=" in lines[0]
    assert lines[1].endswith("another kind")


def test_once_remembers_a_bounded_number_of_kinds_and_then_stays_silent(
    captured: Captured, request: pytest.FixtureRequest
) -> None:
    captured.setup()
    log = logger(request)
    for key in range(KEYS_MAX + 10):
        once(log, key, "m")
        once(log, key, "m")
    assert len(captured.lines()) == KEYS_MAX


@pytest.mark.req("FO-01")
def test_a_reader_that_stalls_delays_nobody_and_what_is_dropped_is_counted() -> None:
    read_fd, write_fd = os.pipe()  # nobody reads: the pipe and then the queue run full
    writer = Writer(write_fd, lines_max=10)
    record = logging.makeLogRecord({"name": "inferometer.x", "msg": "m" * 100_000})
    writer.handle(record)
    for _ in range(200):
        writer.handle(record)
    assert writer.dropped >= 189
    os.close(read_fd)  # the writer's thread gets EPIPE, counts it, and goes on to the end
    writer.close()
    os.close(write_fd)


@pytest.mark.req("FO-01")
def test_closing_waits_a_bounded_time_for_a_reader_that_stalls() -> None:
    read_fd, write_fd = os.pipe()
    writer = Writer(write_fd, lines_max=1)
    for _ in range(3):
        writer.handle(logging.makeLogRecord({"name": "inferometer.x", "msg": "m" * 100_000}))
    closer = threading.Thread(target=writer.close)
    closer.start()
    closer.join(10 * CLOSE_WAIT_S)
    assert not closer.is_alive()
    os.close(read_fd)
    writer.close()
    os.close(write_fd)


@pytest.mark.req("FO-01")
def test_a_value_that_cannot_be_printed_costs_its_line_only(captured: Captured) -> None:
    captured.setup()
    assert captured.writer is not None

    class Strange:
        def __str__(self) -> str:
            raise RuntimeError

    log = logging.getLogger("inferometer.x")
    log.warning("m", extra={"value": Strange()})
    log.warning("next")
    assert captured.writer.dropped == 1
    assert len(captured.lines()) == 1


def test_setting_up_again_replaces_the_writer(captured: Captured) -> None:
    captured.setup()
    captured.setup()
    logging.getLogger("inferometer.x").warning("m")
    assert len(captured.lines()) == 1


def test_text_is_shortened_and_loses_credentials_and_queries() -> None:
    assert brief("see /v1/models?key=abc and /x") == "see /v1/models?*** and /x"
    assert brief("https://u:p@h:1/a?b=c#d") == "https://***@h:1/a?***"
    assert brief("https://h/a#d") == "https://h/a"
    assert brief("x" * 1000) == "x" * VALUE_CHARS_MAX + "..."
    assert "secret" not in brief("http://u:" + "secret" * 10_000 + "@h/")


@pytest.mark.req("PR-01")
def test_exceptions_that_nobody_caught_are_logged_without_their_message(
    captured: Captured,
) -> None:
    captured.setup()

    class Odd:
        def __del__(self) -> None:
            fail(KeyError("my prompt"))

    Odd()
    for error in (ValueError("my prompt"), SystemExit("my prompt")):
        thread = threading.Thread(target=fail, args=(error,), name="worker")
        thread.start()
        thread.join()
    try:
        fail(ValueError("my prompt"))
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    lines = captured.lines()
    assert "prompt" not in "".join(lines)
    assert [line.partition(" ")[2].partition(" trace=")[0] for line in lines] == [
        "error tests inferometer: exception nobody can catch error=KeyError",
        "error tests inferometer: uncaught exception in_thread=worker error=ValueError",
        "error tests inferometer: uncaught exception error=ValueError",
    ]


def test_the_last_lines_of_a_program_are_written_before_it_ends(tmp_path: Path) -> None:
    script = tmp_path / "prog.py"
    script.write_text(
        "from inferometer.log import setup\nsetup('prog')\nraise ValueError('my prompt')\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "uncaught exception error=ValueError" in ended.stderr
    assert "prompt" not in ended.stderr
