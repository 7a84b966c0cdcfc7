from pathlib import Path

import pytest

from inferometer.demo.settings import Settings
from inferometer.demo.stage import Stage, ask, free_ports
from inferometer.errors import WorldError
from inferometer.live import reading
from support.sidecar import free_port, wait_until


def requests(made: Stage) -> float:
    """Return how many requests the sidecar has seen to their end."""
    counted = made.measured().counters
    return sum(count for key, count in counted.items() if key[0] == reading.REQUESTS)


def test_everything_starts_runs_and_ends_and_the_facts_agree(tmp_path: Path) -> None:
    made = Stage(Settings(speed=4.0), folder=tmp_path, version="1")
    try:
        wait_until(lambda: requests(made) > 3, what="no request was measured")
        made.check()
        facts = made.finish()
        wait_until(lambda: not made.load.running, what="the load said its last word and stayed")
        with pytest.raises(WorldError, match="the demo's load ended by itself"):
            made.check()
    finally:
        made.close()
    seen = {key[1]: n for key, n in facts.measured.counters.items() if key[0] == reading.REQUESTS}
    assert seen["success"] == facts.truth["ends"]["success"]
    assert facts.ends["complete"] >= seen["success"]
    assert not any(child.running for child in (made.model, made.sidecar, made.load))


def test_free_ports_are_different_ones() -> None:
    assert len(set(free_ports(5))) == 5


def test_a_process_that_does_not_answer_is_an_error_of_the_world() -> None:
    with pytest.raises(WorldError, match="does not answer /demo/truth"):
        ask(free_port(), "/demo/truth")


def test_a_sidecar_that_cannot_start_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFEROMETER_SIDECAR_STALL_S", "soon")
    with pytest.raises(WorldError, match="the demo's sidecar ended at its start") as caught:
        Stage(Settings(), folder=tmp_path, version="1")
    assert "INFEROMETER_SIDECAR_STALL_S" in caught.value.hint
