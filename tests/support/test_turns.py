import gzip
import zlib

import brotli
import pytest
import zstandard

from support import engine_frames, openai_frames
from support.client import ask
from support.llm import ScriptedServer
from support.script import LAST_CHUNK, Action, request
from support.speakers import CHAT, SPEAKERS, Speaker
from support.turns import (
    Encoding,
    Ending,
    Frame,
    Framing,
    Manner,
    Said,
    Turn,
    gzip_bomb,
    play,
    truth,
)


def of_name(speaker: Speaker) -> str:
    return speaker.name


@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_every_piece_of_a_turn_is_in_exactly_one_frame(speaker: Speaker) -> None:
    turn = Turn(
        reasoning=("hm", "!") if speaker.reasons else (),
        tool=("look_up", '{"a"', ": 1}") if speaker.calls_tools else (),
    )
    said = [s for frame in speaker.frames(turn) for s in frame.said]
    assert said == [s for _, s in turn.said]
    assert sum(s.tokens for s in said) == turn.output_tokens


@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_an_error_ending_keeps_the_words_and_ends_otherwise(speaker: Speaker) -> None:
    clean = speaker.frames(Turn())
    broken = speaker.frames(Turn(ending="error"))
    assert [f.said for f in broken if f.said] == [f.said for f in clean if f.said]
    assert any(b"error" in f.data or b"failed" in f.data for f in broken)


@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_a_cut_stream_ends_with_its_last_word(speaker: Speaker) -> None:
    assert speaker.frames(Turn(ending="reset"))[-1].said


@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_a_script_plays_as_it_was_written(speaker: Speaker) -> None:
    turn = Turn()
    with ScriptedServer() as server:
        server.scripts[speaker.target.encode()] = speaker.script(turn, Manner(every_s=0.001))
        answer = ask(server.address, speaker.ask(turn))
        server.wait(lambda: server.exchanges[0].done_ns is not None)
        found = truth(server.exchanges[0])
    assert answer.body == b"".join(f.data for f in speaker.frames(turn))
    assert found.tokens == turn.output_tokens
    assert len(found.gaps_s()) == len(turn.words) - 1
    assert all(gap > 0 for gap in found.gaps_s())
    assert found.first_ns == found.visible_ns


def inflate(encoding: Encoding, data: bytes) -> bytes:
    match encoding:
        case "gzip":
            return gzip.decompress(data)
        case "deflate":
            return zlib.decompress(data)
        case "br":
            return bytes(brotli.decompress(data))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        case "identity":
            return data


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_every_encoding_and_framing_carries_the_same_body(
    encoding: Encoding, framing: Framing
) -> None:
    turn = Turn()
    with ScriptedServer() as server:
        manner = Manner(framing=framing, encoding=encoding)
        server.scripts[b"/v1/chat/completions"] = CHAT.script(turn, manner)
        answer = ask(server.address, CHAT.ask(turn))
    assert answer.end == "complete"
    assert inflate(encoding, answer.body) == b"".join(f.data for f in CHAT.frames(turn))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_send_that_completes_an_event_carries_its_tag(size: int) -> None:
    frame = Frame("data: grüße\n\n".encode(), (Said(),))
    steps = play([frame], "text/event-stream", Manner(cut_bytes=size)).steps
    before = b""
    for step in steps[1:]:
        assert isinstance(step.what, bytes)
        before += step.what
        if step.tag:
            assert frame.data in before
            assert frame.data not in before[: -len(step.what)]
    assert sum(bool(step.tag) for step in steps) == 1
    assert before.endswith(LAST_CHUNK)


def test_frames_that_go_together_are_one_arrival() -> None:
    steps = play([Frame(b"a", (Said(),)), Frame(b"b", (Said(),))], "x/y", Manner(together=2)).steps
    assert [step.tag for step in steps if step.tag] == [(Said(), Said())]


def test_single_waits_replace_the_pace() -> None:
    frames = [Frame(b"a"), Frame(b"b"), Frame(b"c")]
    steps = play(frames, "x/y", Manner(first_s=1.0, every_s=2.0, waits_s=((1, 5.0),))).steps
    assert [s.delay_s for s in steps] == [0.0, 1.0, 5.0, 2.0, 0.0]


def test_cut_endings_have_no_last_chunk() -> None:
    endings: dict[Ending, Action] = {"close": Action.CLOSE, "reset": Action.RESET}
    for ending, action in endings.items():
        steps = play([Frame(b"a")], "x/y", ending=ending).steps
        assert steps[-1].what is action
        assert LAST_CHUNK not in [s.what for s in steps]


def test_choices_have_gaps_of_their_own() -> None:
    turn = Turn(words=("a", "b"), choices=3)
    with ScriptedServer() as server:
        server.scripts[b"/v1/chat/completions"] = CHAT.script(turn, Manner(every_s=0.002))
        ask(server.address, CHAT.ask(turn))
        server.wait(lambda: server.exchanges[0].done_ns is not None)
        found = truth(server.exchanges[0])
    assert found.tokens == 6
    assert [len(found.gaps_s(i)) for i in range(4)] == [1, 1, 1, 0]


def test_reasoning_is_not_visible() -> None:
    turn = Turn(words=("a",), reasoning=("hm",))
    with ScriptedServer() as server:
        server.scripts[b"/v1/chat/completions"] = CHAT.script(turn, Manner(every_s=0.005))
        ask(server.address, CHAT.ask(turn))
        server.wait(lambda: server.exchanges[0].done_ns is not None)
        found = truth(server.exchanges[0])
    assert found.first_ns is not None
    assert found.visible_ns is not None
    assert found.first_ns < found.visible_ns


def test_nothing_said_is_no_first_token() -> None:
    with ScriptedServer() as server:
        ask(server.address, request("GET", "/"))
        found = truth(server.exchanges[0])
    assert (found.first_ns, found.visible_ns, found.tokens) == (None, None, 0)


def test_optional_counts_are_in_the_chunks() -> None:
    ids = openai_frames.completions(Turn(words=("a",), tokens_each=3, token_ids=True))
    assert b'"tokens":["t0","t1","t2"]' in ids[0].data
    running = openai_frames.chat(Turn(words=("a",), running_usage=True, usage=False))
    assert b'"completion_tokens":1' in running[1].data
    assert engine_frames.torchserve(Turn(words=("a",)))[0].data == b"a"
    assert b"predictions" in engine_frames.tfserving(Turn())


@pytest.mark.parametrize("speaker", SPEAKERS, ids=of_name)
def test_whole_answers_are_one_json_document(speaker: Speaker) -> None:
    turn = Turn()
    with ScriptedServer() as server:
        target = speaker.path(stream=False).encode()
        server.scripts[target] = speaker.whole_script(turn)
        answer = ask(server.address, speaker.ask(turn, stream=False, case="whole"))
    assert answer.body == speaker.whole(turn)
    assert b"Hello" in answer.body


def test_a_gzip_bomb_is_small() -> None:
    assert len(gzip_bomb(10_000_000)) < 20_000
