import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.fields import Fields
from inferometer.sidecar.heads import (
    NO_BODY,
    Framing,
    RequestHead,
    find_end,
    parse_request,
)
from inferometer.sidecar.inject import (
    BODY_BYTES_MAX,
    CONTAINERS_MAX,
    ask,
    wanted,
)

MEMBER: Final = b'"stream_options":{"include_usage":true},'
CHAT: Final = b"POST /v1/chat/completions HTTP/1.1"
JSON: Final = b"Content-Type: application/json"
STREAM: Final = b'{"stream":true}'


def request(*lines: bytes, start: bytes = CHAT, length: int | None = 15) -> RequestHead:
    sized = () if length is None else (b"Content-Length: %d" % length,)
    return parse_request(b"\r\n".join((start, b"Host: a", *lines, *sized, b"", b"")))


def asked(body: bytes) -> bytes | None:
    found = ask(request(JSON, length=len(body)), body)
    return None if found is None else found.body


# -- which requests are worth holding ----------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/chat/completions",
        b"/v1/completions",
        b"/completions",
        b"/gateway/team-a/v1/chat/completions",
        b"/openai/deployments/x/chat/completions?api-version=2024-10-21",
        b"http://a/v1/chat/completions?x=/y",
    ],
)
def test_chat_and_completions_are_wanted_under_any_prefix(target: bytes) -> None:
    assert wanted(request(JSON, start=b"POST %b HTTP/1.1" % target))


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/embeddings",
        b"/v1/chat/completions/",
        b"/v1/chat/completions/abc",
        b"/v1/chatcompletions",
        b"/v1/models?next=/v1/chat/completions",
        b"/v1/Chat/Completions",
    ],
)
def test_other_paths_are_not_wanted(target: bytes) -> None:
    assert not wanted(request(JSON, start=b"POST %b HTTP/1.1" % target))


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"post", b"OPTIONS"])
def test_other_methods_are_not_wanted(method: bytes) -> None:
    assert not wanted(request(JSON, start=method + b" /v1/chat/completions HTTP/1.1"))


@pytest.mark.parametrize(("length", "expected"), [(1, True), (1 << 20, True), (2**20 + 1, False)])
def test_a_body_is_wanted_up_to_its_bound(length: int, expected: bool) -> None:  # noqa: FBT001
    assert BODY_BYTES_MAX == 1 << 20
    assert wanted(request(JSON, length=length)) is expected


@pytest.mark.parametrize("lines", [(b"Transfer-Encoding: chunked",), (b"Content-Length: 0",), ()])
def test_a_body_without_a_stated_length_is_not_wanted(lines: tuple[bytes, ...]) -> None:
    assert not wanted(request(JSON, *lines, length=None))


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"content-type:application/json",),
        (b"Content-Type: Application/JSON; charset=utf-8",),
        (b"Content-Type: application/json ;x", b"Accept-Encoding: gzip"),
        (JSON, JSON),
    ],
)
def test_json_is_wanted_and_so_is_a_body_of_no_stated_type(lines: tuple[bytes, ...]) -> None:
    assert wanted(request(*lines))


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Type: application/jsonl",
        b"Content-Type: text/plain; x=application/json",
        b"Content-Type:",
        b"Content-Encoding: gzip",
        b"content-encoding: identity",
        b"Expect: 100-continue",
        b"Content-MD5: x",
        b"Content-Digest: x",
        b"Repr-Digest: x",
        b"Digest: x",
        b"Signature-Input: x",
        b"X-Amz-Content-SHA256: x",
    ],
)
def test_a_body_that_is_no_plain_json_or_must_stay_as_it_is_is_not_wanted(line: bytes) -> None:
    assert not wanted(request(line))
    assert not wanted(request(JSON, line))


