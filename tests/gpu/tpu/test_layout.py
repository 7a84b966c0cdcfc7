from inferometer.gpu.tpu.layout import (
    BANDWIDTH,
    CHIPS_MAX,
    DUTY,
    TOTAL,
    USED,
    Chip,
    chips,
    plausible,
    read,
)
from inferometer.gpu.tpu.messages import Metric


def metrics(count: int, value: float = 1) -> list[Metric]:
    return [Metric(number, value) for number in range(count)]


def test_cores_are_dealt_out_in_order() -> None:
    assert chips(metrics(2), metrics(4)) == (Chip(0, (0, 1)), Chip(1, (2, 3)))
    assert chips(metrics(2), metrics(2)) == (Chip(0, (0,)), Chip(1, (1,)))


def test_cores_that_do_not_come_out_even_belong_to_no_chip() -> None:
    assert chips(metrics(2), metrics(3)) == (Chip(0, ()), Chip(1, ()))


def test_without_duty_cycles_a_core_is_a_chip() -> None:
    assert chips([], metrics(2)) == (Chip(0, (0,)), Chip(1, (1,)))


def test_no_more_chips_are_taken_than_the_limit() -> None:
    assert len(chips(metrics(CHIPS_MAX + 1), [])) == CHIPS_MAX
    assert len(chips([], metrics(CHIPS_MAX + 1))) == CHIPS_MAX


def test_memory_is_the_sum_of_the_cores_and_unknown_if_one_is() -> None:
    chip = Chip(0, (0, 1))
    assert read(USED, chip, metrics(2, 5)) == 10
    assert read(TOTAL, chip, [Metric(0, 5), Metric(1, None)]) is None
    assert read(TOTAL, Chip(0, ()), metrics(2)) is None


def test_bandwidth_comes_for_cores_or_for_chips() -> None:
    chip = Chip(1, (2, 3))
    assert read(BANDWIDTH, chip, [Metric(2, 10), Metric(3, 30)]) == 0.2
    assert read(BANDWIDTH, chip, [Metric(0, 10), Metric(1, 30)]) == 0.3
    assert read(BANDWIDTH, chip, []) is None


def test_a_value_without_a_number_goes_by_its_place() -> None:
    assert read(DUTY, Chip(1, ()), [Metric(None, 5), Metric(None, 6)]) == 6


def test_what_cannot_be_is_not_plausible() -> None:
    assert plausible(DUTY, 100)
    assert not plausible(DUTY, 100.1)
    assert not plausible(BANDWIDTH, 1.1)
    assert not plausible(USED, -1)
    assert not plausible(DUTY, float("nan"))
    assert plausible(USED, 1 << 40)
