"""Readers of the parts of a class: match, good, headers, slice, and its copies for each value.

Each reports what is wrong and goes on, so that a document's problems are told all at once. What
it returns after a report is of no use but to find further problems; `spec` raises in the end.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, cast

from inferometer.documents import Report, Scalar, Table, shown
from inferometer.errors import Place
from inferometer.schema import (
    Record,
    Value,
    boolean,
    decimal,
    duration_ns,
    listed,
    one_of,
    text,
)
from inferometer.slo.document import (
    BAD_OUTCOMES,
    OURS,
    Class,
    EndToEnd,
    FirstToken,
    Fluidity,
    Good,
    Headers,
    InterToken,
    Match,
    Slice,
)
from inferometer.stream.summary import Outcome

OUT_OF_RANGE: Final = "E03"
INCOMPLETE: Final = "E06"

ID_CHARS_MAX: Final = 63
VALUES_MAX: Final = 20
"""Values of one list, and copies by `for_each`."""
VALUE_CHARS_MAX: Final = 256
"""Characters of a value to match: names are cleaned to 128 bytes before."""

OBJECTIVE_MIN: Final = "50"
OBJECTIVE_MAX: Final = "99.999"
objective: Final = decimal(minimum=OBJECTIVE_MIN, maximum=OBJECTIVE_MAX, code=OUT_OF_RANGE)

_share: Final = decimal(minimum="0.001", maximum="100")
_limit: Final = duration_ns(minimum="1ms", maximum="1d")
_growth: Final = duration_ns(minimum="0s", maximum="1h")
_start: Final = one_of("head", "body")
_factor: Final = decimal(minimum="0.01", maximum="100")
_error: Final = one_of(*BAD_OUTCOMES, "shed")

_ID: Final = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"}
)


def identifier(value: Value) -> str | None:
    """Read an id: lower case letters, digits and single hyphens inside; `--` is reserved."""
    word = value.node.text if isinstance(value.node, Scalar) else ""
    if len(word) <= ID_CHARS_MAX and _ID.fullmatch(word):
        return word
    guess = sanitised(word)
    hint = f"write {guess}" if guess else "such as chat or rag-2"
    value.refuse(f"an id of a-z, 0-9 and single hyphens, at most {ID_CHARS_MAX} long", hint=hint)
    return None


def sanitised(word: str) -> str:
    """Return the id that is nearest to a text; empty if there is none."""
    return re.sub(r"[^a-z0-9]+", "-", word[:1000].lower()).strip("-")[:ID_CHARS_MAX].rstrip("-")


def promise_id(document: str, name: str) -> str:
    """Return the SLO id of a class or metric; empty where a name could not be read."""
    return f"{document}-{name}" if document and name else ""


def read_class(value: Value, document: str) -> list[Class]:
    """Read one entry of `classes` of a document: one class, or its copies by `for_each`."""
    record = Record(value)
    name = record.need("name", identifier) or ""
    good = record.need("good", _read_good)
    weight = record.take("weight", one_of("request", "token", "slice")) or "request"
    one = Class(
        name=name,
        id=promise_id(document, name),
        place=record.place,
        match=record.take("match", _read_match) or Match(),
        objective=record.need("objective", objective) or Decimal(99),
        good=good or Good(),
        weight=cast("Literal['request', 'token', 'slice']", weight),
        weight_place=record.place_of("weight"),
        slice=record.take("slice", read_slice),
        headers=record.take("headers", _read_headers),
    )
    copies = record.take("for_each", _read_for_each)
    _check(one, record, value.report)
    record.close()
    return [one] if copies is None else _copied(one, copies, document, value.report)


def _check(one: Class, record: Record, report: Report) -> None:
    """Report what does not go together."""
    good = one.good
    if (one.weight == "slice") != ("slice" in record):
        message = "weight: slice and the field slice need each other"
        hint = "add `slice: {length: 5m, good_share: 50}` or take another weight"
        report.add(record.place_of("weight"), message, hint=hint, code=INCOMPLETE)
    if one.match.stream is False and not good.applies(streamed=False):
        message = "nothing in good applies to requests that are not streamed"
        report.add(record.place_of("good"), message, hint="add e2e", code=INCOMPLETE)
    if one.match.stream is False and good.fluidity:
        message = "fluidity needs streamed requests"
        report.add(good.fluidity.place, message, hint="match stream: true", code=INCOMPLETE)
    if good.ttft and good.e2e and _shorter(good.e2e, good.ttft):
        message = "e2e must be longer than ttft"
        report.add(record.place_of("good"), message, hint="leave one out", code=INCOMPLETE)


def _shorter(whole: EndToEnd, first: FirstToken) -> bool:
    return whole.from_body == first.from_body and whole.limit_ns <= first.base_ns


def _read_good(value: Value) -> Good | None:
    record = Record(value)
    itl = record.take("itl", _read_itl) or _Gaps(None, None)
    gap_ns = record.take("gap", _limit)
    if gap_ns is not None and itl.max_ns is not None:
        message = "gap and itl.max say the same"
        value.report.add(record.place_of("gap"), message, hint="keep one", code=INCOMPLETE)
    errors = record.take("errors", listed(_error, minimum=0, maximum=VALUES_MAX))
    good = Good(
        ttft=record.take("ttft", _read_ttft),
        tpot_ns=record.take("tpot", _limit),
        itl=itl.itl,
        gap_ns=itl.max_ns if gap_ns is None else gap_ns,
        fluidity=record.take("fluidity", _read_fluidity),
        e2e=record.take("e2e", _read_e2e),
        errors=BAD_OUTCOMES if errors is None else _outcomes(errors),
    )
    if good.fluidity and good.fluidity.first_ns is None and "ttft" not in record:
        message = "fluidity begins with ttft, which good does not state"
        hint = "state ttft, or give a duration as first"
        value.report.add(good.fluidity.place, message, hint=hint, code=INCOMPLETE)
    if not record.known_given:
        hint = "state ttft, tpot, itl, gap, e2e, fluidity or errors"
        value.report.add(record.place, "good is empty", hint=hint, code=INCOMPLETE)
    record.close()
    return good


def _outcomes(names: tuple[str, ...]) -> tuple[Outcome, ...]:
    """Return outcomes; `shed` is another word for `rejected`, and our own failures always count."""
    wanted = {"rejected" if name == "shed" else name for name in names} | OURS
    return tuple(outcome for outcome in BAD_OUTCOMES if outcome in wanted)


def _read_ttft(value: Value) -> FirstToken | None:
    if isinstance(value.node, Scalar):
        base_ns = _limit(value)
        return None if base_ns is None else FirstToken(base_ns)
    record = Record(value)
    base_ns = record.need("base", _limit)
    growth_ns = record.take("per_1k_prompt_tokens", _growth)
    start = record.take("from", _start)
    record.close()
    return None if base_ns is None else FirstToken(base_ns, growth_ns or 0, start == "body")


def _read_e2e(value: Value) -> EndToEnd | None:
    if isinstance(value.node, Scalar):
        limit_ns = _limit(value)
        return None if limit_ns is None else EndToEnd(limit_ns)
    record = Record(value)
    limit_ns = record.need("base", _limit)
    start = record.take("from", _start)
    record.close()
    return None if limit_ns is None else EndToEnd(limit_ns, start == "body")


@dataclass(frozen=True, slots=True)
class _Gaps:
    itl: InterToken | None
    max_ns: int | None


def _read_itl(value: Value) -> _Gaps | None:
    if isinstance(value.node, Scalar):
        within_ns = _limit(value)
        return None if within_ns is None else _Gaps(InterToken(within_ns), None)
    record = Record(value)
    within_ns = record.need("within", _limit)
    share = record.take("share", _share)
    max_ns = record.take("max", _limit)
    record.close()
    if within_ns is None:
        return _Gaps(None, max_ns)
    return _Gaps(InterToken(within_ns) if share is None else InterToken(within_ns, share), max_ns)


def _read_fluidity(value: Value) -> Fluidity | None:
    record = Record(value)
    first = record.need("first", _read_first)
    each_ns = record.need("each", _limit)
    minimum = record.need("min", decimal(minimum="0.01", maximum="1"))
    record.close()
    if first is None or each_ns is None or minimum is None:
        return None
    return Fluidity(first or None, each_ns, minimum, record.place)


def _read_first(value: Value) -> int | None:
    """Read a duration, or the word `ttft` as 0."""
    if isinstance(value.node, Scalar) and value.node.text == "ttft":
        return 0
    return _limit(value)


def _read_match(value: Value) -> Match | None:
    record = Record(value)
    found = Match(
        model=record.take("model", _patterns) or (),
        tenant=record.take("tenant", _patterns) or (),
        route=record.take("route", _patterns) or (),
        stream=record.take("stream", boolean),
        header=record.take("header", _read_header),
    )
    record.close()
    return found


def _pattern(value: Value) -> str | None:
    word = text(value)
    if word is not None and len(word) > VALUE_CHARS_MAX:
        value.refuse(f"at most {VALUE_CHARS_MAX} characters long")
        return None
    return word


_patterns: Final = listed(_pattern, maximum=VALUES_MAX)


def _read_header(value: Value) -> tuple[str, tuple[str, ...]] | None:
    record = Record(value)
    pairs = list(record.pairs())
    if len(pairs) != 1:
        if isinstance(value.node, Table):
            value.refuse("one header and its values", hint=f"it has {len(pairs)}")
        return None
    name = _header_name(Value("header", pairs[0][0], value.report))
    values = _patterns(Value("header", pairs[0][1], value.report))
    return None if name is None or values is None else (name, values)


def _header_name(value: Value) -> str | None:
    word = value.node.text.lower() if isinstance(value.node, Scalar) else ""
    if word in _SECRET_HEADERS:
        value.refuse("a header without credentials", hint="let the gateway set a header of its own")
    elif not _HEADER.fullmatch(word):
        value.refuse("the name of a header")
    else:
        return word
    return None


def _read_headers(value: Value) -> Headers | None:
    record = Record(value)
    ttft = record.take("ttft", _header_name)
    tpot = record.take("tpot", _header_name)
    clamp = record.take("clamp", listed(_factor, minimum=2, maximum=2))
    record.close()
    low, high = clamp or (Decimal("0.5"), Decimal(4))
    if low > high:
        message = "clamp must be a lower and an upper factor"
        value.report.add(record.place_of("clamp"), message, hint="such as [0.5, 4]")
    if "ttft" not in record and "tpot" not in record:
        message = "headers is empty"
        hint = "name a header for ttft or tpot"
        value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
    return Headers(ttft, tpot, (low, high), record.place)


def read_slice(value: Value) -> Slice | None:
    """Read how long a slice of time is, and how much of it must be good."""
    record = Record(value)
    length_ns = record.take("length", duration_ns(minimum="1m", maximum="1h"))
    good_share = record.take("good_share", _share)
    if isinstance(value.node, Table) and not ("length" in record and "good_share" in record):
        message = "a slice needs length and good_share"
        hint = "such as {length: 5m, good_share: 50}"
        value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
    record.close()
    return None if length_ns is None or good_share is None else Slice(length_ns, good_share)


@dataclass(frozen=True, slots=True)
class _Copies:
    """One key of `match` and the values that get a class each."""

    key: str
    values: tuple[str, ...]
    place: Place


def _read_for_each(value: Value) -> _Copies | None:
    record = Record(value)
    lists = {key: record.take(key, _patterns) for key in ("model", "tenant", "route")}
    record.close()
    given = [key for key in lists if key in record]
    if len(given) != 1:
        hint = "such as {tenant: [gold, silver]}"
        value.refuse("one of model, tenant, route with its values", hint=hint)
        return None
    values = lists[given[0]]
    return None if values is None else _Copies(given[0], values, record.place)


def _copied(one: Class, copies: _Copies, document: str, report: Report) -> list[Class]:
    if getattr(one.match, copies.key):
        message = f"match names {copies.key}, too"
        report.add(copies.place, message, hint="keep it in for_each", code=INCOMPLETE)
    made = []
    for value in copies.values:
        suffix = sanitised(value)
        if not suffix or "*" in value:
            message = f"for_each needs exact values that make an id, got {shown(value)}"
            report.add(copies.place, message, hint="use letters and digits")
            continue
        name = f"{one.name}-{suffix}" if one.name else ""
        match = replace(
            one.match,
            model=(value,) if copies.key == "model" else one.match.model,
            tenant=(value,) if copies.key == "tenant" else one.match.tenant,
            route=(value,) if copies.key == "route" else one.match.route,
        )
        made.append(replace(one, name=name, id=promise_id(document, name), match=match))
    return made