# -- what is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "longer"),
    [
        (b'{"stream":true}', b"{" + MEMBER + b'"stream":true}'),
        (b' \r\n\t{ "stream" : true }\n', b" \r\n\t{" + MEMBER + b' "stream" : true }\n'),
        (
            b'{"messages":[{"stream":false,"stream_options":1}],"stream":true, "n":1}',
            b"{%b" % MEMBER
            + b'"messages":[{"stream":false,"stream_options":1}],"stream":true, "n":1}',
        ),
        (b'{"x":1,"x":1e999,"stream":true}', b"{%b" % MEMBER + b'"x":1,"x":1e999,"stream":true}'),
        (
            '{"prompt":"\\ud800{é","stream":true}'.encode(),
            b"{" + MEMBER + '"prompt":"\\ud800{é","stream":true}'.encode(),
        ),
    ],
)
def test_the_member_is_inserted_as_bytes_behind_the_first_brace(body: bytes, longer: bytes) -> None:
    assert asked(body) == longer
    assert json.loads(longer)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("value", [b"null", b"false", b"{}", b'{"include_usage":false}', b"1"])
@pytest.mark.parametrize(
    "name", [b"stream_options", b"Stream_Options", b"\\u0073tream_options", b"\\u017ftream_options"]
)
def test_stream_options_of_the_client_are_its_answer(name: bytes, value: bytes) -> None:
    assert asked(b'{"stream":true,"%b":%b}' % (name, value)) is None
    assert asked(b'{"%b":%b,"stream":true}' % (name, value)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"stream":false}',
        b'{"stream":null}',
        b'{"stream":1}',
        b'{"stream":"true"}',
        b'{"stream":[true]}',
        b'{"Stream":true,"x":"stream"}',
        b'{"stream":true,"stream":true}',
        b'{"stream":true,"stream":false}',
        b'{"stream":false,"stream":true}',
        b'{"stream":true,"Stream":false}',
        b'{"\\u0073tream":true}',
        b'{"messages":[{"stream":true}]}',
        b'[{"stream":true}]',
        b'["stream",true]',
        b'"stream"',
        b'[["stream",true]]',
    ],
)
def test_what_is_no_stream_beyond_doubt_goes_on_as_it_came(body: bytes) -> None:
    assert asked(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true',
        b'{"stream":true}}',
        b'{"stream":true,}',
        b"{'stream':true,\"stream\":true}",
        b'{"stream":true,"x":NaN}',
        b'{"stream":true,"x":-Infinity}',
        b'{"stream":true,"x":"\xff"}',
        b'{"stream":true,"x":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"stream":true}',
        b'{"stream":true,"x":"\n"}',
        b'{"stream":true,"x":' + b"9" * 5000 + b"}",
        b'{"stream":true,"x":' + b"[" * 30_000,
        b'{"stream":true,"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"stream":true,"x":' + b'{"x":' * 30_000 + b"1" + b"}" * 30_001,
        b'{"stream":true,"x":' + b"[" * 1_000_000,
    ],
)
def test_a_body_that_cannot_be_read_for_certain_goes_on_as_it_came(body: bytes) -> None:
    assert asked(body) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_of_unicode_goes_on_as_it_came(encoding: str) -> None:
    assert asked('{"stream":true}'.encode(encoding)) is None


def test_a_body_of_another_length_than_its_head_states_is_left_alone() -> None:
    assert ask(request(JSON, length=16), STREAM) is None
    assert ask(request(JSON)._replace(framing=NO_BODY), STREAM) is None


def test_a_body_of_the_largest_size_is_asked() -> None:
    body = b'{"stream":true,"x":"%b"}' % (b"x" * (BODY_BYTES_MAX - 22))
    assert len(body) == BODY_BYTES_MAX
    assert wanted(request(JSON, length=len(body)))
    assert asked(body) == b"{" + MEMBER + body[1:]


@pytest.mark.parametrize("container", [b"[]", b"{}"])
def test_a_body_is_read_up_to_a_number_of_containers(container: bytes) -> None:
    def body(number: int) -> bytes:
        return b'{"stream":true,"x":[' + b",".join([container] * (number - 2)) + b"]}"

    assert asked(body(CONTAINERS_MAX)) is not None
    assert asked(body(CONTAINERS_MAX + 1)) is None


