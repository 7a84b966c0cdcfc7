"""`inferometer slo ledger` against real Prometheus servers, which forget and begin anew."""

import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from inferometer.errors import SettingsError, SpecError, WorldError
from inferometer.slo.budget import Counts
from inferometer.slo.commands.ledger import main
from inferometer.slo.ledger.store import FileStore
from support import live_slos
from support.live_slos import DAY_S, DOCUMENTS, Live, midnight_s
from support.prometheus import Prometheus, load
from support.promtool import tool
from support.recorded import Recorded, lines
from support.scripted_prometheus import ScriptedPrometheus, reply
from support.sidecar import wait_until

CHAT: Final = ("llm", "chat-all")
WAIT_S: Final = 60.0


@pytest.fixture
def slos(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(DOCUMENTS)
    return path


def counted(store: Path, since_s: int) -> Counts:
    """Return everything that the file knows of days that begin at or after a moment."""
    days = FileStore(store).load().book[CHAT].days.values()
    return sum(
        (one.counts for one in days if one.from_s >= since_s or one.kept != Counts()), Counts()
    )


def first_day_s(store: Path) -> int:
    """Return the moment at which the first day begins that the file knows of."""
    first = min(FileStore(store).load().book[CHAT].days)
    return int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())


@pytest.mark.req("SC-05")
def test_sums_are_exact_over_a_cut_retention_and_a_new_disk(
    slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = live_slos.now_s()
    chat = Live(now_s).recorded[0]
    old_s, store = now_s - 5400, tmp_path / "ledger.json"
    eras = (
        Recorded(chat.slo, chat.start_s, old_s, chat.of),  # all of it, but for the last 90 minutes
        Recorded(chat.slo, now_s - 10 * DAY_S, now_s, chat.of),  # retention: 10 days
        Recorded(chat.slo, now_s - 3600, now_s, chat.of),  # a new disk, an hour ago
        Recorded(chat.slo, now_s - 600, now_s, chat.of),  # another one, just now
    )
    for number, era in enumerate(eras):
        folder = tmp_path / f"era-{number}"
        folder.mkdir()
        data = load(tool("2", "promtool"), lines([era]), folder)
        with Prometheus(tool("2", "prometheus"), data) as prometheus:
            for _ in range(2):  # a second pass changes nothing
                assert main([str(slos), "--prometheus", prometheus.url, "--store", str(store)]) == 0
                begin_s = first_day_s(store)  # of 30 before a today that may have become yesterday
                assert begin_s in (midnight_s(now_s) - n * DAY_S for n in (30, 29))
                total, bad, covered_s = chat.truth(begin_s, old_s if number == 0 else now_s)
                assert counted(store, begin_s) == Counts(total, bad, covered_s)
    share = 1 - Decimal(bad) / Decimal(total)
    expected = f"{int(share * 100_000) / 1000:g} %"
    (line,) = (row for row in capsys.readouterr().out.splitlines()[-4:] if "chat-all" in row)
    assert expected in line


def test_one_pass_prints_a_table(
    live: Live, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(slos), "--prometheus", live.url, "--store", str(tmp_path / "l.json")]
    assert main(argv) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["SLO", "good", "budget", "left", "known"]
    cells = {row.split()[0]: re.split(r"\s{2,}", row) for row in rows}
    assert cells["llm/chat-quiet"][1:3] == ["no traffic", "no traffic"]
    assert cells["llm/chat-words"][1:] == ["no data", "no data", "0 s of 30 d"]
    assert re.fullmatch(r"99\.\d+ %", cells["llm/chat-all"][1])


def test_a_running_ledger_shows_what_it_knows_and_ends_when_told(
    live: Live, slos: Path, tmp_path: Path
) -> None:
    store = tmp_path / "l.json"
    argv = ["ledger", slos, "--prometheus", live.url, "--store", store]
    argv += ["--listen", "127.0.0.1:0", "--interval-s", "1"]
    script = "import sys; from inferometer.slo.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, argv)], stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            text = shown(program)
            with pytest.raises(WorldError, match="another ledger"):
                main([str(slos), "--prometheus", live.url, "--store", str(store)])
        finally:
            program.send_signal(signal.SIGTERM)
            _, logged = program.communicate(timeout=WAIT_S)
    assert program.returncode == 0
    assert "ledger is stopping" in logged
    assert re.search(r'remaining_ratio\{namespace="llm",slo="chat-all"\} 0\.\d+', text)
    assert "chat-words" in text
    assert not re.search(r"remaining_ratio\{[^}]*chat-words", text)
    assert FileStore(store).load().book[CHAT].days


def shown(program: subprocess.Popen[str]) -> str:
    """Wait until the ledger is ready, and return its metrics."""
    assert program.stderr is not None
    told = iter(program.stderr.readline, "")
    listens = next(found for line in told if (found := re.search(r"port=(\d+)", line)))
    url = f"http://127.0.0.1:{listens[1]}"
    wait_until(lambda: status(f"{url}/readyz") == 200, wait_s=WAIT_S)
    with urllib.request.urlopen(f"{url}/metrics", timeout=WAIT_S) as answer:
        text: bytes = answer.read()
    return text.decode()


def status(url: str) -> int:
    """Return the status of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_damaged_file_ends_the_start_and_stays(live: Live, slos: Path, tmp_path: Path) -> None:
    store = tmp_path / "l.json"
    store.write_text("{")
    with pytest.raises(WorldError, match="cut short"):
        main([str(slos), "--prometheus", live.url, "--store", str(store)])
    assert store.read_text() == "{"


def test_a_prometheus_that_is_away_loses_nothing(slos: Path, tmp_path: Path) -> None:
    store = tmp_path / "l.json"
    argv = [str(slos), "--store", str(store), "--prometheus"]
    with (
        ScriptedPrometheus(lambda _: reply({}, status=500)) as server,
        pytest.raises(WorldError, match="answers 500"),
    ):
        main([*argv, server.url])
    assert not store.exists()


def test_a_wrong_document_or_command_is_told(slos: Path, tmp_path: Path) -> None:
    rest = ["--prometheus", "http://127.0.0.1:1", "--store", str(tmp_path / "l.json")]
    with pytest.raises(SettingsError, match="must be HOST:PORT"):
        main([str(slos), *rest, "--listen", "unix:/tmp/x"])
    with pytest.raises(SettingsError, match="--store"):
        main([str(slos), "--prometheus", "http://p"])
    slos.write_text(DOCUMENTS.replace("objective: 99,", "objective: 999,"))
    with pytest.raises(SpecError, match="objective"):
        main([str(slos), *rest])


def test_a_cluster_that_is_no_label_is_refused(slos: Path, tmp_path: Path) -> None:
    rest = ["--prometheus", "http://127.0.0.1:1", "--store", str(tmp_path / "l.json")]
    with pytest.raises(SettingsError, match="--cluster"):
        main([str(slos), *rest, "--cluster", "e\x07u"])


@pytest.mark.req("SC-02")
def test_credentials_in_the_url_are_refused_and_not_shown(slos: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        main([str(slos), "--prometheus", "http://u:hunter2@p:9090", "--store", "l.json"])
    assert "hunter2" not in str(caught.value)
