import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.nvml.library import CFunction, Library
from inferometer.gpu.nvml.lists import ROWS_FIRST, ROWS_MAX, Row, opener
from inferometer.gpu.nvml.structs import Handle

NONE = 0xFFFFFFFF
UNKNOWN = (1 << 64) - 1
SHORT, LONG, OLDEST = struct.Struct("<I4xQII"), struct.Struct("<I4xQIIQ"), struct.Struct("<I4xQ")


def listing(
    data: bytes, count: int, *, symbol: str = "_v3", version: str = "580.95.05"
) -> list[Row] | None:
    """What is read where a driver writes `data` and says that it is `count` rows."""

    def function(_: object, counted: object, buffer: object) -> int:
        counted._obj.value = count  # type: ignore[attr-defined]  # what ctypes calls it
        buffer[: len(data)] = data  # type: ignore[index]  # a ctypes array
        return 0

    functions = {f"nvmlDeviceGetComputeRunningProcesses{symbol}": function}
    library = Library(functions.get, shutdown=lambda: None)
    opened = opener(library, "Compute", driver_version=version)
    assert opened is not None
    made = opened(Handle(1))
    assert made.call() == 0
    return made.rows()


def test_rows_of_24_bytes_are_read() -> None:
    data = SHORT.pack(7, 100, NONE, NONE) + SHORT.pack(8, UNKNOWN, 3, 0)
    assert listing(data, 2) == [Row(7, 100, None), Row(8, None, 3)]


@pytest.mark.parametrize("version", ["535.43.02", "535.54.03", "535.86.10", "580.95.05", ""])
@pytest.mark.parametrize("extra", [0, UNKNOWN, 5 << 20])
def test_rows_of_32_bytes_are_told_apart_by_their_sense(version: str, extra: int) -> None:
    data = b"".join(LONG.pack(pid, pid << 30, NONE, NONE, extra) for pid in (7, 8, 9))
    rows = [Row(pid, pid << 30, None) for pid in (7, 8, 9)]
    assert listing(data, 3, version=version) == rows


def test_older_symbols_have_rows_of_their_own() -> None:
    assert listing(SHORT.pack(7, 100, 2, 0), 1, symbol="_v2") == [Row(7, 100, 2)]
    assert listing(OLDEST.pack(7, 100), 1, symbol="") == [Row(7, 100, None)]


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("pid", [0, (1 << 22) + 1, NONE])
def test_rows_that_make_no_sense_are_not_read(pid: int) -> None:
    assert listing(SHORT.pack(pid, 5, NONE, NONE) * 2, 2) is None


def test_an_empty_list_is_known_to_be_empty() -> None:
    assert listing(b"", 0) == []


@given(data=st.binary(max_size=64), count=st.integers(0, NONE))
def test_any_bytes_are_rows_that_make_sense_or_none(data: bytes, count: int) -> None:
    for row in listing(data, count) or []:
        assert 0 < row.pid <= 1 << 22


def test_without_a_symbol_there_is_no_list() -> None:
    assert (
        opener(Library(lambda _: None, shutdown=lambda: None), "Compute", driver_version="") is None
    )


def growing(processes: int) -> tuple[CFunction, list[int]]:
    rooms: list[int] = []

    def function(_: object, counted: object, __: object) -> int:
        number = counted._obj  # type: ignore[attr-defined]  # what ctypes calls it
        rooms.append(number.value)
        fits = number.value >= processes
        number.value = processes
        return 0 if fits else 7

    return function, rooms


@pytest.mark.parametrize(
    ("processes", "code", "asked"),
    [
        (ROWS_FIRST, 0, [64]),
        (ROWS_FIRST + 1, 0, [64, 129]),
        (1000, 0, [64, 1064]),
        (ROWS_MAX, 0, [64, ROWS_MAX]),
        (ROWS_MAX + 1, 7, [64, ROWS_MAX]),
    ],
)
def test_more_processes_than_room_are_asked_for_once_more_within_a_bound(
    processes: int, code: int, asked: list[int]
) -> None:
    function, rooms = growing(processes)
    functions = {"nvmlDeviceGetComputeRunningProcesses_v3": function}
    opened = opener(Library(functions.get, shutdown=lambda: None), "Compute", driver_version="")
    assert opened is not None
    made = opened(Handle(1))
    assert made.call() == code
    assert rooms == asked
    made.call()
    assert rooms == [*asked, rooms[-1]]  # the room stays