@given(st.binary(max_size=60))
def test_asking_never_raises(body: bytes) -> None:
    assert asked(body) is None
    assert asked(b'{"stream":' + body) in (None, b"{" + MEMBER + b'"stream":' + body)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["stream", "stream_options", "a"]), inner, max_size=3)
    ),
    max_leaves=12,
)
OTHERS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), VALUES, max_size=4)


@given(OTHERS, OTHERS, st.booleans())
def test_nothing_else_of_a_body_changes(
    before: dict[str, object],
    after: dict[str, object],
    plain: bool,  # noqa: FBT001
) -> None:
    members = {**before, "stream": True, **after}
    body = json.dumps(members, ensure_ascii=plain).encode()
    found = asked(body)
    assert found is not None
    assert found.replace(MEMBER, b"", 1) == body
    assert json.loads(found) == {**members, "stream_options": {"include_usage": True}}
    assert asked(json.dumps({**members, "stream_options": None}).encode()) is None
    assert asked(json.dumps({**members, "stream": 1}).encode()) is None


# -- the head that goes with it ----------------------------------------------------------------


def test_a_head_changes_by_its_length_and_its_accepted_encodings_alone() -> None:
    head = parse_request(
        b"POST /v1/chat/completions?x=%20y HTTP/1.1\r\n"
        b"hOsT:a\r\n"
        b"X-A:\t 1 \t\r\n"
        b"accept-encoding: gzip, br\r\n"
        b"cONTENT-length:   15 \r\n"
        b"Cookie: \xff=1\r\n"
        b"Accept-Encoding: zstd;q=0.5\r\n"
        b"X-A: 2\r\n"
        b"Accept: text/event-stream\r\n"
        b"\r\n"
    )
    found = ask(head, STREAM)
    assert found is not None
    assert found.body == b'{"stream_options":{"include_usage":true},"stream":true}'
    assert found.forward == (
        b"POST /v1/chat/completions?x=%20y HTTP/1.1\r\n"
        b"hOsT:a\r\n"
        b"X-A:\t 1 \t\r\n"
        b"Accept-Encoding: identity\r\n"
        b"cONTENT-length: 55\r\n"
        b"Cookie: \xff=1\r\n"
        b"X-A: 2\r\n"
        b"Accept: text/event-stream\r\n"
        b"\r\n"
    )


def test_identity_is_asked_for_where_the_client_did_not_say_what_it_accepts() -> None:
    found = ask(request(JSON), STREAM)
    assert found is not None
    assert found.forward == (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: 55\r\nAccept-Encoding: identity\r\n\r\n"
    )


NAMES = st.sampled_from([b"X-A", b"accept", b"Accept-Encoding", b"accept-encoding", b"Cookie"])
FIELD_VALUES = st.text("\t !aZ:;\xe9", max_size=6).map(lambda text: text.encode("latin-1"))


@given(st.lists(st.tuples(NAMES, FIELD_VALUES), max_size=8), st.integers(0, 8))
def test_any_head_that_was_changed_is_valid_and_keeps_its_other_fields(
    fields: list[tuple[bytes, bytes]], place: int
) -> None:
    lines = [b"%b:%b" % field for field in fields]
    lines.insert(min(place, len(lines)), b"Content-Length: 15")
    head = request(*lines, length=None)
    found = ask(head, STREAM)
    assert found is not None
    assert find_end(found.forward) == len(found.forward)
    again = parse_request(found.forward)
    assert again.framing == Framing("length", len(found.body))

    def others(fields: Fields) -> list[tuple[bytes, bytes]]:
        left_out = (b"accept-encoding", b"content-length")
        return [field for field in fields if field[0].lower() not in left_out]

    assert others(again.fields) == others(head.fields)
    assert again.fields.values(b"accept-encoding") == [b"identity"]
