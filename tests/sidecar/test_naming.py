"""Rules of the label of a request's model."""

import dataclasses

import pytest

from inferometer.metrics.build import Registry
from inferometer.metrics.labels import Names
from inferometer.sidecar.cli import make_stages
from inferometer.sidecar.desk import Desk
from inferometer.sidecar.fields import NO_FIELDS
from inferometer.sidecar.naming import ModelLabel
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import Answered

OK = Answered(200, NO_FIELDS)
FAILED = Answered(500, NO_FIELDS)


@pytest.fixture
def desk() -> Desk:
    registry = Registry()
    stages = dataclasses.replace(make_stages(registry, Settings()), names=Names(["listed"]))
    return Desk(registry, stages, stall_s=1.0)


def test_before_anything_is_known_a_model_is_unknown(desk: Desk) -> None:
    assert ModelLabel(desk).value == "unknown"


def test_the_name_in_the_request_wins_over_that_of_the_answer(desk: Desk) -> None:
    label = ModelLabel(desk)
    label.ask("listed")
    label.tell("told")
    label.prove(OK)
    assert label.value == "listed"


def test_a_request_without_a_name_takes_the_first_of_its_answer(desk: Desk) -> None:
    label = ModelLabel(desk)
    label.ask(None)
    label.tell("told")
    label.tell("told-later")
    assert label.value == "other", "nothing has proven it yet"
    label.prove(OK)
    assert label.value == "told"


def test_a_name_that_comes_after_the_first_output_changes_no_label(desk: Desk) -> None:
    label = ModelLabel(desk)
    label.ask(None)
    label.prove(OK)
    label.tell("listed")
    assert label.value == "unknown"
    label.conclude(OK, outputs=5, tokens=5)
    assert label.value == "unknown"


@pytest.mark.parametrize(
    ("answered", "tokens", "expected"),
    [(OK, 5, "named"), (OK, None, "other"), (OK, 0, "other"), (FAILED, 5, "other")],
)
def test_without_output_a_model_is_proven_by_tokens_of_a_good_answer(
    desk: Desk, answered: Answered, tokens: int | None, expected: str
) -> None:
    label = ModelLabel(desk)
    label.ask("named")
    label.conclude(answered, outputs=0, tokens=tokens)
    assert label.value == expected


def test_output_of_a_failed_answer_or_of_none_proves_no_model(desk: Desk) -> None:
    for answered in (FAILED, None):
        label = ModelLabel(desk)
        label.ask("named")
        label.prove(answered)
        assert label.value == "other"


def test_a_request_without_an_answer_adds_no_name(desk: Desk) -> None:
    label = ModelLabel(desk)
    label.ask("named")
    label.conclude(None, outputs=0, tokens=None)
    assert label.value == "other"
    assert desk.peek_model("named") == "other"
