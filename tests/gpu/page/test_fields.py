from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.documents import PROBLEMS_MAX
from inferometer.errors import SettingsError
from inferometer.gpu.page.fields import BYTES_MAX, HELP_CHARS_MAX, default, load, read
from inferometer.metrics.dcgm import FAMILIES

# The shape of dcgm-exporter's own default-counters.csv: comments, blank lines, padding.
CSV = b"""# Format
# If line starts with a '#' it is considered a comment
# DCGM FIELD, Prometheus metric type, help message

# Clocks
DCGM_FI_DEV_SM_CLOCK,  gauge, SM clock frequency (in MHz).
DCGM_FI_DEV_MEM_CLOCK, gauge, Memory clock frequency (in MHz).

  # indented comment, "with a quote
DCGM_FI_DEV_GPU_TEMP_CELSIUS, gauge, "GPU temperature, in C."
DCGM_FI_PROF_GR_ENGINE_ACTIVE,gauge,
DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL, counter, Total number of NVLink bandwidth counters.
DCGM_FI_DRIVER_VERSION,        label, Driver Version
DCGM_FI_DEV_BRAND, label, Brand
DCGM_FI_DEV_VGPU_LICENSE_STATUS, gauge, vGPU License status
"""


def problems(content: bytes, source: str = "f.csv") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(content, source)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_of_dcgm_exporter_is_taken_as_it_is() -> None:
    fields = read(CSV, "f.csv")
    chosen = {one.family.classic: one for one in fields.chosen}
    assert list(chosen) == [
        "DCGM_FI_DEV_SM_CLOCK",
        "DCGM_FI_DEV_MEM_CLOCK",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
        "DCGM_FI_DEV_VGPU_LICENSE_STATUS",
    ]
    assert chosen["DCGM_FI_DEV_GPU_TEMP"].help == "GPU temperature, in C."
    assert chosen["DCGM_FI_PROF_GR_ENGINE_ACTIVE"].help.startswith("Share of time")
    assert chosen["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"].kind == "counter"
    assert fields.labels == (("DCGM_FI_DRIVER_VERSION", "driver_version"),)
    assert fields.unknown == ("DCGM_FI_DEV_BRAND",)


def test_windows_line_ends_and_a_byte_order_mark_are_fine() -> None:
    assert read(b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n"), "f.csv") == read(CSV, "f.csv")


def test_every_line_that_is_no_field_line_is_named_at_once() -> None:
    told = problems(
        b"# fine\n"
        b"DCGM_FI_DEV_SM_CLOCK, gauge\n"
        b"DCGM_FI_DEV_MEM_CLOCK, histogram, x\n"
        b"gpu_temp, gauge, x\n"
        b'DCGM_FI_DEV_FB_USED, gauge, "open\n'
        b"DCGM_FI_DEV_FB_FREE, gauge, one, two\n"
        b"DCGM_FI_DEV_GPU_UTIL, gauge, fine\n" + b"DCGM_X, gauge, " + b"x" * 5000 + b"\n"
    )
    assert [line.partition(": ")[0] for line in told] == [
        f"f.csv:{line}:1" for line in (2, 3, 4, 5, 6, 8)
    ]


def test_only_so_many_wrong_lines_are_told() -> None:
    assert len(problems(b"no\n" * 5000)) <= PROBLEMS_MAX + 1


def test_both_names_of_a_family_are_one_family() -> None:
    fields = read(
        b"DCGM_FI_DEV_GPU_TEMP, gauge, first\nDCGM_FI_DEV_GPU_TEMP_CELSIUS, gauge, second\n", "f"
    )
    assert [one.help for one in fields.chosen] == ["first"]


def test_a_file_that_is_too_long_is_refused() -> None:
    assert "longer than" in problems(b"#" * (BYTES_MAX + 1))[0]


def test_a_help_is_cut() -> None:
    (one,) = read(b"DCGM_FI_DEV_GPU_TEMP, gauge, " + b"x" * 900, "f.csv").chosen
    assert len(one.help) == HELP_CHARS_MAX


def test_without_a_file_the_default_list_is_shown() -> None:
    assert load(None) == default()
    assert [one.family for one in default().chosen] == [f for f in FAMILIES if f.on]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path / "absent.csv")
    with pytest.raises(SettingsError, match="not a file name"):
        load(Path("a\0b"))


def test_a_yaml_list_changes_the_default(tmp_path: Path) -> None:
    path = tmp_path / "fields.yaml"
    path.write_text(
        "- +DCGM_FI_DEV_PSTATE\n"
        "- -DCGM_FI_DEV_SM_CLOCK\n"
        '- "- DCGM_FI_DEV_GPU_TEMP_CELSIUS"\n'
        "- +DCGM_FI_DEV_SERIAL\n"
        "- -inferometer_gpu_memory_bytes\n"
        "- +inferometer_gpu_process_memory_bytes\n"
        "- +inferometer_gpu_memory_rows\n"
        "- +DCGM_FI_DEV_NOBODY_KNOWS\n"
    )
    fields = load(path)
    names = [one.family.classic for one in fields.chosen]
    assert "DCGM_FI_DEV_PSTATE" in names
    assert not {"DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_GPU_TEMP"} & set(names)
    assert names == [f.classic for f in FAMILIES if f.classic in names]
    assert fields.labels == (("DCGM_FI_DEV_SERIAL", "serial"),)
    assert fields.hidden == {"inferometer_gpu_memory_bytes"}
    assert fields.extra == {"inferometer_gpu_process_memory_bytes"}
    assert fields.unknown == ("inferometer_gpu_memory_rows", "DCGM_FI_DEV_NOBODY_KNOWS")


def test_a_yaml_list_names_every_wrong_item() -> None:
    told = problems(b"- +DCGM_FI_DEV_PSTATE\n- DCGM_FI_DEV_PSTATE\n- [a]\n- +pstate\n", "f.yml")
    assert [line.partition(": ")[0] for line in told] == ["f.yml:2:3", "f.yml:3:3", "f.yml:4:3"]


@pytest.mark.parametrize("content", [b"a: 1\n", b"text\n", b"- &a x\n", b"\xff\n"])
def test_yaml_that_is_no_list_is_refused(content: bytes) -> None:
    assert problems(content, "f.yaml")[0].startswith("f.yaml")


def test_an_empty_yaml_file_changes_nothing() -> None:
    assert read(b"", "f.yaml").chosen == default().chosen


@given(st.binary(max_size=300), st.sampled_from(["f.csv", "f.yaml"]))
def test_whatever_the_file_holds_it_is_a_list_or_told_with_places(
    content: bytes, source: str
) -> None:
    try:
        told = [str(one.family.classic) for one in read(content, source).chosen]
    except SettingsError as error:
        told = [str(problem.place) for problem in error.problems]
    assert all(word.startswith((source, "DCGM_")) for word in told)
