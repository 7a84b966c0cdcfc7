"""Which promises a request falls under: the documents in force, and the judges they give it."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from inferometer.errors import Place
from inferometer.metrics.labels import clean
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.tap import Started
from inferometer.slo import deadlines
from inferometer.slo.deadlines import NOTHING, Asked
from inferometer.slo.document import Class, Document, FirstToken, Good, Match
from inferometer.slo.match import Request, header_names, match
from inferometer.slo.verdict import Judge
from inferometer.stream.dialect import Call, Operation, Streaming
from inferometer.stream.outcome import GENERATES
from inferometer.stream.request import plain_path

MATCHES_MAX: Final = 256
"""Requests that are alike to all classes, and whose classes are remembered: the latest ones."""
MATCHED_CHARACTERS_MAX: Final = 256
"""Longer names and targets are matched anew each time."""

REQUEST_HEADER: Final = "request_header"
"""The SLO of requests whose headers state deadlines that none of their classes takes over."""
_ANY_DEADLINE: Final = b"-slo-t"
"""In the names of all headers that `request_header` looks at."""
_STREAMS: Final[Mapping[Streaming, bool]] = {"true": True, "false": False}


class Matched(NamedTuple):
    """The class of each document that takes a request, and whether one should have."""

    classes: tuple[Class | None, ...]
    expected: bool


class Seated(NamedTuple):
    """The judges of a request, and the documents that should have had one for it.

    `rejected` counts deadlines in its headers that could not be read.
    """

    judges: tuple[Judge, ...]
    unmatched: tuple[Document, ...]
    rejected: int


class Promises:
    """The documents in force, and what of a request they look at."""

    def __init__(self, documents: tuple[Document, ...], tenant_header: str) -> None:
        """Take documents that a sidecar may judge by; `tenant_header` is in lower case."""
        self.documents = documents
        self.classes = tuple(slo for document in documents for slo in document.classes)
        self._tenant_header = tenant_header
        by_tenant = any(slo.match.tenant for slo in self.classes)
        self._headers = header_names(documents) | ({tenant_header} if by_tenant else frozenset())
        self.remembered = lru_cache(MATCHES_MAX)(self._match)

    def seat(self, started: Started, call: Call, t0_ns: int) -> Seated:
        """Return the judges of a request: one of each document that has a class for it.

        Deadlines in its headers go to the classes that ask for them, and else to `request_header`.
        """
        stream, fields = _STREAMS.get(call.stream), started.fields
        judges, unmatched = [], []
        taken_over, read = False, set[str]()
        matched = self.find(started, call)
        for document, slo in zip(self.documents, matched.classes, strict=True):
            if slo is not None:
                asked = _asked(slo, fields)
                if slo.headers:
                    read.update(filter(None, (slo.headers.ttft, slo.headers.tpot)))
                taken_over = taken_over or asked is not NOTHING
                judges.append(Judge(slo, t0_ns=t0_ns, stream=stream, asked=asked))
            elif matched.expected:
                unmatched.append(document)
        if _ANY_DEADLINE in fields.folded:
            read.update(deadlines.ALIASES)
            slo = None if taken_over else _of_headers(fields, call)
            if slo is not None:
                judges.append(Judge(slo, t0_ns=t0_ns, stream=stream))
        rejected = deadlines.rejected(read, fields.values) if read else 0
        return Seated(tuple(judges), tuple(unmatched), rejected)

    def find(self, started: Started, call: Call) -> Matched:
        """Return the classes of a request; what headers hold is not remembered."""
        path = plain_path(started.target)
        seen = (path, call.model, call.operation, call.stream)
        if self._headers:
            return self._match(*seen, headers=_values(started.fields, self._headers))
        long = len(path) + len(call.model or "") > MATCHED_CHARACTERS_MAX
        return self._match(*seen) if long else self.remembered(*seen)

    def _match(
        self,
        path: bytes,
        model: str | None,
        operation: Operation,
        stream: Streaming,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Matched:
        headers = headers or {}
        tenant = headers.get(self._tenant_header)
        request = Request(model, clean(path), operation, stream, headers, tenant)
        return Matched(match(self.documents, request), request.expected_to_match)


def request_header(good: Good) -> Class:
    """Return the class of a request that is judged by its own headers: it promises nothing."""
    nowhere = Place("request")
    return Class(
        name=REQUEST_HEADER,
        id=REQUEST_HEADER,
        place=nowhere,
        match=Match(),
        objective=Decimal(0),
        good=good,
        weight="request",
        weight_place=nowhere,
        slice=None,
        headers=None,
    )


def _asked(slo: Class, fields: Fields) -> Asked:
    """Return the deadlines that a class lets this request have; `NOTHING` itself if none."""
    if slo.headers is None:
        return NOTHING
    asked = deadlines.read(slo.headers.ttft, slo.headers.tpot, fields.values)
    return NOTHING if asked == NOTHING else asked


def _of_headers(fields: Fields, call: Call) -> Class | None:
    """Return the class that a request's own headers make, if they say something about it."""
    ttft_ns, tpot_ns = deadlines.read(deadlines.TTFT, deadlines.TPOT, fields.values)
    stated = ttft_ns is not None or tpot_ns is not None
    if not stated or call.operation not in GENERATES or call.stream == "false":
        return None
    ttft = None if ttft_ns is None else FirstToken(ttft_ns)
    return request_header(Good(ttft=ttft, tpot_ns=tpot_ns))


def _values(fields: Fields, wanted: frozenset[str]) -> Mapping[str, str]:
    """Return the cleaned values of the headers that classes look at, the first of each name."""
    found = {name: fields.values(name.encode("latin-1")) for name in wanted}
    return {name: clean(values[0]) for name, values in found.items() if values}
