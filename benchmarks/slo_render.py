"""Checking and rendering as many SLOs as one installation may have, and what that makes."""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.numbers import show, spread
from benchmarks.processes import run
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench

DOCUMENTS = 50
CLASSES = 10
WINDOW_DAYS = (30, 28, 7)
GOAL_S = 2.0
GATE_S = 5.0

HEAD = """apiVersion: inferometer/v1
kind: SLO
metadata: {{name: doc-{number}, namespace: ns-{namespace}, owner: team-{number}}}
service: service-{number}
window: {{rolling: {days}d}}
classes:
"""
CLASS = """  - name: class-{number}
    match: {{model: ["model-{number}-*"], stream: true}}
    objective: 99.{number}
    good: {{ttft: {{base: 500ms, per_1k_prompt_tokens: 40ms}}, tpot: 50ms, e2e: 60s}}
"""


def measure(bench: Bench) -> list[Section]:
    """Run the command as a user would, start of the interpreter included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, out = folder / "slo.yaml", folder / "out"
        source.write_text(documents(), "utf-8")
        checks = [_seconds(bench, "check", str(source)) for _ in range(bench.rounds)]
        renders = [
            _seconds(bench, "render", str(source), "-o", str(out)) for _ in range(bench.rounds)
        ]
        files = list(out.iterdir())
        kib = sum(path.stat().st_size for path in files) / 1024
    slos = DOCUMENTS * CLASSES
    both_s = median(c + r for c, r in zip(checks, renders, strict=True))
    return [
        Section(
            title="SLO rules",
            about=f"`inferometer slo check` and `slo render` on {slos} SLOs in {DOCUMENTS}"
            " documents with windows of 7, 28 and 30 days.",
            columns=("what", "seconds"),
            rows=[("check", show(spread(checks), 2)), ("render", show(spread(renders), 2))],
            targets=[
                Target(f"check and render {slos} SLOs", both_s, "s", gate=GATE_S, goal=GOAL_S)
            ],
            notes=[f"{len(files)} files, {kib:.0f} KiB."],
        )
    ]


def documents() -> str:
    """Return all documents as one file."""
    texts = []
    for number in range(DOCUMENTS):
        days = WINDOW_DAYS[number % len(WINDOW_DAYS)]
        head = HEAD.format(number=number, namespace=number % 7, days=days)
        texts.append(head + "".join(CLASS.format(number=one) for one in range(CLASSES)))
    return "---\n".join(texts)


def _seconds(bench: Bench, *argv: str) -> float:
    command = str(Path(sys.executable).with_name("inferometer"))
    start = time.perf_counter()
    done = run([*bench.cores.for_proxy, command, "slo", *argv], timeout_s=60)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start
