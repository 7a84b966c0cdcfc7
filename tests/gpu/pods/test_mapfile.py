import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.pods import mapfile
from inferometer.gpu.pods.holders import (
    MAP_AGE_S_MAX,
    REASONS,
    DeviceKey,
    Holder,
    MapError,
    PodName,
    Snapshot,
)
from inferometer.gpu.pods.mapfile import MapFile, decode, encode, write

A = Holder("serving", "a", "vllm")
B = Holder("serving", "b", "")
FOUND = Snapshot(
    holders={
        DeviceKey(uuid="GPU-1"): (A, B),
        DeviceKey(minor=0, gi=3, ci=0): (A,),
        DeviceKey(pci="0000:01:00.0", slot="9-4-4"): (B,),
        DeviceKey(tpu=0): (),
    },
    pods={"uid": PodName("serving", "a", ("proxy", "vllm"))},
    taken_s=98.0,
    attributed=True,
    errors={"timeout": 3},
)


def test_a_map_that_is_written_is_read_back() -> None:
    read = decode(encode(FOUND, now_s=100.0), now_s=50.0)
    assert read == Snapshot(
        holders=FOUND.holders,
        pods=FOUND.pods,
        taken_s=48.0,
        attributed=True,
        errors=FOUND.errors,
    )


texts = st.text(st.characters(categories=["L", "N"]), max_size=8)
numbers = st.none() | st.integers(0, 99)
keys = st.builds(
    DeviceKey, texts, numbers, texts, numbers, gi=numbers, ci=numbers, slot=texts
).filter(lambda key: key._replace(gi=None, ci=None, slot="") != DeviceKey())
holders = st.sets(st.builds(Holder, texts, texts, texts), max_size=3).map(
    lambda found: tuple(sorted(found))
)
snapshots = st.builds(
    Snapshot,
    holders=st.dictionaries(keys, holders, max_size=3),
    pods=st.dictionaries(
        texts, st.builds(PodName, texts, texts, st.lists(texts, max_size=2).map(tuple)), max_size=3
    ),
    taken_s=st.just(5.0),
    attributed=st.just(True),  # noqa: FBT003 - a value to draw
    errors=st.dictionaries(st.sampled_from(REASONS), st.integers(0, 10**12)),
)


@given(snapshots)
def test_every_map_comes_through_a_file_unchanged(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot, now_s=5.0), now_s=5.0) == snapshot


@pytest.mark.parametrize("snapshot", [Snapshot(), Snapshot(taken_s=1.0, errors={"refused": 1})])
def test_no_map_comes_through_as_no_map(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot, now_s=1.0), now_s=1.0) == snapshot


def test_what_a_later_version_adds_is_ignored() -> None:
    content = json.loads(encode(FOUND, now_s=98.0))
    content["later"] = 1
    content["devices"][0]["later"] = 1
    content["errors"]["later"] = 1
    assert decode(json.dumps(content).encode(), now_s=98.0) == FOUND


def changed(**members: Any) -> bytes:
    return json.dumps(json.loads(encode(FOUND, now_s=98.0)) | members).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "file_invalid"),
        (b"\xff", "file_invalid"),
        (b"[]", "file_invalid"),
        (b"[" * 100_000, "file_invalid"),
        (b"{}", "file_version"),
        (changed(version=2), "file_version"),
        (changed(age_s=-1), "file_invalid"),
        (changed(age_s="1"), "file_invalid"),
        (b'{"version":1,"age_s":NaN}', "file_invalid"),
        (changed(errors=[]), "file_invalid"),
        (changed(errors={"timeout": True}), "file_invalid"),
        (changed(errors={"timeout": -1}), "file_invalid"),
        (changed(devices={}), "file_invalid"),
        (changed(devices=[[]]), "file_invalid"),
        (changed(devices=[{"holders": []}]), "file_invalid"),
        (changed(devices=[{"gi": 1, "holders": []}]), "file_invalid"),
        (changed(devices=[{"minor": "0", "holders": []}]), "file_invalid"),
        (changed(devices=[{"minor": 0}]), "file_invalid"),
        (changed(devices=[{"minor": 0, "holders": [["a", "b"]]}]), "file_invalid"),
        (changed(devices=[{"minor": 0, "holders": [["a", "b", "c\n"]]}]), "file_invalid"),
        (changed(devices=[{"uuid": "x" * 513, "holders": []}]), "file_invalid"),
        (changed(devices=[{}] * 65_537), "file_invalid"),
        (changed(pods=[{"uid": 1}]), "file_invalid"),
        (bytes(mapfile.FILE_BYTES_MAX + 1), "file_too_large"),
    ],
)
def test_a_file_that_is_no_map_has_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(MapError) as caught:
        decode(data, now_s=0.0)
    assert caught.value.reason == reason


