"""All that works on a backend in a child, here in a thread, with what it has sent."""

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace

from inferometer.gpu.backend import Backend, Options
from inferometer.gpu.child.crew import Crew
from inferometer.gpu.child.kmsg import KernelLog
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.clock import Clock
from inferometer.gpu.messages import (
    Message,
)
from inferometer.gpu.sample import Sample
from inferometer.gpu.supervision.decoding import Decoder
from support.gpu_child import PACE
from support.scripted_backend import Script, open_backend, uuid
from support.sidecar import wait_until

QUICK = replace(PACE, tick_s=0.02, slow_s=0.05, alive_s=0.05)


class Run:
    """A crew in a thread, with what it has sent."""

    def __init__(self, script: Script) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._decoder = Decoder()
        self._messages: list[Message] = []
        self._thread: threading.Thread | None = None
        self.script = script
        self.offset_ns = 0
        self.returned: list[bool] = []
        self.crew: Crew

    def start(
        self, load: Callable[[], Backend] | None = None, kernel: KernelLog | None = None
    ) -> Crew:
        options = Options(scenario=self.script.path)
        clock = Clock(lambda: Clock().monotonic_ns() + self.offset_ns)
        crew = Crew(
            load or (lambda: open_backend(options)),
            Outbox(self._writing),
            QUICK,
            kernel=kernel,
            clock=clock,
        )
        self.crew = crew
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return crew

    def _run(self) -> None:
        self.returned.append(self.crew.run())

    def messages(self) -> list[Message]:
        with contextlib.suppress(BlockingIOError):
            self._messages += self._decoder.feed(os.read(self._reading, 1 << 20))
        return self._messages

    def last(self, kind: type[Message]) -> Message | None:
        return next((m for m in reversed(self.messages()) if type(m) is kind), None)

    def closed(self) -> set[str]:
        """Return the names of what was closed."""
        return {path.name for path in self.script.path.parent.iterdir()}

    def sampled(self, *indices: int) -> Callable[[], bool]:
        wanted = {uuid(index) for index in indices}
        return lambda: wanted <= {m.uuid for m in self.messages() if isinstance(m, Sample)}

    def beat_to_the_end(self) -> None:
        """Beat as a child's heartbeat does, which wakes the crew, until it has ended."""

        def ended() -> bool:
            self.crew.beat()
            return bool(self.returned)

        wait_until(ended, what="its end")

    def end(self) -> None:
        assert self._thread is not None
        self._thread.join(10)
        assert not self._thread.is_alive()

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)
