import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from inferometer.demo.child import Child
from inferometer.errors import WorldError
from support.process import alive
from support.sidecar import wait_until


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules children can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def child(modules: Path, code: str, *words: str) -> Child:
    (modules / "played.py").write_text(textwrap.dedent(code))
    return Child("played", "played", *words, messages=modules)


def test_a_child_says_its_lines_and_is_ended(modules: Path) -> None:
    made = child(
        modules, "import sys, time\nprint(sys.argv[1:], flush=True)\ntime.sleep(60)", "a", "b"
    )
    assert made.line(10) == "['a', 'b']"
    assert made.running
    made.stop()
    assert not made.running


def test_a_child_that_fails_is_told_with_its_last_words(modules: Path) -> None:
    made = child(modules, "raise SystemExit('the port is taken')")
    with pytest.raises(WorldError, match="the demo's played ended") as caught:
        made.line(10)
    assert caught.value.hint == "the port is taken"
    made.stop()


def test_a_child_that_says_nothing_is_waited_for_within_a_bound(modules: Path) -> None:
    made = child(modules, "import time\ntime.sleep(60)")
    with pytest.raises(WorldError, match=r"said nothing within 0\.2 s"):
        made.line(0.2)
    made.stop()


def test_a_child_that_ignores_the_wish_to_end_is_killed(modules: Path) -> None:
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(60)
    """
    made = child(modules, code)
    assert made.line(10) == "deaf"
    made.stop(wait_s=0.2)
    assert not made.running


def test_a_child_dies_with_its_parent_even_if_that_is_killed(modules: Path) -> None:
    (modules / "sleeper.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)")
    (modules / "parent.py").write_text(
        textwrap.dedent("""
            import pathlib, sys, time
            from inferometer.demo.child import Child
            made = Child("sleeper", "sleeper", messages=pathlib.Path(sys.argv[1]))
            made.line(10)
            print(made.pid, flush=True)
            time.sleep(60)
        """)
    )
    command = [sys.executable, "-m", "parent", str(modules)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(pid), what="the child outlives its parent")


def dying_with(parent: int) -> subprocess.CompletedProcess[str]:
    """Run a child that says `on` if it goes on after asking to die with `parent`."""
    module = "from inferometer.demo.child import die_with_parent"
    code = f"{module}\ndie_with_parent({parent})\nprint('on')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_child_whose_parent_is_gone_already_does_not_start() -> None:
    done = dying_with(1 << 30)
    assert (done.returncode, done.stdout) == (1, "")


def test_with_its_parent_a_child_goes_on() -> None:
    done = dying_with(os.getpid())
    assert done.stdout == "on\n"
