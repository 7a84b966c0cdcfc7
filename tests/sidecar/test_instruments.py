"""Rules of the cells that requests are counted in."""

from inferometer.metrics.build import SERIES_LIMIT, Registry
from inferometer.metrics.exposition import write
from inferometer.metrics.requests import ENGINE, PHASE
from inferometer.sidecar.instruments import REMEMBERED_MAX, Instruments
from support.samples import Samples

REQUESTS = "inferometer_requests_total"


def page(registry: Registry) -> Samples:
    return Samples(b"".join(write(registry, openmetrics=False)).decode())


def test_a_cell_is_there_from_its_first_count_on_and_stays_the_same() -> None:
    registry = Registry()
    bound = Instruments(registry, "unknown", "chat", "true")
    assert page(registry).labels(REQUESTS, "outcome") == set()
    for outcome in ("success", "success", "truncated"):
        bound.requests(outcome).add()
    assert bound.requests("success") is bound.requests("success")
    got = page(registry)
    assert got.value(REQUESTS, outcome="success", operation="chat", stream="true") == 2
    assert got.value(REQUESTS, outcome="truncated") == 1


def test_no_more_cells_are_remembered_than_the_limit_and_all_others_are_found() -> None:
    bound = Instruments(Registry(series_max=SERIES_LIMIT), "unknown", "chat", "true")
    keys = [(engine, phase) for engine in ENGINE.values for phase in PHASE.values]
    cells = {key: bound.reported(*key) for key in keys}
    assert len(cells) > REMEMBERED_MAX
    assert bound.reported.cache_info().currsize == REMEMBERED_MAX
    assert all(bound.reported(*key) is cell for key, cell in cells.items())
