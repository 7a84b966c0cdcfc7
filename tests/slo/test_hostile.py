"""Hostile SLO documents: an error, in less than a second of work and 200 MB, whatever they hold."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from inferometer.documents import BYTES_MAX, NODES_MAX, PROBLEMS_MAX

HEAD: Final = "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: a}\n"
SECONDS_MAX: Final = 1.0
MEGABYTES_MAX: Final = 200
PACE_S: Final = 0.025
"""What `pace` takes where nothing else runs. A core that is shared works slower, and so the second
is longer there: it says what documents cost, not how busy the machine is."""
# What it costs beyond starting. The kernel's VmHWM is of the program alone: ru_maxrss is also that
# of the test run which started it. Where coverage is measured the child is left alone.
PROGRAM: Final = """
import json, sys, time
from inferometer.slo.check import findings
from inferometer.slo.spec import examine
def pace():
    began = time.process_time()
    sum(len(str(number)) for number in range(300_000))
    return time.process_time() - began
before = pace()
began = time.process_time()
read = examine(sys.argv[1:])
found = findings(read.documents, zones=())
took = time.process_time() - began
slowest = max(before, pace())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
kilobytes = int(status["VmHWM"].split()[0])
codes = sorted({one.code for one in (*read.problems, *found)})
print(json.dumps([took, slowest, kilobytes / 1024, codes, len(read.problems)]))
"""


def repeated(text: str, before: str = HEAD, *, times: int = 10**6) -> str:
    """Return `text` as often as a file can hold it."""
    return before + text * min(times, (BYTES_MAX - len(before)) // len(text))


def openslo(spec: str) -> str:
    return f"apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: a}}\nspec: {spec}\n"


def ratio(selector: str) -> str:
    return f"  - {{name: m, objective: 99, ratio: {{total: m, bad: '{selector}'}}}}\n"


def shuffled(number: int) -> str:
    """Return letters of a name in another order, which makes it like many names."""
    letters = list("request_prefill_time_seconds_e2e_latency")
    random.Random(number).shuffle(letters)
    return "".join(letters)


def histograms(metrics: Iterable[str]) -> str:
    entries = (
        f"  - {{name: m{n}, objective: 99, histogram: {{metric: 'vllm:{metric}', threshold: 1}}}}\n"
        for n, metric in enumerate(metrics)
    )
    return f"{HEAD}metrics:\n{''.join(entries)}"


ONE_CLASS: Final = "  - {name: c, objective: 99, good: {e2e: 1s}, "
LAUGHS: Final = "a: &a [lol, lol]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
)
QUERY: Final = "{indicator: {spec: {thresholdMetric: {metricSource: {spec: {query: QUERY}}}}}}"
CASES: Final = {
    "laughs": LAUGHS,
    "tags": repeated("- !!python/object/apply:os.system [ls]\n", "x:\n"),
    "depth": "[" * BYTES_MAX,
    "braces": "{a: " * (BYTES_MAX // 4),
    "size": repeated("# x\n") + "# one more\n",
    "keys": repeated("k: 1\n"),
    "fields": HEAD + "".join(f"k{n}: 1\n" for n in range(NODES_MAX // 2 - 20)),
    "tabs": repeated("\t"),
    "one key": HEAD + "k" * (BYTES_MAX - 200) + ": 1\n",
    "one value": HEAD + "service: " + "s" * (BYTES_MAX - 200) + "\n",
    "norway": HEAD + "alerts: {page: no, ticket: off, min_bad: 1_0}\nwindow: {rolling: 0o7d}\n",
    "classes": repeated(
        "  - {name: a, objective: 9e9, good: {ttft: 1}}\n", HEAD + "classes:\n", times=500
    ),
    "copies": repeated(
        f"{ONE_CLASS}for_each: {{tenant: [{'x,' * 20}]}}}}\n", HEAD + "classes:\n", times=500
    ),
    "globs": repeated(
        f"{ONE_CLASS}match: {{model: ['{'*a' * 128}']}}}}\n", HEAD + "classes:\n", times=500
    ),
    "selectors": repeated(ratio(f"m{{{'a=1,' * 480}}}"), HEAD + "metrics:\n", times=500),
    "regexes": repeated(
        ratio(f'm{{a=~"{"(" * 900}{")*" * 450}"}}'), HEAD + "metrics:\n", times=400
    ),
    "long names of engines": histograms("time_to_" * 20 + str(n) for n in range(500)),
    "shuffled names of engines": histograms(map(shuffled, range(500))),
    "openslo queries": repeated(
        f"---\n{openslo(QUERY.replace('QUERY', 'sum(' * 400))}", "---\n{}\n", times=900
    ),
    "openslo objectives": repeated(
        f"---\n{openslo('{objectives: [' + '{target: 1},' * 20 + ']}')}", "---\n{}\n", times=900
    ),
    "openslo labels": openslo("{}").replace(
        "{name: a}", "{name: a, labels: {" + ",".join(f"l{n}: x" for n in range(40_000)) + "}}"
    ),
    "surrogates": HEAD + 'service: "\\ud800\\udfff"\n',
    "nothing": "",
    "nul": HEAD + "service: \0\n",
}


@pytest.mark.req("SC-01", "SC-04")
@pytest.mark.parametrize("name", CASES)
def test_hostile_documents_end_soon_and_small(tmp_path: Path, name: str) -> None:
    path = tmp_path / "slo.yaml"
    path.write_bytes(CASES[name].encode("utf-8", "surrogatepass"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path],
        env={name: text for name, text in os.environ.items() if "COV" not in name},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    took_s, pace_s, megabytes, codes, problems = json.loads(done.stdout)
    assert took_s < SECONDS_MAX * max(1.0, pace_s / PACE_S)
    assert megabytes < MEGABYTES_MAX
    assert [code for code in codes if code[0] == ("W" if "names of" in name else "E")]
    assert problems <= PROBLEMS_MAX + 1
