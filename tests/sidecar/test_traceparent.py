import pytest

from inferometer.metrics.cells import Exemplar
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.tap import Started
from inferometer.sidecar.traceparent import exemplar_of

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"


def started(*values: bytes) -> Started:
    fields = Fields.of((b"Traceparent", value) for value in values)
    return Started(12.5, b"POST", b"/", fields)


def test_a_sampled_trace_becomes_an_exemplar() -> None:
    exemplar = exemplar_of(started(b"00-" + TRACE + b"-" + SPAN + b"-01"))
    assert exemplar == Exemplar(TRACE.decode(), SPAN.decode(), 12.5)
    assert exemplar_of(started(b"01-" + TRACE + b"-" + SPAN + b"-03-more")) == exemplar


@pytest.mark.req("FO-07")
@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"00-" + TRACE + b"-" + SPAN + b"-00",),
        (b"00-" + TRACE + b"-" + SPAN + b"-01",) * 2,
        (b"00-" + TRACE + b"-" + SPAN + b"-01-more",),
        (b"ff-" + TRACE + b"-" + SPAN + b"-01",),
        (b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",),
        (b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",),
        (b"00-" + TRACE.upper() + b"-" + SPAN + b"-01",),
        (b"00-" + TRACE[:-1] + b"-" + SPAN + b"-01",),
        (b"\xff" * 55,),
    ],
)
def test_a_malformed_or_unsampled_trace_is_none(values: tuple[bytes, ...]) -> None:
    assert exemplar_of(started(*values)) is None
