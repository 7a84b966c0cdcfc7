"""A model server's inside, simulated: continuous batching with chunked prefill. Pure.

Each step of a real engine reads a part of the waiting prompts and generates one token for every
running request; the more it does, the longer it takes. So the time to first token grows with the
queue and with the prompt, and the pace of all answers falls when the batch is full: the very
things that the page is there to show. Same seed, same steps.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, NamedTuple

QUEUE_MAX: Final = 96
"""Requests that wait for a slot; the next one is rejected."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How fast the simulated engine is; the defaults resemble an 8B model on one GPU."""

    slots: int = 48
    kv_tokens: int = 96_000
    prefill_tokens_per_step: int = 512
    step_s: float = 0.008
    step_s_per_sequence: float = 0.00022
    step_s_per_prefill_token: float = 0.00003
    pause_every_s: float = 60.0
    """Mean time between pauses of the whole engine, as a collection of garbage makes them."""
    pause_s: tuple[float, float] = (0.3, 1.3)
    slow_every_s: float = 110.0
    """Mean time between phases in which a neighbour takes the machine's power."""
    slow_s: tuple[float, float] = (4.0, 7.0)
    slow_factor: float = 2.2


@dataclass(eq=False, slots=True)
class Job:
    """A request inside the engine."""

    prompt_tokens: int
    output_tokens: int
    prefill_left: int = field(init=False)
    generated: int = 0
    state: Literal["waiting", "running", "over"] = "waiting"

    def __post_init__(self) -> None:
        """Nothing of the prompt has been read."""
        self.prefill_left = self.prompt_tokens

    @property
    def kv_tokens(self) -> int:
        """Memory that it takes when it is whole, in tokens; reserved from its start."""
        return self.prompt_tokens + self.output_tokens


class Step(NamedTuple):
    """One turn of the engine: how long it takes, and who has a new token at its end."""

    duration_s: float
    tokens: list[Job]
    admitted: list[Job]


class Engine:
    """The queue and the batch. Time passes only by `step`."""

    def __init__(self, shape: Shape, *, seed: int) -> None:
        """Start idle."""
        self.shape = shape
        self._random = Random(seed)  # noqa: S311 - a simulation
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._now_s = 0.0
        self._pause_at_s = self._next(shape.pause_every_s)
        self._slow_at_s = self._next(shape.slow_every_s)
        self._slow_until_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._running)

    def submit(self, job: Job) -> bool:
        """Queue a request; False where the queue is full or it can never fit."""
        if len(self._waiting) >= QUEUE_MAX or job.kv_tokens > self.shape.kv_tokens:
            return False
        self._waiting.append(job)
        return True

    def cancel(self, job: Job) -> None:
        """Forget a request whose client has left; its memory is free at once."""
        if job.state == "waiting":
            self._waiting.remove(job)
        elif job.state == "running":
            self._running.remove(job)
        job.state = "over"

    def idle(self, duration_s: float) -> None:
        """Let time pass without work."""
        self._now_s += duration_s

    def step(self) -> Step:
        """Do one turn: admit, read prompts, generate."""
        admitted = self._admit()
        read = self._prefill()
        tokens = [job for job in self._running if job.prefill_left == 0]
        for job in tokens:
            job.generated += 1
            if job.generated == job.output_tokens:
                job.state = "over"
        self._running = [job for job in self._running if job.state == "running"]
        shape = self.shape
        work_s = (
            shape.step_s
            + shape.step_s_per_sequence * len(tokens)
            + shape.step_s_per_prefill_token * read
        )
        duration_s = work_s * self._slowness() + self._pause()
        self._now_s += duration_s
        return Step(duration_s, tokens, admitted)

    def _admit(self) -> list[Job]:
        """Move requests into the batch, in their order, while slots and memory last."""
        admitted: list[Job] = []
        held = sum(job.kv_tokens for job in self._running)
        while self._waiting and len(self._running) < self.shape.slots:
            if held + self._waiting[0].kv_tokens > self.shape.kv_tokens:
                break
            job = self._waiting.popleft()
            job.state = "running"
            held += job.kv_tokens
            self._running.append(job)
            admitted.append(job)
        return admitted

    def _prefill(self) -> int:
        """Read prompts, first come first served; return how many tokens were read."""
        left = self.shape.prefill_tokens_per_step
        for job in self._running:
            read = min(left, job.prefill_left)
            job.prefill_left -= read
            left -= read
        return self.shape.prefill_tokens_per_step - left

    def _slowness(self) -> float:
        if self._now_s >= self._slow_at_s:
            self._slow_until_s = self._now_s + self._random.uniform(*self.shape.slow_s)
            self._slow_at_s = self._slow_until_s + self._next(self.shape.slow_every_s)
        return self.shape.slow_factor if self._now_s < self._slow_until_s else 1.0

    def _pause(self) -> float:
        if self._now_s < self._pause_at_s:
            return 0.0
        pause_s = self._random.uniform(*self.shape.pause_s)
        self._pause_at_s = self._now_s + pause_s + self._next(self.shape.pause_every_s)
        return pause_s

    def _next(self, mean_s: float) -> float:
        """Draw a waiting time: random, but never so short or long that a viewer misses it."""
        return mean_s * self._random.uniform(0.5, 1.5)
