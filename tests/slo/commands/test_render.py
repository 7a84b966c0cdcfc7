"""`inferometer slo render`: files whole or not at all, and what a user must know about them."""

from pathlib import Path

import pytest
import yaml

from inferometer.cli import main as inferometer
from inferometer.errors import SettingsError, SpecError, WorldError
from inferometer.slo.commands.render import main

GOOD = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat, namespace: llm}
classes:
  - {name: all, objective: 99, good: {e2e: 5s}}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_files_are_named_on_stdout_and_notes_stand_on_stderr(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "rules"
    assert main([str(good), "-o", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(out / "slo.yaml"), str(out / "slo-llm--chat.yaml")]
    assert printed.err.startswith("note: chat: which requests belong to a class")
    assert sorted(path.name for path in out.iterdir()) == ["slo-llm--chat.yaml", "slo.yaml"]


def test_settings_reach_the_files(good: Path, tmp_path: Path) -> None:
    words = [
        *(str(good), "--to=prometheusrule", "--rule-namespace", "m", "--rule-label", "release=p"),
        *("--vantage", "gateway", "--cluster", "eu", "--cluster", "us"),
        *("--runbooks-url", "https://r.test", "--dashboards-url", "https://g.test"),
        *("-o", str(tmp_path / "out")),
    ]
    assert main(words) == 0
    made = yaml.safe_load((tmp_path / "out" / "slo.yaml").read_text())
    assert made["metadata"]["namespace"] == "m"
    assert made["metadata"]["labels"]["release"] == "p"
    text = str(made)
    assert 'vantage="gateway"' in text
    assert "by (cluster, namespace, slo)" in text
    assert "https://r.test/LLMSLOBurnFast.md" in text
    assert "https://g.test/d/inferometer-slo?var-cluster=" in text
    groups = yaml.safe_load((tmp_path / "out" / "slo-llm--chat.yaml").read_text())["spec"]["groups"]
    assert len(groups) == 2


def test_errors_keep_everything_from_being_written(good: Path, tmp_path: Path) -> None:
    good.write_text(GOOD + "  - {name: never, objective: 99, good: {e2e: 5s}}\n")
    with pytest.raises(SpecError) as caught:
        main([str(good), "-o", str(tmp_path / "out")])
    assert [problem.code for problem in caught.value.problems] == ["E07"]
    assert not (tmp_path / "out").exists()
    assert inferometer(["slo", "render", str(good), "-o", str(tmp_path / "out")]) == 2


def test_warnings_do_not(good: Path, tmp_path: Path) -> None:
    assert main([str(good), "-o", str(tmp_path / "out")]) == 0  # it has no owner


def test_a_file_that_nothing_makes_any_more_is_named_and_left(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(good), "-o", str(out)]) == 0
    (out / "slo-mine.yaml").write_text("groups: []\n")
    good.write_text(GOOD.replace("name: chat", "name: talk"))
    capsys.readouterr()
    assert main([str(good), "-o", str(out)]) == 0
    told = capsys.readouterr().err
    assert f"note: {out / 'slo-llm--chat.yaml'}: none of these documents makes it any more" in told
    assert "slo-mine" not in told
    assert (out / "slo-llm--chat.yaml").exists()


def test_the_shipped_files_need_no_document(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--shipped", "-o", str(tmp_path)]) == 0
    names = ("slo.yaml", "serving.yaml", "gpu.yaml")
    notifying = ("alertmanager/inhibition.yaml", "alertmanager/alertmanagerconfig.yaml")
    written = [tmp_path / name for name in (*names, *notifying)]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in written]
    assert all(path.exists() for path in written)
    for wrong in (["--shipped", str(good)], []):
        with pytest.raises(SettingsError, match="either documents or --shipped"):
            main([*wrong, "-o", str(tmp_path)])


def test_a_folder_that_cannot_be_written_is_the_world_s_fault(good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match="cannot write into"):
        main([str(good), "-o", str(tmp_path / "file" / "out")])


@pytest.mark.req("SC-02")
@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--rule-label", "no-value"),
        ("--rule-label", "a=b c"),
        ("--rule-label", "=b"),
        ("--runbooks-url", "https://x {{ . }}"),
        ("--dashboards-url", "{{x}}"),
        ("--vantage", ""),
        ("--cluster", ""),
        ("--to", "nagios"),
    ],
)
def test_values_that_would_break_a_file_are_refused(
    good: Path, tmp_path: Path, flag: str, value: str
) -> None:
    with pytest.raises(SettingsError):
        main([str(good), "-o", str(tmp_path / "out"), f"{flag}={value}"])
    assert not (tmp_path / "out").exists()


@pytest.mark.req("SC-02")
def test_a_cluster_that_is_named_twice_would_write_its_groups_twice(
    good: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="'a' is named twice"):
        main(
            [str(good), "-o", str(tmp_path / "out"), *["--cluster=a", "--cluster=b"], "--cluster=a"]
        )
    assert not (tmp_path / "out").exists()


def test_a_wrong_timezone_is_told_beside_other_errors(tmp_path: Path) -> None:
    path = tmp_path / "slo.yaml"
    path.write_text(
        "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: a, owner: b}\n"
        "window: {calendar: month, timezone: Europe/Berlim}\n"
        "classes:\n  - {name: x, objective: 99, good: {ttft: 0s}}\n"
    )
    with pytest.raises(SpecError) as caught:
        main([str(path), "-o", str(tmp_path / "out")])
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 2
    assert "did you mean 'Europe/Berlin'?" in "".join(told)


def test_after_two_hyphens_a_word_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="-o: cannot be read"):
        main(["--output", str(tmp_path), "--", "-o"])
