import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.fake.scenario import Fault, Scenario
from inferometer.gpu.hpc import Place
from inferometer.gpu.page.fields import Fields, read
from inferometer.gpu.quantities import Counter, Gauge
from inferometer.gpu.sample import DeviceView, Identity, Reason, Sample
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.reader import parse
from support.golden import Compare
from support.gpu_bench import ALICE, FIRST, Bench, held
from support.promtool import VERSIONS, tool

GOLDEN: Final = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("names", ["classic", "both"])
def test_no_series_has_more_than_twelve_labels_and_all_are_catalogued(names: str) -> None:
    bench = Bench(names=names)
    bench.snapshot = held(**{FIRST: (ALICE,)})
    bench.jobs = {Place(0): ("1",), Place(1, 2): ("2",)}
    bench.page(1.0)
    for name, labels, _ in bench.page(2.0):
        base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        metric = METRICS.get(name) or METRICS[base]
        assert len(labels) <= 12
        assert set(labels) - {"le"} <= set(metric.labels), name


@pytest.mark.checkout
@pytest.mark.parametrize("names", ["classic", "renamed"])
def test_a_page_is_as_it_was(names: str, golden: Compare) -> None:
    scenario = Scenario(
        devices=3, mig=(1,), faults=(Fault(5, 0, "xid", code=31), Fault(20, 2, "hang", 60))
    )
    bench = Bench(scenario, names=names)
    bench.snapshot = held(**{FIRST: (ALICE,)})
    bench.page(10.0)
    bench.page(25.0)
    golden(GOLDEN / f"fake_{names}.txt", bench.collector.latest.text)


@pytest.mark.checkout
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("names", ["classic", "both", "renamed"])
def test_promtool_finds_nothing_in_our_families_and_the_known_in_dcgms(
    version: str, names: str, golden: Compare
) -> None:
    everything = read(
        "".join(f"{m.name}, gauge, x\n" for m in METRICS.values() if m.source == "dcgm").encode(),
        "f.csv",
    )
    kinds = {f.family.classic: f.family for f in everything.chosen}
    fields = Fields(
        tuple(one._replace(kind=kinds[one.family.classic].kind) for one in everything.chosen)
    )
    bench = Bench(fields=fields, names=names)
    bench.snapshot = held(**{FIRST: (ALICE,)})
    bench.page(1.0)
    bench.page(2.0)
    done = subprocess.run(
        [tool(version, "promtool"), "check", "metrics"],
        input=bench.collector.latest.text,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3  # it could be read, and there are findings
    found = set((done.stdout + done.stderr).decode().splitlines())
    assert {line for line in found if not line.startswith("DCGM_")} == set()
    text = "".join(f"{line}\n" for line in sorted(found)).encode()
    golden(GOLDEN / f"promtool_{version}_{names}.txt", text)


readings = st.dictionaries(
    st.sampled_from(sorted(Gauge)), st.floats(allow_nan=True, allow_infinity=True), max_size=20
)
sums: Callable[..., st.SearchStrategy[dict[Counter, int]]] = lambda: st.dictionaries(  # noqa: E731
    st.sampled_from(sorted(Counter)), st.integers(0, 2**63), max_size=10
)


@given(
    st.lists(
        st.tuples(st.text(max_size=12), st.text(max_size=8), readings, sums(), st.booleans()),
        max_size=4,
    )
)
def test_whatever_a_driver_says_the_page_is_readable_and_has_no_series_twice(
    rows: list[tuple[str, str, dict[Gauge, float], dict[Counter, int], bool]],
) -> None:
    bench = Bench(Scenario(devices=1))
    bench.machine.extra = [
        DeviceView(
            identity=Identity(uuid=uuid, index=1, vendor=model, model=model, mig=mig),
            backend="fake",
            state="ok",
            sample=Sample(
                uuid=uuid, moment_ns=0, time_s=0, gauges=gauges, counters=counters, totals={}
            ),
            accumulated=counters,
            unsupported=dict.fromkeys(map(str, gauges), no_data()),
        )
        for uuid, model, gauges, counters, mig in rows
    ]
    bench.collector.render()
    assert bench.books.errors["render"] == 0
    page = parse(bench.collector.latest.text)
    assert page.skipped == 0
    seen = [(s.name, tuple(sorted(s.labels.items()))) for s in page.samples]
    assert len(seen) == len(set(seen))
    assert max(len(s.labels) for s in page.samples) <= 12


def no_data() -> Reason:
    return "no_data"
