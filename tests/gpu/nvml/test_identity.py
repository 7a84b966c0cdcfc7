import ctypes

import pytest

from inferometer.gpu.nvml import structs
from inferometer.gpu.nvml.identity import ARCHITECTURES, Asker, identify
from inferometer.gpu.nvml.library import CFunction, Library
from inferometer.gpu.nvml.structs import Handle


def asker(**functions: CFunction) -> Asker:
    def find(name: str) -> CFunction | None:
        return functions.get(name)

    library = Library(find, shutdown=lambda: None)
    return Asker(library, lambda _, call: call())


def answering(value: int, code: int = 0) -> CFunction:
    def function(_: object, out: object) -> int:
        out._obj.value = value  # type: ignore[attr-defined]  # what ctypes calls it
        return code

    return function


def saying(text: bytes) -> CFunction:
    def function(_: object, buffer: object, size: ctypes.c_uint32) -> int:
        buffer.value = text[: size.value - 1]  # type: ignore[attr-defined]  # a ctypes buffer
        return 0

    return function


def test_a_number_is_what_the_driver_says_unless_it_says_nothing() -> None:
    handle = Handle(1)
    assert asker(nvmlX=answering(7)).number("nvmlX", handle) == 7
    assert asker(nvmlX=answering(7, code=3)).number("nvmlX", handle) is None
    assert asker(nvmlX=answering(structs.UNKNOWN_U32)).number("nvmlX", handle) is None
    assert asker().number("nvmlX", handle) is None


def test_a_text_is_cut_at_our_buffer_and_bad_bytes_are_replaced() -> None:
    handle = Handle(1)
    assert asker(nvmlX=saying(b"abc")).text("nvmlX", handle) == "abc"
    assert len(asker(nvmlX=saying(b"a" * 500)).text("nvmlX", handle)) < structs.TEXT_BYTES
    assert asker(nvmlX=saying(b"\xff")).text("nvmlX", handle) == "\N{REPLACEMENT CHARACTER}"
    assert asker().text("nvmlX", handle) == ""


def test_a_device_without_a_uuid_cannot_be_told_apart() -> None:
    assert identify(asker(), Handle(1), index=0, driver_version="") is None


@pytest.mark.parametrize(("number", "name"), [*ARCHITECTURES.items(), (99, ""), (0xFFFFFFFF, "")])
def test_an_architecture_has_its_name(number: int, name: str) -> None:
    functions = {
        "nvmlDeviceGetUUID": saying(b"GPU-1"),
        "nvmlDeviceGetArchitecture": answering(number),
    }
    identity = identify(asker(**functions), Handle(1), index=3, driver_version="580")
    assert identity is not None
    assert (identity.uuid, identity.index, identity.architecture) == ("GPU-1", 3, name)
