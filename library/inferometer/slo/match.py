"""Which class of each SLO document a request belongs to: the first that takes it, or none.

Names are compared after cleaning and never with a label, which folds many names into `other`.
Values are exact or globs in which `*` stands for any text, so matching takes bounded time.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from inferometer.metrics.labels import clean
from inferometer.slo.document import Class, Document
from inferometer.stream.dialect import Operation, Streaming

_NONE: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """What a request is matched by.

    `model` is the name in the request, None if unknown; `route` the path of its target, spelled
    as by `stream.request.plain_path`; `headers` holds the values of those that `header_names` asks
    for, by name in lower case; `tenant` is the value of the header that the setting
    `tenant_header` names.
    """

    model: str | None
    route: str
    operation: Operation
    stream: Streaming
    headers: Mapping[str, str] = _NONE
    tenant: str | None = None

    @property
    def expected_to_match(self) -> bool:
        """Tell whether a document without a class for it has missed something worth counting."""
        return self.operation != "other"


def match(documents: Iterable[Document], request: Request) -> tuple[Class | None, ...]:
    """Return the class of each document that takes the request, in order; None where none does.

    A class of which nothing applies (only token objectives, for a request that does not stream)
    is passed over. Operation `other` (`/health`, `/v1/models`) needs a class that names its route.
    """
    return tuple(
        next((one for one in document.classes if _takes(one, request)), None)
        for document in documents
    )


def header_names(documents: Iterable[Document]) -> frozenset[str]:
    """Return the names (lower case) of the request headers that some class is matched by."""
    classes = (one for document in documents for one in document.classes)
    return frozenset(one.match.header[0] for one in classes if one.match.header)


def _takes(one: Class, request: Request) -> bool:
    wanted = one.match
    if request.operation == "other" and not wanted.route:
        return False
    if wanted.stream is not None and request.stream != ("true" if wanted.stream else "false"):
        return False
    model = None if request.model is None else clean(request.model)
    if not (
        _is_one_of(model, wanted.model)
        and _is_one_of(request.route, _plain(wanted.route))
        and _is_one_of(request.tenant, wanted.tenant)
    ):
        return False
    if wanted.header:
        name, values = wanted.header
        if not _is_one_of(request.headers.get(name), values):
            return False
    return one.good.applies(streamed=request.stream != "false")


def _plain(routes: tuple[str, ...]) -> tuple[str, ...]:
    """Return patterns of routes without the slash at their end, which no route has."""
    return tuple(route.rstrip("/") or "/" for route in routes)


def _is_one_of(text: str | None, patterns: tuple[str, ...]) -> bool:
    """Tell whether a pattern takes the text; no pattern takes everything, unknown matches none."""
    if not patterns:
        return True
    return text is not None and any(glob(pattern, text) for pattern in patterns)


def glob(pattern: str, text: str) -> bool:
    """Tell whether `pattern`, in which `*` is any text (also none), takes the whole of `text`."""
    first, *parts = pattern.split("*")
    if not parts:
        return pattern == text
    *middle, last = parts
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    start, end = len(first), len(text) - len(last)
    for part in middle:  # the leftmost place is always the best: it leaves the most behind it
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True
