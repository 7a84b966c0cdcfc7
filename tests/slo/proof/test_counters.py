"""Counters of pods: exact sums, no fall but at a restart, and the same values in few words."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.proof.counters import Counted, Flow, Pod, Sample, minute_by_minute, notation

numbers = st.integers(0, 50)
flows = st.lists(st.builds(Flow, st.integers(1, 20), numbers, numbers, numbers), max_size=5)
minutes = st.frozensets(st.integers(1, 60), max_size=5)
pods = st.builds(
    Pod,
    name=st.just("a"),
    flows=flows.map(tuple),
    born=st.integers(0, 30),
    restarts=minutes,
    lost=minutes,
    vanishes=st.booleans(),
)


def expanded(text: str) -> list[Sample]:
    """Read promtool's notation the plain way, as its documentation has it."""
    found: list[Sample] = []
    for word in text.split():
        number = re.fullmatch(r"(-?\d+)(?:([+-]\d+)x(\d+))?", word)
        if number:
            start, step, count = int(number[1]), int(number[2] or 0), int(number[3] or 0)
            found += [start + step * k for k in range(count + 1)]
        elif word.startswith("_"):
            found += ["_"] * int(word[2:] or 1)
        else:
            assert word == "stale"
            found.append("stale")
    return found


@given(pods)
def test_a_counter_falls_only_at_a_restart_and_loses_nothing(pod: Pod) -> None:
    seen = [one.good for one in pod.counted()]
    whole = Pod(name="b", flows=pod.flows, born=pod.born, restarts=pod.restarts)
    values = [one for one in whole.samples(seen) if isinstance(one, int)]
    total = values[0] if values else 0
    for minute, (before, now) in enumerate(pairwise(values), pod.born + 1):
        restarted = minute in pod.restarts
        assert restarted or now >= before
        total += now if restarted else now - before
    assert total == sum(seen) == sum(flow.minutes * flow.good for flow in pod.flows)


@given(pods)
def test_lost_scrapes_and_the_end_hide_values_and_change_none(pod: Pod) -> None:
    seen = [one.bad for one in pod.counted()]
    plain = Pod(name="b", flows=pod.flows, born=pod.born, restarts=pod.restarts).samples(seen)
    samples = pod.samples(seen)
    assert samples[len(plain) :] == (["stale"] if pod.vanishes else [])
    for minute, (sample, full) in enumerate(zip(samples, plain, strict=False)):
        assert sample == ("_" if minute in pod.lost or minute < pod.born else full)


@given(pods)
def test_few_words_say_the_same(pod: Pod) -> None:
    samples = pod.samples([one.good for one in pod.counted()])
    assert expanded(notation(samples)) == samples


@given(st.lists(pods, max_size=3), st.integers(0, 120))
def test_pods_together_count_what_they_count_alone(some: list[Pod], length: int) -> None:
    together = minute_by_minute(some, length)
    assert len(together) == length
    for number, one in enumerate(together):
        alone = [list(pod.counted())[number] for pod in some if number < pod.minutes]
        assert one == Counted._make(map(sum, zip(Counted(0, 0, 0, 0), *alone, strict=True)))


def test_tokens_are_those_of_the_requests() -> None:
    pod = Pod(name="a", flows=(Flow(1, 2, 3, 10),), born=1)
    assert list(pod.counted()) == [Counted(0, 0, 0, 0), Counted(2, 3, 20, 30)]
    assert pod.minutes == 2


def test_a_run_of_equal_steps_is_one_word() -> None:
    assert notation([0, 10, 20, 30, 30, 30, "_", "_", 5, "stale"]) == "0+10x3 30+0x1 _x2 5 stale"
