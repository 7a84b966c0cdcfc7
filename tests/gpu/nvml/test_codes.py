from typing import Any

import pytest

from inferometer.gpu.nvml import codes

pynvml: Any = pytest.importorskip("pynvml")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (2, "not_supported"),
        (3, "not_supported"),
        (4, "no_permission"),
        (17, "no_permission"),
        (13, "function_not_found"),
        (25, "version_mismatch"),
        (26, "deprecated"),
        (6, "no_data"),
        (999, "no_data"),
        (-5, "no_data"),
    ],
)
def test_a_code_has_a_reason(code: int, reason: str) -> None:
    assert codes.reason(code) == reason


def test_only_two_codes_speak_of_the_device() -> None:
    assert codes.state(15) == "lost"
    assert codes.state(16) == "reset_required"
    assert [code for code in range(1000) if codes.state(code)] == [15, 16]


def test_words_are_few_whatever_a_driver_returns() -> None:
    words = {codes.word(code) for code in range(-1000, 5000)}
    assert len(words) < 24
    assert codes.word(777) == "other"
    assert codes.word(0) == "ok"


def test_codes_are_those_of_pynvml() -> None:
    assert codes.GPU_IS_LOST == pynvml.NVML_ERROR_GPU_IS_LOST
    assert codes.VERSION_MISMATCH == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    assert codes.INSUFFICIENT_SIZE == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
    assert codes.LIBRARY_NOT_FOUND == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    assert codes.TIMEOUT == pynvml.NVML_ERROR_TIMEOUT
    assert codes.NOT_FOUND == pynvml.NVML_ERROR_NOT_FOUND
    assert pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH in codes.DRIVER_GONE
    assert pynvml.NVML_ERROR_DRIVER_NOT_LOADED in codes.DRIVER_GONE
    assert {
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_OPERATING_SYSTEM,
    } == codes.REFUSED
