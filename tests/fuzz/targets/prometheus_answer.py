"""The reader of what calls itself the answer of a Prometheus: records, or its own error."""

from collections.abc import Callable
from math import isnan

from inferometer.prom import decode
from inferometer.prom.decode import Envelope, Result, Series
from inferometer.prom.errors import PrometheusError

WORDS = (
    b'{"status":"success","data":', b'{"resultType":"vector","result":[', b'"matrix"', b'"scalar"',
    b'{"metric":{"a":"b"},"value":[1,"2"]}', b'"values":[[1,"2"],[3,"NaN"]]', b'"+Inf"', b"1e999",
    b'"status":"error","errorType":"bad_data","error":"x"', b'"warnings":["w"]', b"null", b"\xff",
)  # fmt: skip


def check(data: bytes) -> None:
    """Nothing but PrometheusError, in words that can be printed, and samples in order."""
    for read in (decode.vector, decode.matrix):
        for series in _series(read, data):
            moments = [sample.at_s for sample in series.samples]
            assert moments
            assert moments == sorted(moments)
            assert not any(isnan(at_s) for at_s in moments)
            assert all(isinstance(value, str) for value in series.labels.values())


def _series(read: Callable[[Envelope], Result], data: bytes) -> tuple[Series, ...]:
    words = ""
    try:
        return read(decode.envelope(data)).series
    except PrometheusError as error:
        words = str(error)
    assert words.isprintable(), words
    return ()
