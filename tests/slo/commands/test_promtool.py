"""Running promtool: found or not, one that is none, and one that does not end."""

from pathlib import Path

import pytest

from inferometer.errors import WorldError
from inferometer.slo.commands.promtool import Promtool, confirm, found
from inferometer.slo.proof.prove import Job, cases, generic, jobs
from support.slo_rules import Documents, chat, promised


def script(folder: Path, text: str) -> Path:
    path = folder / "promtool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_installed_one_is_taken_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(None) is None
    path = script(tmp_path, 'echo "promtool, version 2.42.0+ds (branch: x)"')
    assert found(None) == Promtool(str(path), "promtool 2.42.0+ds")
    assert found(path) == Promtool(str(path), "promtool 2.42.0+ds")


def test_one_that_was_built_without_a_version_has_none(tmp_path: Path) -> None:
    path = script(tmp_path, 'echo "promtool, version  (branch: , revision: x)"')
    assert found(path) == Promtool(str(path), "promtool")


@pytest.mark.parametrize("text", ["exit 1", "echo hello", "echo 'promtool, version'; exit 3"])
def test_what_is_no_promtool_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorldError, match="is no promtool"):
        found(script(tmp_path, text))


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"cannot run .*absent"):
        found(tmp_path / "absent")


def some_jobs(documents: Documents) -> tuple[Job, ...]:
    known = documents(chat({"all": promised("99")}))
    return jobs(cases(known, 10), generic(known))


def test_progress_is_told_and_every_scenario_is_answered(
    tmp_path: Path, documents: Documents
) -> None:
    made = some_jobs(documents)
    told: list[tuple[int, int]] = []
    tool = Promtool(str(script(tmp_path, "exit 0")), "x")
    answers = confirm(tool, made, lambda done, of: told.append((done, of)))
    assert told == [(number, 6) for number in range(7)]
    assert set(answers) == {one.id for job in made for one in job.stand_ins}
    assert all(not one.broken and not one.others for one in answers.values())


def test_a_promtool_that_vanishes_ends_it(tmp_path: Path, documents: Documents) -> None:
    tool = Promtool(str(tmp_path / "gone"), "x")
    with pytest.raises(WorldError, match="cannot run"):
        confirm(tool, some_jobs(documents), lambda _done, _of: None)


def test_a_promtool_that_does_not_end_is_ended(tmp_path: Path, documents: Documents) -> None:
    tool = Promtool(str(script(tmp_path, "exec sleep 60")), "x")
    with pytest.raises(WorldError, match=r"did not end within 0\.2 s"):
        confirm(tool, some_jobs(documents)[:1], lambda _done, _of: None, limit_s=0.2)
