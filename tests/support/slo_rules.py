"""SLO documents and their counters as tests write them, and the rules made of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

from inferometer.slo.document import Document
from inferometer.slo.names import Options
from inferometer.slo.render import render
from inferometer.slo.spec import load

HEAD: Final = "apiVersion: inferometer/v1\nkind: SLO\n"

Documents = Callable[..., tuple[Document, ...]]
Rules = Callable[..., list[Path]]


def read(folder: Path, *texts: str) -> tuple[Document, ...]:
    """Return documents from texts without their first two lines."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.yaml"
        path.write_text(HEAD + text, "utf-8")
        paths.append(path)
    return load(paths)


def write(folder: Path, documents: tuple[Document, ...], options: Options) -> list[Path]:
    """Render documents for Prometheus into a folder."""
    folder.mkdir(exist_ok=True)
    paths = []
    for file in render(documents, "prometheus", options):
        paths.append(folder / file.name)
        paths[-1].write_text(file.text, "utf-8")
    return paths


def keep(path: Path, *names: str) -> None:
    """Take all rules but some out of a rendered file, for runs of many hours."""
    data = yaml.safe_load(path.read_text("utf-8"))
    for group in data["groups"]:
        group["rules"] = [
            rule for rule in group["rules"] if {rule.get("record"), rule.get("alert")} & set(names)
        ]
    path.write_text(yaml.safe_dump(data), "utf-8")


def chat(classes: Mapping[str, str], *, rest: str = "window: {rolling: 30d}") -> str:
    """Return a document `chat` with a class for each name; its value is what it says."""
    entries = "".join(f"  - {{name: {name}, {text}}}\n" for name, text in classes.items())
    return (
        "metadata: {name: chat, namespace: llm, owner: team}\nservice: llama\n"
        f"{rest}\nclasses:\n{entries}"
    )


def promised(objective: str, *, tenant: str = "", more: str = "") -> str:
    """Return a class that wants a first token in time; tenants keep classes apart."""
    match = f", match: {{tenant: {tenant}}}" if tenant else ""
    return f"objective: {objective}, good: {{ttft: 1s}}{match}{more}"


def counter(
    slo: str, verdict: str, values: str, *, of: str = "requests", reason: str = ""
) -> dict[str, str]:
    """Return one verdict counter with its values, in promtool's notation."""
    why = reason or {"good": "none", "bad": "ttft"}[verdict]
    labels = f'vantage="sidecar",namespace="llm",slo="{slo}",verdict="{verdict}",reason="{why}"'
    return {f"inferometer_slo_{of}_total{{{labels}}}": values}


Phase = tuple[int, float, float]
"""Minutes, and good and bad requests in each of them."""


def counters(slo: str, *phases: Phase, of: str = "requests") -> dict[str, str]:
    """Return a good and a bad counter that begin at 0 and rise as the phases say."""
    sums, texts = [0.0, 0.0], [["0"], ["0"]]
    for minutes, *each in phases:
        for which, per_minute in enumerate(each):
            texts[which].append(f"{sums[which] + per_minute:f}+{per_minute:f}x{minutes - 1}")
            sums[which] += per_minute * minutes
    return {
        **counter(slo, "good", " ".join(texts[0]), of=of),
        **counter(slo, "bad", " ".join(texts[1]), of=of),
    }
