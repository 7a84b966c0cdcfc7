"""LC-03 and LC-04: files that are wrong or change, and a process that is allowed nothing."""

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from support.certificates import Authority, Pair
from support.client import Wire
from support.llm import ScriptedServer
from support.samples import Samples
from support.script import Step, chunk, head, request, script
from support.sidecar import PROGRAM, Sidecar, free_port, wait_until

TAKEN_UP_WITHIN_S = 60.0


def run(*flags: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a sidecar that must end by itself."""
    argv = [sys.executable, "-m", "inferometer.cli", "sidecar", *flags]
    env = {**os.environ, **(environ or {})}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.req("LC-03")
def test_a_wrong_configuration_ends_the_start_with_all_its_problems_at_once(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("header_timeout_s: 5\nheader_timeout: 7\nlisten: nowhere\nstall_s: -1\n")
    done = run("--config", str(config), "--series-max", "lots", "--no-such-flag")
    assert done.returncode == 2
    assert done.stdout == ""
    for place in (f"{config}:2:", f"{config}:3:", f"{config}:4:", "--series-max", "--no-such-flag"):
        assert place in done.stderr, (place, done.stderr)
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.req("LC-03")
def test_a_wrong_slo_document_ends_the_start_with_its_place(tmp_path: Path) -> None:
    document = tmp_path / "slo.yaml"
    document.write_text("apiVersion: inferometer/v1\nkind: SLO\nobjektive: 99\n")
    done = run("--slo", str(document))
    assert done.returncode == 2
    assert f"{document}:3:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.req("LC-03")
def test_an_address_in_use_is_the_worlds_fault(tmp_path: Path) -> None:
    del tmp_path
    with ScriptedServer() as server:
        done = run("--listen", f"127.0.0.1:{server.port}", "--admin", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert str(server.port) in done.stderr
    assert "Traceback" not in done.stderr


GOOD_SLO = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat, namespace: llm}
service: m
window: {rolling: 30d}
classes:
  - {name: all, objective: 99, good: {e2e: 60s}}
"""


@pytest.mark.req("LC-03")
@pytest.mark.parametrize("way", ["signal", "change"])
def test_at_reload_a_wrong_file_changes_nothing_and_a_metric_tells(
    tmp_path: Path, way: str
) -> None:
    document = tmp_path / "slo.yaml"
    document.write_text(GOOD_SLO)
    config = tmp_path / "config.yaml"
    config.write_text("log_level: info\n")
    with (
        ScriptedServer() as server,
        Sidecar(server.url, "--slo", str(document), "--config", str(config)) as sidecar,
    ):
        document.write_text("kind: [")
        if way == "signal":
            sidecar.signal(signal.SIGHUP)
        samples = sidecar.wait_samples(
            lambda s: s.total("inferometer_sidecar_reloads_total", result="failed") >= 1
        )
        assert 0.0 in {v for _, v in samples.find("inferometer_sidecar_reload_ok")}
        assert samples.find("inferometer_slo_requests_total", slo="chat-all"), "the old one stays"
        with sidecar.wire() as wire:
            assert wire.ask(request("GET", "/t")).status == 200
        sidecar.wait_log(f"{document}:")
        document.write_text(GOOD_SLO.replace("60s", "30s"))
        sidecar.signal(signal.SIGHUP)
        sidecar.wait_samples(
            lambda s: {v for _, v in s.find("inferometer_sidecar_reload_ok")} == {1.0}
        )


@pytest.mark.req("LC-03")
def test_a_reload_of_settings_takes_up_what_may_change(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("log_level: warning\n")
    with ScriptedServer() as server, Sidecar(server.url, "--config", str(config)) as sidecar:
        config.write_text("log_level: nonsense\n")
        sidecar.signal(signal.SIGHUP)
        sidecar.wait_samples(
            lambda s: s.total("inferometer_sidecar_reloads_total", result="failed") == 1
        )
        sidecar.wait_log(f"{config}:1")


class Served:
    """A sidecar that speaks TLS with whatever the link points to."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.folder = folder
        self.link = folder / "live"
        self.point_to(self.new("first"))

    def new(self, name: str, *, days: int = 1) -> Path:
        """Write a pair into a folder of its own, as a mounted secret has one for each version."""
        version = self.folder / f"..{name}"
        version.mkdir()
        pair: Pair = self.authority.issue(name, days=days)
        shutil.move(pair.certificate, version / "tls.crt")
        shutil.move(pair.key, version / "tls.key")
        return version

    def point_to(self, version: Path) -> None:
        """Switch the link in one step, as the kubelet does."""
        fresh = self.folder / "fresh"
        fresh.symlink_to(version)
        fresh.rename(self.link)

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--tls-cert", f"{self.link}/tls.crt", "--tls-key", f"{self.link}/tls.key")

    def name_shown(self, sidecar: Sidecar) -> str:
        """Return the common name of the certificate that a new handshake gets."""
        with Wire(sidecar.address, tls=self.authority.client_context()) as wire:
            assert isinstance(wire.socket, ssl.SSLSocket)
            shown = wire.socket.getpeercert()
            assert wire.ask(request("GET", "/t")).status == 200
        assert shown is not None
        subject = shown["subject"]
        return str(subject[0][0][1])


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def failed(samples: Samples) -> float:
    return samples.total("inferometer_sidecar_reloads_total", result="failed")


def has_failed(samples: Samples, *, before: float) -> bool:
    return failed(samples) > before


@pytest.mark.req("LC-03")
def test_certificates_are_taken_up_while_streams_live_and_only_if_they_work(
    served: Served,
) -> None:
    steps = [Step(0.1, chunk(b"x")) for _ in range(400)]
    stream = script(head(200, ("Transfer-Encoding", "chunked")), *steps)
    with (
        ScriptedServer({b"/stream": stream}) as server,
        Sidecar(server.url, *served.flags) as sidecar,
        Wire(sidecar.address, tls=served.authority.client_context()) as running,
    ):
        running.send(request("GET", "/stream"))
        running.read_head()
        assert served.name_shown(sidecar) == "first"

        served.point_to(served.new("second"))
        wait_until(lambda: served.name_shown(sidecar) == "second", wait_s=TAKEN_UP_WITHIN_S)

        for spoil in (half_written, mismatched, expired):
            before = failed(sidecar.scrape())
            served.point_to(spoil(served))
            sidecar.signal(signal.SIGHUP)  # looks at once; by itself it does every few seconds
            sidecar.wait_samples(partial(has_failed, before=before), wait_s=TAKEN_UP_WITHIN_S)
            assert served.name_shown(sidecar) == "second", spoil.__name__

        served.point_to(served.new("last"))
        sidecar.signal(signal.SIGHUP)
        wait_until(lambda: served.name_shown(sidecar) == "last", wait_s=TAKEN_UP_WITHIN_S)
        running.more()
        assert running.more(), "the running stream lives"


def half_written(served: Served) -> Path:
    version = served.new("half")
    whole = (version / "tls.crt").read_bytes()
    (version / "tls.crt").write_bytes(whole[: len(whole) // 2])
    return version


def mismatched(served: Served) -> Path:
    version = served.new("mismatched")
    shutil.copy(served.folder / "..first" / "tls.key", version / "tls.key")
    return version


def expired(served: Served) -> Path:
    return served.new("expired", days=-1)


@pytest.mark.req("LC-03")
def test_a_pair_that_does_not_work_at_the_start_ends_it(served: Served) -> None:
    served.point_to(half_written(served))
    done = run(*served.flags)
    assert done.returncode == 2
    assert "--tls-cert" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.req("LC-04")
def test_nothing_is_written_and_no_home_is_needed(tmp_path: Path) -> None:
    environ = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    with ScriptedServer() as server, Sidecar(server.url, environ=environ) as sidecar:
        with sidecar.wire() as wire:
            assert wire.ask(request("GET", "/t")).status == 200
        writable = [path for path in open_files(sidecar.pid) if path != str(sidecar.log)]
        assert writable == [], f"files open for writing, seen from {tmp_path}"


def open_files(pid: int) -> list[str]:
    """Return the regular files that a process holds open for writing."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = link.readlink()
            info = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
            flags = int(info.split("flags:")[1].split()[0], 8)
            if target.is_file() and flags & os.O_ACCMODE:
                found.append(str(target))
    return found


def nobody_prefix() -> list[str]:
    """Return the command that takes everything away, or skip where the system has none of it.

    A user without a name, no capability, no new privileges, an own mount namespace in which all
    is read-only and `/tmp` is empty and read-only too.
    """
    tools = [shutil.which(name) for name in ("unshare", "setpriv", "mount")]
    if os.geteuid() != 0 or not all(tools):
        pytest.skip("needs root with unshare, setpriv and mount")
    drop = (
        "exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=-all "
        "--bounding-set=-all --no-new-privs"
    )
    ours = (Path(__file__), Path(sys.prefix), Path(sys.base_prefix))
    needed = any(path.is_relative_to("/tmp") for path in ours)  # then it can only be read-only
    empty = "mount -t tmpfs -o ro none /tmp"
    kept = "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp"
    hide = kept if needed else empty
    mounts = f"mount --make-rprivate / && {hide} && mount -o remount,bind,ro /"
    return ["unshare", "--mount", "sh", "-c", f'{mounts} && {drop} "$@"', "sh"]


@pytest.mark.req("LC-04")
def test_runs_as_nobody_on_a_read_only_root_without_tmp_and_capabilities() -> None:
    prefix = nobody_prefix()
    probe = subprocess.run(
        [*prefix, sys.executable, "-c", "pass"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    if probe.returncode:  # it lies in the home of root, say
        pytest.skip("needs a Python that other users can run")
    with ScriptedServer() as server:
        program = [*prefix, *PROGRAM]
        with Sidecar(server.url, program=program, environ={"HOME": "", "TMPDIR": ""}) as sidecar:
            status = Path(f"/proc/{sidecar.pid}/status").read_text()
            assert "Uid:\t54321" in status
            assert "CapEff:\t0000000000000000" in status
            with sidecar.wire() as wire:
                assert wire.ask(request("GET", "/t")).status == 200


@pytest.mark.req("LC-04")
def test_there_is_one_process_and_its_threads(tmp_path: Path) -> None:
    del tmp_path
    with ScriptedServer() as server, Sidecar(server.url) as sidecar:
        children = Path(f"/proc/{sidecar.pid}/task/{sidecar.pid}/children").read_text()
        assert children.strip() == ""
