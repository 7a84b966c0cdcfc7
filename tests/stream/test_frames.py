"""Rules of inflating a body on a copy."""

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.frames import MEMBERS_MAX, PIECE_BYTES_MAX, RATIO_FREE_BYTES, Inflater

BODY = b"".join(b'data: {"choices":[{"delta":{"content":" %d"}}]}\n\n' % i for i in range(300))


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


ENCODERS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"", bytes),
    (b"identity", bytes),
    (b"gzip", gzip.compress),
    (b" GZIP ", gzip.compress),
    (b"x-gzip", gzip.compress),
    (b"identity, gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", raw_deflate),
    (b"br", brotli.compress),
    (b"zstd", zstandard.compress),
]
COMPRESSED = ENCODERS[5:]


def inflate(encoding: bytes, *pieces: bytes) -> bytes:
    inflater = Inflater(encoding)
    out = b"".join(inflater.feed(piece) for piece in pieces)
    assert not inflater.failed
    return out


@pytest.mark.parametrize(("encoding", "encode"), ENCODERS)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_any_cut_inflates_to_the_same_bytes(
    encoding: bytes, encode: Callable[[bytes], bytes], step: int
) -> None:
    data = encode(BODY)
    assert inflate(encoding, *(data[i : i + step] for i in range(0, len(data), step))) == BODY


def test_what_a_server_flushed_is_inflated_at_once() -> None:
    stream = zlib.compressobj(wbits=31)
    flushed = stream.compress(b"data: 1\n\n") + stream.flush(zlib.Z_SYNC_FLUSH)
    assert inflate(b"gzip", flushed) == b"data: 1\n\n"
    packed = zstandard.ZstdCompressor().compressobj()
    flushed = packed.compress(b"data: 1\n\n") + packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    assert inflate(b"zstd", flushed) == b"data: 1\n\n"


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(("encoding", "encode"), [(b"gzip", gzip.compress), COMPRESSED[-1]])
def test_members_follow_one_another_and_rubbish_after_them_is_ignored(
    encoding: bytes, encode: Callable[[bytes], bytes], step: int
) -> None:
    data = encode(b"one ") + encode(b"two") + b"rubbish"
    assert inflate(encoding, *(data[i : i + step] for i in range(0, len(data), step))) == b"one two"


def test_no_more_members_are_read_than_the_limit() -> None:
    data = gzip.compress(b"x") * (MEMBERS_MAX + 1)
    assert inflate(b"gzip", data) == b"x" * MEMBERS_MAX


@pytest.mark.parametrize(("encoding", "encode"), COMPRESSED)
def test_a_bomb_is_given_up(encoding: bytes, encode: Callable[[bytes], bytes]) -> None:
    bomb = encode(bytes(8 << 20))
    inflater = Inflater(encoding)
    assert inflater.feed(bomb) == b""
    assert inflater.failed
    assert inflater.feed(b"more") == b""


def brotli_with_window(bits: int) -> bytes:
    stream = brotli.Compressor(lgwin=bits, quality=5)
    return bytes(stream.process(BODY) + stream.finish())


@pytest.mark.req("PF-06")
@pytest.mark.parametrize("bits", range(10, 25))
def test_a_brotli_window_that_servers_do_not_use_is_refused(bits: int) -> None:
    if bits <= 22:
        assert inflate(b"br", brotli_with_window(bits)) == BODY
        return
    inflater = Inflater(b"br")
    assert inflater.feed(brotli_with_window(bits)) == b""
    assert inflater.failed


RLE_BLOCK = (128 << 10 << 3 | 1 << 1).to_bytes(3, "little") + b"x"
ZSTD_BOMB = zstandard.FRAME_HEADER + b"\x00\x38" + RLE_BLOCK * 800  # 100 MiB in 3 KiB


@pytest.mark.req("PF-06")
def test_a_zstd_bomb_is_told_before_much_of_it_is_there() -> None:
    inflater = Inflater(b"zstd")
    tracemalloc.start()
    try:
        assert inflater.feed(ZSTD_BOMB) == b""
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inflater.failed
    assert peak_bytes < 1 << 20


@pytest.mark.parametrize(("encoding", "encode"), COMPRESSED)
def test_a_short_run_is_no_bomb(encoding: bytes, encode: Callable[[bytes], bytes]) -> None:
    body = bytes(RATIO_FREE_BYTES)
    assert inflate(encoding, encode(body)) == body


def test_one_piece_inflates_to_a_limited_size() -> None:
    body = bytes(range(256)) * (PIECE_BYTES_MAX // 256) + b"x"
    stored = zlib.compress(body, level=0)
    inflater = Inflater(b"deflate")
    assert inflater.feed(stored) == b""
    assert inflater.failed
    assert len(inflate(b"deflate", stored[: 1 << 20], stored[1 << 20 :])) == len(body)


@pytest.mark.parametrize("encoding", [b"compress", b"gzip, br", b"aes128gcm"])
def test_an_encoding_that_we_cannot_read_fails_at_once(encoding: bytes) -> None:
    assert Inflater(encoding).failed


@pytest.mark.parametrize(("encoding", "module"), [(b"br", "brotli"), (b"zstd", "zstandard")])
def test_a_missing_library_is_an_encoding_that_we_cannot_read(
    encoding: bytes, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert Inflater(encoding).failed


def test_a_brotli_that_cannot_bound_its_output_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(brotli, "Decompressor", object)
    assert Inflater(b"br").failed


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
@given(data=st.lists(st.binary(max_size=40), max_size=5))
def test_broken_bytes_never_raise(encoding: bytes, data: list[bytes]) -> None:
    inflater = Inflater(encoding)
    for piece in data:
        assert isinstance(inflater.feed(piece), bytes)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_rubbish_fails(encoding: bytes) -> None:
    inflater = Inflater(encoding)
    inflater.feed(b"\xff" * 64)
    assert inflater.failed
