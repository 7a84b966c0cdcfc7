"""The kernel's log, read for what a driver's library forgets."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.kmsg import KernelLog, Line, Place, parse, place

XID = b"4,1200,5000000,-;NVRM: Xid (PCI:0000:18:00): %d, pid='<unknown>', name=<unknown>, x"
H100 = Place(0, 0x18, 0)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (XID % 79, Line(1200, 5.0, H100, 79)),
        (b"3,7,1,-;NVRM: Xid (PCI:0001:C1:00.0): 48, pid=1", Line(7, 1e-6, Place(1, 0xC1, 0), 48)),
        (b"3,7,0,c,caller=T1;NVRM: Xid (PCI:00000000:18:00): 31", Line(7, 0.0, H100, 31)),
        (
            b"3,8,0,-;NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.",
            Line(8, 0.0, H100, None),
        ),
        (
            b"3,8,0,-;NVRM: GPU at PCI:0000:18:00: has fallen off the bus",
            Line(8, 0.0, H100, None),
        ),
    ],
)
def test_lines_of_the_driver_are_understood(record: bytes, expected: Line) -> None:
    assert parse(record) == expected


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b" SUBSYSTEM=pci",
        b"3,8,0,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module",
        b"12,8,0,-;NVRM: Xid (PCI:0000:18:00): 79, written by a program",
        b"3,8,0,-;usb 1-1: NVRM: Xid (PCI:0000:18:00): 79",
        b"3,8,0,-;NVRM: Xid (PCI:0000:18:00): ",
        b"3,8,0,-;NVRM: Xid (PCI:0000:18:00): 99999999999",
    ],
)
def test_all_else_is_left_out(record: bytes) -> None:
    assert parse(record) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_an_error(record: bytes) -> None:
    parse(record)
    parse(b"3,8,0,-;" + record)
    parse(b"3,8,0,-;NVRM: Xid (PCI:" + record)


def test_a_bus_id_is_a_place() -> None:
    assert place("00000000:18:00.0") == H100
    assert place("0000:18:00.0") == H100
    assert place("") is None
    assert place("\N{SNOWMAN}") is None


def test_each_line_is_returned_once(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_bytes(XID % 48 + b"\n")
    log = KernelLog(path)
    assert [line.xid for line in log.read()] == [48]
    assert log.read() == []
    with path.open("ab") as file:
        file.write((XID % 63).replace(b"1200", b"1201") + b"\n")
    assert [line.xid for line in log.read()] == [63]
    assert log.sequence == 1201
    log.close()
    log.close()


def test_a_later_reader_goes_on_behind_what_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_bytes(XID % 48 + b"\n" + (XID % 63).replace(b"1200", b"1201") + b"\n")
    log = KernelLog(path, after=1200)
    assert [line.xid for line in log.read()] == [63]
    log.close()


def test_a_log_that_is_empty_for_now_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    log = KernelLog(path)
    writer = os.open(path, os.O_WRONLY)
    assert log.read() == []
    os.write(writer, XID % 48 + b"\n")
    assert [line.xid for line in log.read()] == [48]
    os.close(writer)
    log.close()
    assert log.read() == []


def test_one_reading_is_bounded() -> None:
    log = KernelLog(Path("/dev/zero"), records_max=3)  # it never ends
    assert log.read() == []
    log.close()


def test_records_that_were_overwritten_are_passed_over(tmp_path: Path) -> None:
    answers: list[bytes | OSError] = [BlockingIOError(), XID % 48, BrokenPipeError()]

    def read(_fd: int, _size: int) -> bytes:
        answer = answers.pop()
        if isinstance(answer, OSError):
            raise answer
        return answer

    (tmp_path / "kmsg").touch()
    log = KernelLog(tmp_path / "kmsg", read=read)
    assert [line.xid for line in log.read()] == [48]
    log.close()


def test_a_log_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        KernelLog(tmp_path / "none")
