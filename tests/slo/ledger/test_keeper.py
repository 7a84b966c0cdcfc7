"""The ledger at work: what is shown of it, and what a pass that fails leaves behind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from inferometer.errors import Place, Problem, SpecError, WorldError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import write
from inferometer.prom.errors import PrometheusError
from inferometer.slo.budget import Counts
from inferometer.slo.document import Document, Window
from inferometer.slo.ledger.book import Key
from inferometer.slo.ledger.keeper import STALE_S, Keeper, Reader, by_key
from inferometer.slo.ledger.ledger import Span, Subject, elapsed_s
from inferometer.slo.ledger.store import Stored
from support.slo_rules import Documents, chat, promised

NOW_S = 1_795_564_800
ONE = Subject(("llm", "chat-all"), Decimal("0.99"), Window(7), ZoneInfo("UTC"), "abc")
IDLE = Subject(("", "idle"), Decimal("0.99"), Window(7), ZoneInfo("UTC"), "abc")


@dataclass
class Steady:
    """100 requests a minute, one of them bad; nothing of IDLE."""

    now: float = NOW_S
    fails: bool = False

    def now_s(self) -> float:
        return self.now

    def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
        if self.fails:
            message = "gone"
            raise PrometheusError(message, reason="unreachable")
        minutes = (span.end_s - span.start_s) // 60
        traffic = Counts(Decimal(100 * minutes), Decimal(minutes) / 2, 60 * minutes)
        return {key: traffic if key == ONE.key else Counts(covered_s=60) for key in keys}


@dataclass
class Shelf:
    """A store in memory."""

    stored: Stored = field(default_factory=lambda: Stored({}, 0))
    fails: bool = False
    saves: list[Stored] = field(default_factory=list)

    def load(self) -> Stored:
        return self.stored

    def save(self, stored: Stored) -> Stored:
        if self.fails:
            message = "disk full"
            raise WorldError(message)
        self.stored = stored._replace(generation=stored.generation + 1)
        self.saves.append(self.stored)
        return self.stored


@pytest.fixture
def source() -> Steady:
    return Steady()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def keeper(shelf: Shelf, source: Steady) -> Keeper:
    return Keeper(shelf, source, clock_s=source.now_s)


def shown(keeper: Keeper) -> dict[str, float]:
    registry = Registry(metrics=keeper.metrics)
    keeper.show(registry)
    text = b"".join(write(registry, openmetrics=False)).decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if "slo_" in line)
    return {name: float(value) for name, _, value in pairs if not name.startswith("#")}


REMAINING = 'inferometer_slo_budget_remaining_ratio{namespace="llm",slo="chat-all"}'
SUCCESS = "inferometer_slo_ledger_success_timestamp_seconds"
FAILED = 'inferometer_slo_ledger_failures_total{stage="prometheus"}'


@pytest.mark.req("SC-03")
def test_what_is_known_is_shown_and_nothing_else(keeper: Keeper) -> None:
    assert shown(keeper) == {
        f'inferometer_slo_ledger_failures_total{{stage="{stage}"}}': 0
        for stage in ("documents", "prometheus", "store")
    }
    keeper.run([ONE, IDLE])
    found = shown(keeper)
    assert found[REMAINING] == pytest.approx(0.5)
    assert found['inferometer_slo_ledger_covered_seconds{namespace="llm",slo="chat-all"}'] == 604800
    assert found[SUCCESS] == NOW_S
    assert not any("budget" in name and "idle" in name for name in found)
    assert any("covered" in name and "idle" in name for name in found)


def test_how_much_of_a_window_has_passed_is_shown_as_well(keeper: Keeper) -> None:
    """A month that began 9 days and 12 hours ago; a rolling window has always passed."""
    month = Subject(("llm", "month"), Decimal("0.99"), Window(None, "month"), ZoneInfo("UTC"), "a")
    keeper.clock_s = lambda: datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
    keeper.source = Steady(keeper.clock_s())
    keeper.run([ONE, month])
    found = shown(keeper)
    for slo, days in (("chat-all", 7), ("month", 9.5)):
        labels = f'{{namespace="llm",slo="{slo}"}}'
        assert found[f"inferometer_slo_ledger_elapsed_seconds{labels}"] == days * 86400


def test_a_rolling_window_has_passed_on_the_day_of_summer_time_too() -> None:
    berlin = Subject(ONE.key, ONE.objective, Window(7), ZoneInfo("Europe/Berlin"), "abc")
    now_s = datetime(2026, 3, 30, 22, 10, tzinfo=UTC).timestamp()
    assert elapsed_s(berlin, now_s) == 7 * 86400


def test_a_cluster_is_a_label_of_each_slo_and_absent_without_one(keeper: Keeper) -> None:
    keeper.run([ONE])
    assert not any("cluster" in name for name in shown(keeper))
    keeper.cluster = "eu"
    found = shown(keeper)
    for name in ("budget_remaining_ratio", "ledger_covered_seconds", "ledger_elapsed_seconds"):
        assert f'inferometer_slo_{name}{{cluster="eu",namespace="llm",slo="chat-all"}}' in found
    assert found[SUCCESS] == NOW_S


def test_a_failure_leaves_what_was_known_until_it_is_stale(keeper: Keeper, source: Steady) -> None:
    assert keeper.try_run([ONE])
    source.fails = True
    source.now += STALE_S - 1
    assert not keeper.try_run([ONE])
    assert (shown(keeper)[FAILED], REMAINING in shown(keeper)) == (1, True)
    assert keeper.is_fresh
    source.now += 1
    assert not keeper.try_run([ONE])
    assert not keeper.is_fresh
    assert (shown(keeper)[FAILED], REMAINING in shown(keeper)) == (2, False)
    assert shown(keeper)[SUCCESS] == NOW_S
    source.fails = False
    assert keeper.try_run([ONE])
    assert REMAINING in shown(keeper)


def test_a_disk_that_is_full_is_a_failure_of_the_store(keeper: Keeper, shelf: Shelf) -> None:
    shelf.fails = True
    assert not keeper.try_run([ONE])
    assert keeper.failures == {"documents": 0, "prometheus": 0, "store": 1}
    assert shelf.stored == Stored({}, 0)


def test_what_was_counted_before_a_failure_is_stored(shelf: Shelf) -> None:
    class Fading(Steady):
        asked = 0

        def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
            self.asked += 1
            self.fails = self.asked > 3
            return super().counts(span, keys)

    source = Fading()
    with pytest.raises(PrometheusError):
        Keeper(shelf, source, clock_s=source.now_s).run([ONE])
    assert len(shelf.stored.book[ONE.key].days) == 3


def test_nothing_new_writes_nothing(keeper: Keeper, shelf: Shelf) -> None:
    keeper.run([ONE])
    keeper.run([ONE])
    assert len(shelf.saves) == 1


def test_standings_are_found_by_their_key(keeper: Keeper) -> None:
    assert set(by_key(keeper.run([ONE, IDLE]))) == {ONE.key, IDLE.key}


def test_documents_are_read_again_when_they_change(tmp_path: Path, documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}))
    path, loads = tmp_path / "slo.yaml", []

    def load(paths: Iterable[Path]) -> tuple[Document, ...]:
        loads.append(tuple(paths))
        if path.read_text() == "wrong":
            raise SpecError([Problem(Place("slo.yaml", 3), "is wrong")])
        return (document,)

    path.write_text("right")
    reader = Reader((path, tmp_path / "absent.yaml"), load)
    wanted = reader.first()
    assert [one.key for one in wanted] == [("llm", "chat-all")]
    assert (reader.again(), len(loads)) == ("", 1)
    path.write_text("wrong")
    assert reader.again() == "slo.yaml:3: is wrong"
    assert (reader.again(), reader.wanted, len(loads)) == ("", wanted, 2)
    path.write_text("right again")
    assert (reader.again(), len(loads)) == ("", 3)
