"""SLOs whose alerts cannot come, since their guard wants more bad requests than there can be."""

import pytest

from inferometer.slo.guard import cannot_fire, per_minute
from support.slo_rules import Documents, chat, promised

GAUGE = """\
metadata: {name: ext, owner: team}
alerts: {min_bad: MIN_BAD}
metrics:
  - {name: q, objective: 90, gauge: {metric: q, at_most: 5}, slice: {length: 5m, good_share: 90}}
"""


@pytest.mark.parametrize(
    ("rest", "rate", "windows"),
    [
        ("alerts: {min_bad: 301}", 10, "cliff (30m)"),
        ("alerts: {min_bad: 300}", 10, ""),
        ("alerts: {min_bad: 1000}", 10, "fast (1h), cliff (30m)"),
        ("alerts: {min_bad: 1000000}", 1, "fast (1h), medium (6h), cliff (30m), slow (1d), drain"),
        ("alerts: {min_bad: 400}", 20, ""),
        ("alerts: {min_bad: 400, page: false}", 10, ""),
        ("alerts: {min_bad: 1000000, page: false, ticket: false}", 1, ""),
    ],
)
def test_a_pair_that_never_holds_enough_bad_requests_is_told(
    documents: Documents, rest: str, rate: int, windows: str
) -> None:
    found = list(cannot_fire(documents(chat({"all": promised("99")}, rest=rest)), rate))
    assert [(problem.code, problem.place.line) for problem in found] == [("E09", 7)] * bool(windows)
    for problem in found:
        assert f"'chat-all' cannot fire in these windows: {windows}" in problem.message
        assert f"at {rate} requests a minute they never hold" in problem.message
        assert problem.hint.endswith("or say with --requests-per-minute how many there are")


@pytest.mark.parametrize(("min_bad", "windows"), [(31, "cliff (30m)"), (30, "")])
def test_a_gauge_has_its_minutes_however_many_requests_there_are(
    documents: Documents, min_bad: int, windows: str
) -> None:
    read = documents(GAUGE.replace("MIN_BAD", str(min_bad)))
    assert per_minute(read[0].foreign[0], 10_000) == 1
    found = list(cannot_fire(read, 10_000))
    assert [problem.hint for problem in found] == ["lower alerts.min_bad"] * bool(windows)
    for problem in found:
        assert f"these windows: {windows}; at one look a minute" in problem.message


def test_each_slo_that_cannot_fire_has_a_problem_of_its_own(documents: Documents) -> None:
    classes = {"some": promised("99", tenant="t"), "rest": promised("90")}
    read = documents(chat(classes, rest="alerts: {min_bad: 400}"))
    assert [problem.place.line for problem in cannot_fire(read, 10)] == [7, 8]
