"""A client's trace context: an exemplar of exactly what the format allows, else nothing."""

from inferometer.sidecar.fields import Fields
from inferometer.sidecar.tap import Started
from inferometer.sidecar.traceparent import exemplar_of

WORDS = (
    b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"-01", b"-00", b"01-", b"ff-",
    b"0" * 32, b"0" * 16, b"-more", b"A",
)  # fmt: skip
HEX = frozenset("0123456789abcdef")


def check(data: bytes) -> None:
    """Never an exception, and never a label that is not plain hexadecimal."""
    data = data.translate(None, b"\r\n")  # which no value of a head has
    values = [value.strip(b" \t") for value in data.split(b"\x00", 2)]
    fields = Fields.of((b"traceparent", value) for value in values)
    found = exemplar_of(Started(1.0, b"GET", b"/", fields))
    if found is None:
        return
    assert len(values) == 1
    trace_id, span_id = found[0], found[1]
    assert (len(trace_id), len(span_id)) == (32, 16)
    assert set(trace_id + span_id) <= HEX
    assert set(trace_id) != {"0"}
    assert set(span_id) != {"0"}
    version, _, _, flags = values[0].split(b"-")[:4]
    assert int(flags[:2], 16) & 1
    assert version != b"ff"
    assert version != b"00" or len(values[0]) == 55
