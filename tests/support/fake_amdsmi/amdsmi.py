"""The names of amdsmi 7.0.2, for the boards of the tests."""

from enum import IntEnum

from support import fake_amd


class AmdSmiMemoryType(IntEnum):
    VRAM = 0


class AmdSmiTemperatureType(IntEnum):
    JUNCTION = 1
    VRAM = 2


class AmdSmiTemperatureMetric(IntEnum):
    CURRENT = 0


class AmdSmiClkType(IntEnum):
    GFX = 0
    MEM = 4


class AmdSmiLibraryException(Exception):  # noqa: N818 - amdsmi's name
    def __init__(self, err_code: int) -> None:
        super().__init__(err_code)
        self.err_code = err_code


class Handle:
    """Opaque, as in the binding."""

    def __init__(self, index: int) -> None:
        self.index = index


def amdsmi_init() -> None:
    if code := fake_amd.read()["init"]:
        raise AmdSmiLibraryException(code)


def amdsmi_shut_down() -> None:
    amdsmi_init()


def amdsmi_get_processor_handles() -> list[Handle]:
    state = fake_amd.read()
    if code := state["listing"]:
        raise AmdSmiLibraryException(code)
    return [Handle(index) for index in range(len(state["gpus"]))]


def __getattr__(name: str) -> object:
    """Offer the other functions, by what they are asked for: a handle, then maybe a member."""
    function = name.removeprefix("amdsmi_")
    if function not in fake_amd.ANSWERS or function in fake_amd.read()["without"]:
        raise AttributeError(name)

    def call(handle: Handle, choice: int = 0, metric: int = 0) -> object:
        assert metric == 0
        member = choice.name if isinstance(choice, IntEnum) else None
        given = fake_amd.answer(handle.index, function, member)
        if isinstance(given, dict) and "error" in given:
            raise AmdSmiLibraryException(given["error"])
        return given

    return call
