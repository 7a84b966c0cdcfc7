"""What every dialect owes, proved for all of them by their recordings and by hostile input."""

import json
from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.stream.decode import DIALECTS, decoder
from inferometer.stream.dialect import Call, Framing
from inferometer.stream.events import (
    TOKENS_MAX,
    Ended,
    Event,
    Failed,
    Finish,
    Finished,
    Kind,
    Named,
    Output,
    Phase,
    Reported,
    Usage,
)
from support.truths import Recording, recordings, typed

GENERATING = sorted(set(DIALECTS) - {"openai_vectors", "torchserve", "tfserving", "opaque"})
SILENT = ["torchserve", "opaque"]
ALL = recordings()
JSON_TYPES: list[object] = [None, True, "x", "", -1, 1.5, 10**30, [], [[]], {}, [{}], {"type": []}]

TYPES = {".sse": b"text/event-stream", ".ndjson": b"application/x-ndjson"}
# Another server's answer at TGI's route: a decoder never hands it to TGI, so it cannot be cut here.
STREAMS = [r for r in ALL if r.path.suffix in TYPES and r.path.name != "sglang_native.sse"]

each = pytest.mark.parametrize("name", sorted(DIALECTS))
every = pytest.mark.parametrize("recording", ALL, ids=[f"{r.dialect}-{r.path.name}" for r in ALL])
streamed = pytest.mark.parametrize(
    "recording", STREAMS, ids=[f"{r.dialect}-{r.path.name}" for r in STREAMS]
)


def play(
    recording: Recording, frames: list[tuple[bytes, bytes]] | None = None
) -> list[list[Event]]:
    dialect = DIALECTS[recording.dialect]()
    read = dialect.frame if not recording.whole else lambda _, body: dialect.whole(body)
    return [read(name, data) for name, data in frames or recording.frames()]


def variants(value: object) -> Iterator[object]:
    """Yield `value` with one of its members replaced by each type of JSON, for every member."""
    pairs = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    for key, member in pairs:
        for other in [*JSON_TYPES, *variants(member)]:
            copy = dict(value) if isinstance(value, dict) else list(value)  # type: ignore[call-overload]
            copy[key] = other
            yield copy


def grown(value: object) -> object:
    """Return `value` with members that no protocol has, at every level."""
    if isinstance(value, list):
        return [grown(item) for item in value]
    if isinstance(value, dict):
        return {
            "x_before": {"content": "no", "usage": {"completion_tokens": 9}},
            **{key: grown(member) for key, member in value.items()},
            "x_after": [1, None, {"text": "no"}],
        }
    return value


