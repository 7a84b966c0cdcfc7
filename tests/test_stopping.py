import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from inferometer.stopping import Stop

WAITS = """
import os
import signal
from inferometer.stopping import Stop

stop, heard = Stop(), 0

def hear(*_):
    global heard
    heard += 1
    stop.set()

signal.signal(signal.SIGUSR1, hear)
print("ready", flush=True)
while heard < 3000:
    stop = Stop()
    stop.wait(0.00001)
os._exit(0)  # at a usual end a signal would find no handler any more
"""


def test_it_is_heard_by_all_who_wait_and_by_those_who_come_later() -> None:
    stop = Stop()
    assert not stop.is_set()
    assert not stop.wait(0.001)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(stop.wait, 10) for _ in range(3)]
        stop.set()
        assert all(one.result(10) for one in waiting)
    assert stop.is_set()
    assert stop.wait()


def test_a_signals_handler_may_say_it_wherever_it_interrupts_who_waits() -> None:
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            while process.poll() is None:
                process.send_signal(signal.SIGUSR1)
        finally:
            process.kill()
        assert process.returncode == 0
