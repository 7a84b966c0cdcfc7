"""Rules of reading what a request asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.decode import DIALECTS as CLASSES
from inferometer.stream.dialect import Call
from inferometer.stream.request import (
    BODY_BYTES_MAX,
    CHOICES_ASKED_MAX,
    DIALECTS,
    PATH_BYTES_MAX,
    PATHS_MAX,
    QUIET,
    UNKNOWN,
    Route,
    of_path,
    plain_path,
    read,
    route,
)

ROUTES = [
    (b"/v1/chat/completions", "openai_chat", "chat"),
    (b"/chat/completions", "openai_chat", "chat"),
    (b"/openai/deployments/gpt/chat/completions?api-version=1", "openai_chat", "chat"),
    (b"/v1/completions", "openai_completions", "text_completion"),
    (b"/v1/responses", "openai_responses", "chat"),
    (b"/v1/embeddings", "openai_vectors", "embeddings"),
    (b"/api/embed", "openai_vectors", "embeddings"),
    (b"/v2/rerank", "openai_vectors", "rerank"),
    (b"/v1/audio/transcriptions", "openai_vectors", "audio"),
    (b"/v1/images/generations", "openai_vectors", "image"),
    (b"/v1/messages", "anthropic", "chat"),
    (b"/generate_stream", "tgi", "text_completion"),
    (b"/generate", "tgi", "text_completion"),
    (b"/", "tgi", "text_completion"),
    (b"/v2/models/m/generate", "triton", "text_completion"),
    (b"/v2/models/m/generate_stream", "triton", "text_completion"),
    (b"/v2/models/m/versions/1/generate_stream", "triton", "text_completion"),
    (b"/api/chat", "ollama", "chat"),
    (b"/api/generate", "ollama", "text_completion"),
    (b"/completion", "llamacpp", "text_completion"),
    (b"/predictions/m", "torchserve", "infer"),
    (b"/predictions/m/1.0", "torchserve", "infer"),
    (b"/predictions/m/1.0/v1/chat/completions", "openai_chat", "chat"),
    (b"/v1/models/m:predict", "tfserving", "infer"),
    (b"/v1/models/m/versions/2:classify", "tfserving", "infer"),
    (b"/v1/models/m:regress", "tfserving", "infer"),
    (b"/v2/models/m/infer", "tfserving", "infer"),
    (b"/v2/models/m/versions/1/infer", "tfserving", "infer"),
    (b"/v2/chat", "opaque", "chat"),
    (b"/v1beta/models/m:streamGenerateContent?alt=sse", "opaque", "generate_content"),
    (b"/something/else", "opaque", "other"),
    (b"/v1/models/m:explain", "opaque", "other"),
]


@pytest.mark.parametrize(("target", "dialect", "operation"), ROUTES)
def test_every_route_has_its_dialect_and_operation(
    target: bytes, dialect: str, operation: str
) -> None:
    found = route(b"POST", target)
    assert (found.dialect, found.operation) == (dialect, operation)
    assert not found.quiet


@pytest.mark.parametrize(
    "change", [b"/gate/way%s", b"http://host:80%s", b"/%s/", b"%s?a=/health#f"]
)
@pytest.mark.parametrize(("target", "dialect", "operation"), ROUTES[:2] + ROUTES[4:12])
def test_prefixes_queries_and_slashes_are_ignored(
    change: bytes, target: bytes, dialect: str, operation: str
) -> None:
    found = route(b"POST", change % target)
    assert (found.dialect, found.operation) == (dialect, operation)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET", b"/v1/models"),
        (b"GET", b"/v1/chat/completions"),
        (b"GET", b"/health"),
        (b"GET", b"/"),
        (b"OPTIONS", b"*"),
        (b"CONNECT", b"host:443"),
        (b"POST", b"/tokenize"),
        (b"POST", b"/v1/messages/count_tokens"),
        (b"post", b"/v1/completions"),
    ],
)
def test_routes_that_generate_nothing_are_quiet(method: bytes, target: bytes) -> None:
    assert route(method, target) == QUIET
    assert read(QUIET, b'{"model":"m","stream":true}') == Call("opaque", "other", None, "false")


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (b"/v2/models/my%20model/generate", "my model"),
        (b"/predictions/%e4%bd%a0/1", "你"),
        (b"/v1/models/a%zz%:predict", "a%zz%"),
        (b"/v1/models/:predict", None),
        (b"/v1/models/%ff/versions/1:predict", "�"),
    ],
)
def test_a_path_may_name_the_model(target: bytes, model: str | None) -> None:
    found = route(b"POST", target)
    assert found.model == model
    assert read(found, b"{}").model == model


def test_the_name_in_the_body_wins_over_the_one_in_the_path() -> None:
    assert read(route(b"POST", b"/v2/models/a/generate"), b'{"model":"b"}').model == "b"


def test_no_more_paths_are_remembered_than_the_limit() -> None:
    for n in range(PATHS_MAX + 100):
        assert route(b"POST", b"/%d/v1/chat/completions" % n).operation == "chat"
    assert of_path.cache_info().currsize == PATHS_MAX


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/completions?key=secret",
        b"/v1/completions#secret",
        b"http://user:secret@host/v1/completions?key=secret",
        b"/" + b"x" * PATH_BYTES_MAX + b"/v1/completions",
    ],
)
def test_nothing_but_short_paths_is_remembered(target: bytes) -> None:
    of_path.cache_clear()
    route(b"POST", b"/v1/completions")
    route(b"POST", b"v1/completions")
    assert route(b"POST", target) == COMPLETIONS
    assert of_path.cache_info().currsize == 2


CHAT = route(b"POST", b"/v1/chat/completions")
COMPLETIONS = route(b"POST", b"/v1/completions")
OLLAMA = route(b"POST", b"/api/chat")


@pytest.mark.parametrize(
    ("found", "body", "stream"),
    [
        (CHAT, b'{"stream":true}', "true"),
        (CHAT, b'{"stream":false}', "false"),
        (CHAT, b'{"stream":null}', "false"),
        (CHAT, b"{}", "false"),
        (CHAT, b"", "false"),
        (CHAT, b'{"stream":1}', "unknown"),
        (CHAT, b'{"stream":"true"}', "unknown"),
        (CHAT, b'{"stream":true,"stream":false}', "unknown"),
        (CHAT, b'{"messages":[', "unknown"),
        (CHAT, b"\x1f\x8b\x08", "unknown"),
        (CHAT, b'{"options":{"stream":true}}', "false"),
        (OLLAMA, b"{}", "true"),
        (OLLAMA, b'{"stream":false}', "false"),
        (route(b"POST", b"/generate_stream"), b"", "true"),
        (route(b"POST", b"/generate"), b'{"inputs":"x"}', "false"),
        (route(b"POST", b"/v2/models/m/generate_stream"), b"{", "true"),
        (route(b"POST", b"/predictions/m"), b"{}", "unknown"),
        (UNKNOWN, b'{"stream":true}', "true"),
    ],
)
def test_whether_a_stream_is_asked_for(found: Route, body: bytes, stream: str) -> None:
    assert read(found, body).stream == stream


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"multipart/form-data; boundary=x", b'{"model":"m"}'),
        (b"Multipart/mixed; boundary=x", b'{"model":"m"}'),
        (b"application/x-www-form-urlencoded", b"model=m&stream=true"),
    ],
)
def test_forms_are_unknown(kind: bytes, body: bytes) -> None:
    audio = route(b"POST", b"/v1/audio/transcriptions")
    call = read(audio, body, content_type=kind)
    assert call == Call("openai_vectors", "audio", None, "unknown")


def test_json_is_read_where_curl_says_that_it_is_a_form() -> None:
    call = read(OLLAMA, b'{"model":"m"}', content_type=b"application/x-www-form-urlencoded")
    assert call == Call("ollama", "chat", "m", "true")


@pytest.mark.parametrize(
    ("target", "guessed"),
    [(b"/v1/completions", False), (b"/completions", True), (b"/v1/chat/completions", False)],
)
def test_a_bare_completions_route_does_not_prove_its_dialect_but_a_setting_does(
    target: bytes, *, guessed: bool
) -> None:
    found = route(b"POST", target)
    assert read(found, b"{}").guessed == guessed
    assert not read(found, b"{}", override=found.dialect).guessed
    assert not read(found, b"{}", override="llamacpp").guessed


def test_choices_limit_and_echo_are_read() -> None:
    body = b'{"model":"m","n":3,"max_tokens":7,"max_completion_tokens":9,"echo":true}'
    assert read(COMPLETIONS, body) == Call(
        "openai_completions", "text_completion", "m", "false", 3, 9, echo=True
    )
    assert not read(CHAT, body).echo  # chat has no such member


@pytest.mark.parametrize(
    "value", [b"0", b"-1", b"1.5", b"true", b'"3"', b"null", b"[1]", b"100000000000000000000"]
)
def test_numbers_that_cannot_be_meant_are_ignored(value: bytes) -> None:
    call = read(CHAT, b'{"n":' + value + b',"max_tokens":' + value + b"}")
    assert (call.choices, call.output_tokens_max) == (1, None)


def test_so_many_choices_are_believed_and_no_more() -> None:
    assert read(CHAT, b'{"n":%d}' % CHOICES_ASKED_MAX).choices == CHOICES_ASKED_MAX
    assert read(CHAT, b'{"n":%d}' % (CHOICES_ASKED_MAX + 1)).choices == 1


@pytest.mark.parametrize("value", [b'""', b"null", b"5", b'"a","model":"a"'])
def test_a_model_that_cannot_be_read_is_unknown(value: bytes) -> None:
    assert read(CHAT, b'{"model":' + value + b"}").model is None


def test_only_the_first_part_of_a_body_is_looked_at() -> None:
    start = b'{"x":"' + b"x" * (BODY_BYTES_MAX - 22) + b'",'
    assert read(CHAT, start + b'"model":"m"}').model == "m"
    assert read(CHAT, start + b'    "model":"m"}').model is None


def test_a_setting_wins_over_the_route_but_not_over_a_quiet_one() -> None:
    assert read(CHAT, b"{}", override="ollama") == Call("ollama", "chat", None, "true")
    assert read(UNKNOWN, b'{"model":"m"}', override="anthropic").dialect == "anthropic"
    assert read(CHAT, b"{}", override="openai_chat") == read(CHAT, b"{}")
    assert read(CHAT, b"{}", override="nonsense") == read(CHAT, b"{}")
    assert read(QUIET, b"{}", override="openai_chat").operation == "other"


def test_every_dialect_that_a_setting_may_name_exists() -> None:
    assert set(DIALECTS) == set(CLASSES)
    for name in DIALECTS:
        assert read(UNKNOWN, b"{}", override=name).dialect == name


@pytest.mark.req("FO-04")
@given(st.binary(), st.binary(), st.binary(), st.one_of(st.none(), st.binary()))
def test_any_bytes_make_a_call_without_raising(
    method: bytes, target: bytes, body: bytes, content_type: bytes | None
) -> None:
    assert isinstance(read(route(method, target), body, content_type=content_type), Call)
    assert isinstance(read(route(b"POST", b"/" + target), b"{" + body), Call)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/v1/models", b"/v1/models"),
        (b"//v1///models/?a=b", b"/v1/models"),
        (b"/v1/models#x", b"/v1/models"),
        (b"http://a:1/v1/models/", b"/v1/models"),
        (b"http://a", b"/"),
        (b"/", b"/"),
        (b"", b"/"),
        (b"*", b"/*"),
        (b"/models/m:predict", b"/models/m:predict"),
        (b"/%2F/\xff", b"/%2F/\xff"),
    ],
)
def test_a_plain_path_has_one_slash_before_each_segment(target: bytes, path: bytes) -> None:
    assert plain_path(target) == path


@given(st.binary())
def test_targets_with_one_plain_path_are_one_route(target: bytes) -> None:
    assert route(b"POST", plain_path(target)) == route(b"POST", target)
    assert plain_path(plain_path(target)) == plain_path(target)