def decoded(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


def is_sound(event: Event) -> bool:
    """Tell whether an event keeps what its type promises."""
    if isinstance(event, Output):
        told = event.tokens is None or event.tokens > 0
        return event.kind in get_args(Kind) and event.choice >= 0 and told
    if isinstance(event, Usage):
        known = [n for n in event[:4] if n is not None]
        return known != [] and all(type(n) is int and 0 <= n <= TOKENS_MAX for n in known)
    if isinstance(event, Finished):
        return event.reason in get_args(Finish)
    if isinstance(event, Reported):
        return event.phase in get_args(Phase) and 0 <= event.seconds <= 1e6
    return not isinstance(event, Named) or event.model != ""


@each
def test_a_dialect_is_known_by_its_name_and_says_how_it_is_framed(name: str) -> None:
    dialect = DIALECTS[name]()

    assert dialect.name == name
    assert dialect.framing in get_args(Framing)
    assert dialect.tokens_per_output == (1 if name in {"tgi", "ollama"} else None)
    assert dialect.terminated == (name in set(GENERATING) - {"triton"})


@every
def test_a_recording_means_what_its_truth_says(recording: Recording) -> None:
    frames = recording.frames()

    events = play(recording)

    assert len(frames) == len(recording.truth)
    for frame, said, truth in zip(frames, events, recording.truth, strict=True):
        assert typed(map(rounded, said)) == typed(truth), frame


def rounded(event: Event) -> Event:
    if isinstance(event, Reported):
        return event._replace(seconds=float(f"{event.seconds:.12g}"))
    return event


@every
def test_frames_without_output_yield_none(recording: Recording) -> None:
    silent = [truth and not any(isinstance(e, Output) for e in truth) for truth in recording.truth]
    outputs = [any(isinstance(e, Output) for e in said) for said in play(recording)]

    assert not any(output for output, quiet in zip(outputs, silent, strict=True) if quiet)


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("name", sorted(set(DIALECTS) - set(SILENT)))
def test_each_dialect_has_recorded_errors_in_frames_and_bodies_and_they_fail(name: str) -> None:
    errors = [r for r in recordings(name) if "error" in r.path.stem]

    assert errors
    for recording in errors:
        assert any(isinstance(event, Failed) for event in recording.events)
        assert any(isinstance(event, Failed) for said in play(recording) for event in said)


@pytest.mark.parametrize("name", GENERATING)
def test_each_generating_dialect_has_recorded_output_usage_and_an_end(name: str) -> None:
    streams = [r for r in recordings(name) if not r.whole]
    events = [event for recording in streams for said in play(recording) for event in said]

    assert any(isinstance(event, Output) for event in events)
    assert any(isinstance(event, Usage) and event.final for event in events)
    assert any(isinstance(event, Finished) for event in events)
    assert any(isinstance(event, Ended) for event in events) == DIALECTS[name]().terminated


@every
def test_a_model_is_named_once(recording: Recording) -> None:
    again = [event for said in play(recording, recording.frames() * 2) for event in said]

    if not recording.whole:
        assert sum(isinstance(event, Named) for event in again) <= 1


@every
def test_unknown_members_change_nothing(recording: Recording) -> None:
    frames = [
        (name, json.dumps(grown(value)).encode() if (value := decoded(data)) else data)
        for name, data in recording.frames()
    ]

    assert [*map(typed, play(recording, frames))] == [*map(typed, play(recording))]


@every
def test_a_member_of_the_wrong_type_never_raises(recording: Recording) -> None:
    dialect = DIALECTS[recording.dialect]()

    for name, data in recording.frames():
        for value in variants(decoded(data)):
            body = json.dumps(value).encode()
            said = dialect.frame(name, body) + dialect.whole(body)
            assert all(is_sound(event) for event in said), body


@pytest.mark.parametrize("name", SILENT)
def test_an_opaque_dialect_says_nothing_about_any_recording(name: str) -> None:
    dialect = DIALECTS[name]()

    for recording in ALL:
        for frame, data in recording.frames():
            assert dialect.frame(frame, data) + dialect.whole(data) == []


@each
@settings(max_examples=60, deadline=None)
@given(frames=st.lists(st.tuples(st.sampled_from([b"", b"error", b"ping"]), st.binary())))
def test_arbitrary_bytes_never_raise(name: str, frames: list[tuple[bytes, bytes]]) -> None:
    dialect = DIALECTS[name]()

    for event_name, data in frames:
        said = dialect.frame(event_name, data) + dialect.whole(data)
        assert all(is_sound(event) for event in said)


def members(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from members(member)
    elif isinstance(value, list):
        for item in value:
            yield from members(item)
    elif isinstance(value, str):
        yield value


KNOWN = {
    name: sorted({m for r in recordings(name) for _, d in r.frames() for m in members(decoded(d))})
    or ["x"]
    for name in DIALECTS
}


def documents(name: str) -> st.SearchStrategy[object]:
    """Return JSON made of the keys and words of a dialect in any order."""
    words = st.sampled_from(KNOWN[name])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | words
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
        max_leaves=12,
    )


@each
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_arbitrary_json_never_raises(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]()

    for value in data.draw(st.lists(documents(name), max_size=4)):
        body = json.dumps(value).encode()
        said = dialect.frame(b"", body) + dialect.whole(body)
        assert all(is_sound(event) for event in said)


BOMBS = {
    "depth": b'{"choices":' + b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "digits": b'{"usage":{"prompt_tokens":' + b"9" * 100_000 + b"}}",
    "nan": b'{"usage":{"prompt_tokens":NaN,"output_tokens":-Infinity},"eval_count":1e999}',
    "twice": b'{"choices":{},"choices":[],"usage":1,"usage":{"prompt_tokens":"1"}}',
    "surrogate": b'{"model":"\\ud800","message":{"model":"\\udfff"}}',
    "utf8": b'{"model":"\xff\xfe"}',
    "null": b"null",
}


@each
@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_bomb_never_raises(name: str, bomb: str) -> None:
    dialect = DIALECTS[name]()

    said = dialect.frame(b"", BOMBS[bomb]) + dialect.whole(BOMBS[bomb])

    assert all(is_sound(event) for event in said)


@pytest.mark.parametrize("name", [*GENERATING, "openai_vectors"])
@pytest.mark.parametrize("data", [b"{", b"[]", b"7", b"{} {}", b"\xff", BOMBS["depth"]])
def test_a_frame_that_is_no_object_is_skipped(name: str, data: bytes) -> None:
    assert typed(DIALECTS[name]().frame(b"", data)) == [("Skipped", "malformed")]


@pytest.mark.parametrize("name", [*GENERATING, "openai_vectors"])
@pytest.mark.parametrize("data", [b"", b" \r\n"])
def test_an_empty_frame_says_nothing(name: str, data: bytes) -> None:
    assert DIALECTS[name]().frame(b"", data) == []


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - set(SILENT)))
def test_a_body_that_is_no_json_is_skipped(name: str) -> None:
    assert typed(DIALECTS[name]().whole(b"<html>")) == [("Skipped", "malformed")]


def decode(recording: Recording, pieces: list[bytes]) -> list[tuple[object, ...]]:
    call = Call(recording.dialect, "chat", None, "true")
    reader = decoder(call, status=200, content_type=TYPES[recording.path.suffix])
    events = [event for piece in pieces for event in reader.feed(piece)]
    return typed(map(rounded, [*events, *reader.close(clean=True)]))


@pytest.mark.req("DC-04")
@streamed
def test_cutting_the_bytes_elsewhere_changes_nothing(recording: Recording) -> None:
    body, truth = recording.body, typed(recording.events)

    assert decode(recording, [body]) == truth
    assert decode(recording, [bytes([byte]) for byte in body]) == truth
    for at in range(1, len(body)):
        assert decode(recording, [body[:at], body[at:]]) == truth, at


@pytest.mark.req("DC-04")
@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@streamed
def test_other_line_ends_change_nothing(recording: Recording, end: bytes) -> None:
    line = b"\r\n" if recording.path.suffix == ".ndjson" else end  # JSON lines need a line feed
    body = recording.body.replace(b"\n", line)

    assert decode(recording, [body]) == typed(recording.events)
    assert decode(recording, [bytes([byte]) for byte in body]) == typed(recording.events)
