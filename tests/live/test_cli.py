import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from support.scripted_admin import ScriptedAdmin


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_prints_its_address_and_ends_cleanly(number: signal.Signals) -> None:
    with ScriptedAdmin(b"a 1\n") as admin:
        command = [
            sys.executable,
            "-m",
            "inferometer.cli",
            "watch",
            admin.url,
            "--listen",
            "127.0.0.1:0",
        ]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("INFEROMETER_")}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        ) as child:
            try:
                assert child.stdout is not None
                url = child.stdout.readline().strip()
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert b"<title>inferometer</title>" in answer.read()
                child.send_signal(number)
                _, messages = child.communicate(timeout=10)
            finally:
                child.kill()
    assert child.returncode == 0
    assert messages == ""
