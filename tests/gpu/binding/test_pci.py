from pathlib import Path

from inferometer.gpu.binding import pci


def function(devices: Path, name: str, vendor: str, kind: str) -> None:
    folder = devices / name
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")


def test_functions_of_the_vendor_and_the_classes_are_counted(tmp_path: Path) -> None:
    function(tmp_path, "0000:1b:00.0", "0x10de", "0x030200")
    function(tmp_path, "0000:1c:00.0", "0x10de", "0x030000")
    function(tmp_path, "0000:1d:00.0", "0x10de", "0x068000")  # an NVSwitch
    function(tmp_path, "0000:1e:00.0", "0x1002", "0x030000")
    assert pci.count("0x10de", ("0x0302", "0x0300"), devices=tmp_path) == 2


def test_a_function_that_vanishes_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "0000:1b:00.0").mkdir()
    assert pci.count("0x10de", ("0x0302",), devices=tmp_path) == 0


def test_without_sysfs_the_number_is_unknown(tmp_path: Path) -> None:
    assert pci.count("0x10de", ("0x0302",), devices=tmp_path / "none") is None


def test_functions_are_counted_by_their_device_number(tmp_path: Path) -> None:
    for name, number in (("0000:01:00.0", "0x0063"), ("0000:02:00.0", "0x0063")):
        function(tmp_path, name, "0x1ae0", "0x088000")
        (tmp_path / name / "device").write_text(f"{number}\n")
    function(tmp_path, "0000:03:00.0", "0x10de", "0x030200")
    assert pci.kinds("0x1ae0", devices=tmp_path) == {"0x0063": 2}
    assert pci.kinds("0x1ae0", devices=tmp_path / "none") == {}
