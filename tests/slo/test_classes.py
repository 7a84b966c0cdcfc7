from pathlib import Path

import pytest

from inferometer.errors import SpecError
from inferometer.slo.spec import load

FLUID = "fluidity: {first: ttft, each: 50ms, min: 1}"


def written(folder: Path, good: str) -> Path:
    path = folder / "slo.yaml"
    head = "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: d}\n"
    path.write_text(f"{head}classes:\n  - {{name: a, objective: 99, good: {{{good}}}}}\n")
    return path


def test_fluidity_cannot_begin_with_a_limit_that_is_not_stated(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load([written(tmp_path, FLUID)])
    (problem,) = caught.value.problems
    assert (problem.code, problem.place.line) == ("E06", 5)
    assert problem.message == "fluidity begins with ttft, which good does not state"
    assert load([written(tmp_path, f"ttft: 1s, {FLUID}")])


def test_a_wrong_ttft_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load([written(tmp_path, f"ttft: fast, {FLUID}")])
    (problem,) = caught.value.problems
    assert problem.message.startswith("ttft must be")
