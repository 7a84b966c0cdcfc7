"""Presets are classes that can be read, and say where they come from."""

import pytest

from inferometer.slo.check import findings
from inferometer.slo.presets import PRESETS, Preset
from support.slo_rules import Documents


def test_names_are_unique() -> None:
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_each_is_a_class_without_a_finding(preset: Preset, documents: Documents) -> None:
    (document,) = documents(f"metadata: {{name: d, owner: o}}\nclasses:\n{preset.text()}")
    (one,) = document.classes
    assert one.name == preset.name
    assert (one.weight == "slice") is preset.slices
    assert set(one.thresholds_s()) == {key for key, _ in preset.good}
    assert findings([document], zones=()) == ()
    assert preset.source in preset.text()
