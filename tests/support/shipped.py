"""Scenes for shipped alerts as compact tables, and the promtool tests that they become.

A scene has series with one value a minute, and which alerts it must give at one minute. What the
alerts say of themselves is not repeated: severities and labels are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from inferometer.slo.names import Options
from inferometer.slo.render import shipped
from support.promtool import Case, Promtool

THRESHOLD: Final = "inferometer:alert_threshold:value"

Series = Mapping[str, str]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Scene:
    """What is seen, and when which rules of the alert must fire: one set of labels for each."""

    about: str
    minute: int
    series: Series
    fires: Sequence[Labels] = field(default=())
    interval: str = "1m"


class Table(NamedTuple):
    """All scenes of one alert."""

    alert: str
    scenes: tuple[Scene, ...]


def overridden(alert: str, value: str, *, part: str = "") -> dict[str, str]:
    """Return the series by which a user sets a limit."""
    labels = f'alert="{alert}"' + (f',part="{part}"' if part else "")
    return {f"{THRESHOLD}{{{labels}}}": f"{value}x2000"}


def merged(*parts: Series) -> dict[str, str]:
    """Return all series of several; none may be there twice."""
    found: dict[str, str] = {}
    for part in parts:
        assert found.keys().isdisjoint(part), found.keys() & part.keys()
        found |= part
    return found


def rules(folder: Path, *names: str, options: Options | None = None) -> list[Path]:
    """Write the shipped rules into a folder; only some files, where they are named."""
    paths = []
    for file in shipped("prometheus", options or Options()):
        if file.name in names or not (names or "/" in file.name):
            paths.append(folder / file.name)
            paths[-1].write_text(file.text, "utf-8")
    return paths


def cases(tables: Iterable[Table]) -> list[Case]:
    """Return promtool tests, one for scenes that see the same: each costs a database."""
    found: dict[object, list[tuple[str, Scene]]] = {}
    for table in tables:
        for scene in table.scenes:
            key = (scene.interval, frozenset(scene.series.items()))
            found.setdefault(key, []).append((table.alert, scene))
    return [_case(scenes) for scenes in found.values()]


def _case(scenes: Sequence[tuple[str, Scene]]) -> Case:
    name = "; ".join(f"{alert}: {scene.about}" for alert, scene in scenes)
    first = scenes[0][1]
    expect = [_expected(*one) for one in scenes]
    return Case(first.series, expect, name=name, interval=first.interval)


def _expected(alert: str, scene: Scene) -> tuple[str, int, dict[str, float]]:
    selector = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    found = {
        _text({"__name__": "ALERTS", "alertname": alert, "alertstate": "firing", **labels}): 1.0
        for labels in scene.fires
    }
    assert len(found) == len(scene.fires), scene.about
    return selector, scene.minute, found


def _text(labels: Labels) -> str:
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{inside}}}"


def run(promtool: Promtool, folder: Path, tables: Iterable[Table], *files: str) -> str:
    """Return what promtool has to say against the scenes, in one run for all of them."""
    return promtool.test(folder, rules(folder, *files), *cases(tables))


def groups(path: Path) -> list[dict[str, Any]]:
    """Return the groups of a file of rules."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))["groups"]
    return found
