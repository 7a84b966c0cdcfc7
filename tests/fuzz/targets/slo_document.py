"""SLO documents: what is wrong is a SpecError with places, what is right can be used.

Rules made of it are YAML and PromQL that others read.
"""

import atexit
import tempfile
from collections.abc import Sequence
from pathlib import Path

import promql_parser
import yaml

from inferometer.errors import SpecError
from inferometer.slo.check import findings
from inferometer.slo.detection import detections
from inferometer.slo.document import Document
from inferometer.slo.names import Options
from inferometer.slo.render import render
from inferometer.slo.spec import edges, load, unsupported

WORDS = (
    b"apiVersion: inferometer/v1\n", b"kind: SLO\n", b"metadata: {name: chat}\n", b"classes:\n",
    b"  - {name: all, objective: 99, good: {ttft: 500ms}}\n", b"match: ", b"model: ", b"window: ",
    b"ttft: {base: 1s, per_1k_prompt_tokens: 10ms, from: body}", b"itl: {p95: 50ms, max: 1s}",
    b"e2e: ", b"tpot: ", b"alerts: ", b"&a ", b"*a", b"!!python/object", b"<<: ", b"---\n", b"\t",
    b"metrics:\n", b"  - {name: m, objective: 99, ratio: {bad: 'a{x=~\"b\"}', total: a}}\n",
    b"histogram: {metric: h, threshold: 1s, where: {x: '\"} or vector(1) #'}}", b"weight: slice",
    b"slice: {length: 5m, good_share: 50}", b"for_each: {tenant: [a, b]}", b"owner: ", b"service: ",
    b'"\\u0000"', b"99.9%", b"1e999", b"0x1F", b"[[[[", b"{{{{", b"? ", b"- ", b"|\n", b">\n",
)  # fmt: skip

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-slo-")
atexit.register(_FOLDER.cleanup)
PATH = Path(_FOLDER.name, "slo.yaml")


def check(data: bytes) -> None:
    """Nothing but SpecError; libFuzzer's time limit bounds the work."""
    PATH.write_bytes(data)
    try:
        documents = load([PATH])
    except SpecError as error:
        if any(problem.place.source != str(PATH) for problem in error.problems):
            raise
        str(error).encode()
        return
    problems = unsupported(documents)
    str(problems).encode()
    if not problems:
        edges(documents)
    _check_rules(documents)


def _check_rules(documents: Sequence[Document]) -> None:
    findings(documents, zones=())
    for document in documents:
        for one in detections(document):
            one.words()
    for file in render(documents, "prometheus", Options(clusters=('"} or vector(1) #',)))[1:]:
        for group in yaml.safe_load(file.text)["groups"]:
            for rule in group["rules"]:
                promql_parser.parse(rule["expr"])
                assert all(isinstance(value, str) for value in rule["labels"].values())
