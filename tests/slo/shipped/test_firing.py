"""Every shipped alert in a real engine: fires, is silent just below, and follows its limit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from inferometer.slo.names import total
from inferometer.slo.shipped.index import entries
from inferometer.slo.windows import SHORTEST
from support.promtool import Promtool
from support.scenes_gpu import FAULT_TABLES
from support.scenes_gpu_load import LOAD_TABLES
from support.scenes_requests import NOTHING, REQUEST_TABLES
from support.scenes_servers import SERVER_TABLES
from support.scenes_slo import SILENT_TABLES, SLO_TABLES
from support.shipped import THRESHOLD, Table, cases, rules
from support.slo_rules import keep

SERVING: Final = "serving.yaml"
TABLES: Final[dict[str, tuple[str, Sequence[Table]]]] = {
    "requests": (SERVING, REQUEST_TABLES),
    "servers": (SERVING, SERVER_TABLES),
    "gpu": ("gpu.yaml", (*FAULT_TABLES, *LOAD_TABLES)),
    "slo": ("slo.yaml", SLO_TABLES),
    "silence": ("slo.yaml", SILENT_TABLES),
}
ALL: Final = tuple(table for _, tables in TABLES.values() for table in tables)
ENTRIES: Final = {entry.name: entry for entry in entries()}
by_alert = pytest.mark.parametrize("table", ALL, ids=lambda table: table.alert)


@pytest.mark.req("SC-03")
@pytest.mark.parametrize("of", TABLES)
def test_alerts_fire_when_they_must_and_only_then(
    of: str, promtool: Promtool, tmp_path: Path
) -> None:
    file, tables = TABLES[of]
    paths = rules(tmp_path, file)
    if of == "silence":
        keep(paths[0], *(table.alert for table in tables), total(SHORTEST))
    assert promtool.test(tmp_path, paths, *cases(tables)) == ""


def test_each_shipped_alert_has_its_scenes_once() -> None:
    assert Counter(table.alert for table in ALL) == Counter(dict.fromkeys(ENTRIES, 1))


@by_alert
def test_each_rule_of_an_alert_fires_in_a_scene(table: Table) -> None:
    fixed = [
        {"severity": rule.severity, **dict(rule.labels)} for rule in ENTRIES[table.alert].rules
    ]
    fired = [labels for scene in table.scenes for labels in scene.fires]
    for labels in fixed:
        assert any(labels.items() <= one.items() for one in fired), labels


@by_alert
def test_each_alert_has_a_scene_of_silence_and_one_without_data(table: Table) -> None:
    assert NOTHING in table.scenes
    assert not NOTHING.fires
    assert any(scene.fires for scene in table.scenes)


@by_alert
def test_each_limit_is_set_in_a_scene(table: Table) -> None:
    seen = {series for scene in table.scenes for series in scene.series}
    for limit in ENTRIES[table.alert].limits:
        part = f',part="{limit.part}"' if limit.part else ""
        assert f'{THRESHOLD}{{alert="{table.alert}"{part}}}' in seen
