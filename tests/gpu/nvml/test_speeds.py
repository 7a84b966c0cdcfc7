import pytest

from inferometer.gpu.nvml import speeds


@pytest.mark.parametrize(
    ("generation", "lanes", "gigabytes"), [(1, 1, 0.25), (3, 16, 15.76), (4, 8, 15.75), (5, 16, 63)]
)
def test_a_pcie_link_carries_what_its_generation_and_lanes_allow(
    generation: int, lanes: int, gigabytes: float
) -> None:
    assert speeds.pcie(generation, lanes) / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_an_unknown_pcie_link_may_be_the_fastest_there_is() -> None:
    fastest = max(speeds.pcie(generation, 16) for generation in range(10))
    assert speeds.pcie(None, None) == speeds.pcie(99, 16) == fastest


def test_nvlinks_add_up() -> None:
    assert speeds.nvlink(18, 26_562) == pytest.approx(478e9, rel=0.01)


@pytest.mark.parametrize(("links", "speed"), [(None, 26_562), (18, None), (0, 26_562), (18, 0)])
def test_unknown_nvlinks_may_be_the_fastest_there_are(
    links: float | None, speed: float | None
) -> None:
    assert speeds.nvlink(links, speed) == speeds.NVLINK_MAX