@given(st.binary(max_size=200) | st.builds(lambda text: changed(devices=text), st.text()))
def test_random_bytes_raise_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(MapError):
        decode(data, now_s=0.0)


def test_two_entries_of_one_device_are_both_believed() -> None:
    devices = [{"minor": 0, "holders": [[*holder]]} for holder in (A, B)]
    assert decode(changed(devices=devices), now_s=0.0).holders == {DeviceKey(minor=0): (A, B)}


def test_a_file_is_replaced_as_a_whole_and_readable_for_all(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    mask = os.umask(0o077)
    try:
        write(path, b"one")
        with path.open("rb") as reader:
            write(path, b"two")
            assert reader.read() == b"one"
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["map.json"]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "map.json" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write(tmp_path / "map.json", b"one")
    assert [one.name for one in tmp_path.iterdir()] == ["map.json"]


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".map.json.new").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "map.json", b"one")
    assert not (tmp_path / "victim").exists()


class Clocks:
    """A monotonic clock, and the wall clock of the file's times."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.wall_s = 5_000_000.0

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "map.json"


@pytest.fixture
def reader(path: Path, clocks: Clocks) -> MapFile:
    return MapFile(path, clock=lambda: clocks.now_s, wall=lambda: clocks.wall_s)


def put(path: Path, clocks: Clocks, snapshot: Snapshot = FOUND, *, age_s: float = 2.0) -> None:
    write(path, encode(snapshot, now_s=(snapshot.taken_s or 0.0) + age_s))
    os.utime(path, (clocks.wall_s, clocks.wall_s))


def test_a_file_is_as_old_as_it_says_and_grows_older(
    reader: MapFile, path: Path, clocks: Clocks
) -> None:
    put(path, clocks)
    assert reader.read().age_s(clocks.now_s) == 2.0
    clocks.pass_by(58.0)
    assert reader.read().holders == FOUND.holders
    clocks.pass_by(0.5)
    with pytest.raises(MapError) as caught:
        reader.read()
    assert caught.value.reason == "file_stale"


def test_a_file_that_was_there_before_is_as_old_as_its_time_says(
    reader: MapFile, path: Path, clocks: Clocks
) -> None:
    put(path, clocks)
    clocks.pass_by(MAP_AGE_S_MAX)
    with pytest.raises(MapError) as caught:
        reader.read()
    assert caught.value.reason == "file_stale"


def test_a_step_of_the_wall_clock_makes_no_new_file_old(
    reader: MapFile, path: Path, clocks: Clocks
) -> None:
    put(path, clocks)
    reader.read()
    clocks.pass_by(5.0)
    put(path, clocks)
    clocks.wall_s += 86_400
    assert reader.read().age_s(clocks.now_s) == 7.0
    put(path, clocks)
    clocks.wall_s -= 2 * 86_400
    clocks.pass_by(5.0)
    assert reader.read().age_s(clocks.now_s) == 2.0


def test_the_newest_file_counts_alone(reader: MapFile, path: Path, clocks: Clocks) -> None:
    put(path, clocks)
    reader.read()
    newer = Snapshot(holders={DeviceKey(uuid="GPU-1"): (B,)}, taken_s=0.0, attributed=True)
    put(path, clocks, newer)
    assert reader.read().holders == newer.holders


def test_a_file_without_a_map_is_read_as_such(reader: MapFile, path: Path, clocks: Clocks) -> None:
    put(path, clocks, Snapshot(errors={"refused": 4}))
    assert reader.read() == Snapshot(errors={"refused": 4})
    assert reader.errors == {"refused": 4}


def test_without_a_file_there_is_no_map(reader: MapFile, path: Path, clocks: Clocks) -> None:
    for _ in range(2):
        with pytest.raises(MapError) as caught:
            reader.read()
        assert caught.value.reason == "file_missing"
        put(path, clocks)
        assert reader.read().attributed
        path.unlink()


def test_a_broken_file_is_read_again_until_it_is_whole(
    reader: MapFile, path: Path, clocks: Clocks
) -> None:
    for _ in range(2):
        path.write_bytes(b"{")
        with pytest.raises(MapError) as caught:
            reader.read()
        assert caught.value.reason == "file_invalid"
    put(path, clocks)
    assert reader.read().attributed
