"""The names of DCGM's binding, for the host engine of the tests."""

from support import fake_dcgm


def DcgmFieldGetById(number: int) -> object | None:  # noqa: N802 - DCGM's name
    """Return something for a field that the library knows."""
    state = fake_dcgm.read()
    if "field" in state["failing"]:
        raise TypeError(number)
    return object() if number not in state["library_unknown"] else None
