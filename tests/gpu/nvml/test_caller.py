import pytest

from inferometer.gpu.backend import DeviceError
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml.caller import Caller


def after(*codes: int) -> Caller:
    caller = Caller(Meter())
    caller.begin()
    for code in codes:
        caller.call("DeviceGetName", lambda code=code: code)  # type: ignore[misc]  # bound now
    return caller


@pytest.mark.parametrize("codes", [(), (0,), (3, 3), (0, 999), (999, 3), (4, 0), (4, 999)])
def test_mixed_answers_are_no_failure_of_the_device(codes: tuple[int, ...]) -> None:
    after(*codes).end()


@pytest.mark.parametrize("code", [1, 9, 18, 999])
def test_a_driver_code_on_every_call_means_that_the_driver_is_gone(code: int) -> None:
    with pytest.raises(DeviceError) as caught:
        after(code, code).end()
    assert (caught.value.state, caught.value.code) == ("lost", code)
    assert caught.value.backend_lost


@pytest.mark.parametrize("code", [4, 17])
def test_a_refusal_of_every_call_means_that_permission_is_missing(code: int) -> None:
    with pytest.raises(DeviceError) as caught:
        after(code, code).end()
    assert (caught.value.state, caught.value.backend_lost) == ("no_permission", False)


@pytest.mark.parametrize(("code", "state"), [(15, "lost"), (16, "reset_required")])
def test_a_code_of_the_device_ends_the_tick_at_once(code: int, state: str) -> None:
    with pytest.raises(DeviceError) as caught:
        after(0, code)
    assert (caught.value.state, caught.value.code) == (state, code)
    assert not caught.value.backend_lost


def test_a_tick_begins_without_the_calls_of_the_last_one() -> None:
    caller = after(999)
    caller.begin()
    caller.end()


def test_the_end_of_an_instance_is_not_that_of_the_device() -> None:
    caller = after(0)
    assert caller.call_instance("DeviceGetName", lambda: 15) == 15
    caller.end()


def test_calls_are_counted_by_the_word_of_their_code() -> None:
    meter = Meter()
    caller = Caller(meter)
    caller.call("DeviceGetName", lambda: 0)
    caller.call("DeviceGetName", lambda: 3)
    assert meter.stats()["DeviceGetName"].results == {"ok": 1, "not_supported": 1}
