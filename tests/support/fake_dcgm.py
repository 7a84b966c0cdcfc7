"""A DCGM host engine of the tests: a file that they write, and the calls that read it.

`HostEngine` is the tests' end. The functions below are what the modules in `fake_pydcgm/` offer
under the names of DCGM's own binding; they find the file by `DCGM_FAKE_ENGINE`, so that a child
process sees the same host engine. Like the real one it gives nothing that was not watched, keeps
watches for as long as a connection, and answers each field with a status and a moment of its own.
"""

import itertools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.dcgm_structures import FieldValueV1, FieldValueV2, Hierarchy, Pair

VARIABLE = "DCGM_FAKE_ENGINE"
BINDINGS = Path(__file__).parent / "fake_pydcgm"
NOT_WATCHED, UNKNOWN_FIELD, NOT_VALID, BADPARAM = -16, -13, -21, -1
GPU, GPU_INSTANCE = 1, 4
MAX_FIELD = 1600

DEFAULTS: dict[int, float | str] = {
    1: "580.65.06",
    50: "NVIDIA H100 80GB HBM3",
    52: 0,
    53: "1650000000001",
    55: 0,
    57: "00000000:1B:00.0",
    63: 9 << 16,
    67: 0,
    69: 7,
    85: "96.00.89.00.01",
    90: 131072,
    92: 2,
    93: 131070,
    100: 1980,
    101: 2619,
    112: 1,
    140: 44,
    150: 38,
    153: 49,
    155: 123.5,
    156: 987654321,
    157: 130.25,
    160: 700.0,
    164: 700.0,
    170: 3,
    190: 0,
    191: 0x7FFFFFF2,  # no fan: an int32 blank, "not supported"
    202: 3,
    203: 40,
    204: 25,
    206: 10,
    207: 5,
    230: 0,
    235: 5,
    236: 16,
    237: 5,
    238: 16,
    240: 1_000_000_000,
    241: 2_000_000_000,
    242: 0,
    243: 0,
    244: 0,
    245: 0,
    250: 81559,
    251: 80000,
    252: 1000,
    253: 559,
    310: 1,
    311: 0,
    312: 2,
    313: 0,
    390: 0x7FFFFFFFFFFFFFF2,
    391: 0x7FFFFFFFFFFFFFF2,
    392: 0x7FFFFFFFFFFFFFF2,
    393: 0,
    394: 1,
    395: 0,
    396: 0,
    409: 0,
    419: 0,
    429: 0,
    439: 0,
    449: 1500,
    1001: 0.5,
    1002: 0.4,
    1003: 0.2,
    1004: 0.3,
    1005: 0.25,
    1006: 0.0,
    1007: 0.1,
    1008: 0.0,
    1009: 1e6,
    1010: 2e6,
    1011: 3e6,
    1012: 4e6,
    1013: 0.0,
    1014: 0.3,
    1015: 0.0,
    1016: 0.05,
    1422: 10,
    1423: 20,
    1424: 30,
    1523: 0,
}


class HostEngine:
    """The tests' end: what the host engine would say."""

    def __init__(self, path: Path, gpus: int = 1) -> None:
        self.path = path
        self.state: dict[str, Any] = {
            "up": True,
            "boot": 1,
            "gpus": [{"id": n, "uuid": f"GPU-{n:08x}", "fields": {}} for n in range(gpus)],
            "instances": [],
            "unknown": [],
            "library_unknown": [],
            "refused": {},
            "moment_us": None,
            "xids": [],
            "failing": {},
        }
        self.write()

    def set(self, field: int, value: object, *, gpu: int = 0) -> None:
        """Set a field: a number, a text, or {"status": code}."""
        self.state["gpus"][gpu]["fields"][str(field)] = value
        self.write()

    def change(self, **state: object) -> None:
        self.state.update(state)
        self.write()

    def restart(self) -> None:
        """Lose every connection and what was watched."""
        self.change(boot=self.state["boot"] + 1, up=True)

    def xid(self, code: int, *, gpu: int = 0) -> None:
        self.state["xids"].append([gpu, int(time.time() * 1e6), code])
        self.write()

    def cut(self, *slices: int) -> None:
        """Cut the first device into MIG instances."""
        self.state["instances"] = [
            {
                "entity": [GPU_INSTANCE, 100 + at],
                "gpu": 0,
                "gi": at + 1,
                "slices": size,
                "fields": {"50": f"NVIDIA H100 MIG {size}g.{size}0gb"},
            }
            for at, size in enumerate(slices)
        ]
        self.state["gpus"][0]["fields"]["67"] = 1 if slices else 0
        self.write()

    def write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.state))
        fresh.replace(self.path)


class DCGMError(Exception):
    """As in dcgm_structs: the code is `value`."""

    def __init__(self, value: int) -> None:
        super().__init__(f"DCGM error {value}")
        self.value = value


NUMBERS = itertools.count(1)


class Connection:
    """What the library knows of one connection; it is of one start of the host engine."""

    def __init__(self, boot: int) -> None:
        self.boot = boot
        self.groups: dict[int, list[tuple[int, int]]] = {}
        self.field_groups: dict[int, list[int]] = {}
        self.names: set[str] = set()
        self.watched: set[tuple[int, int, int]] = set()
        self.closed = False

    def state(self, call: str = "") -> dict[str, Any]:
        """Read the host engine's state; a connection of an earlier start is not valid.

        A call in `failing` fails with the code that it has there; 0 is a fault of the binding.
        """
        state = read()
        if self.closed or not state["up"] or state["boot"] != self.boot:
            raise DCGMError(NOT_VALID)
        if (code := state["failing"].get(call)) is not None:
            raise DCGMError(code) if code else TypeError(call)
        return state


def read() -> dict[str, Any]:
    state: dict[str, Any] = json.loads(Path(os.environ[VARIABLE]).read_text())
    return state


def connect(*, timeout_ms: int) -> Connection:
    assert timeout_ms > 0
    state = read()
    if not state["up"]:
        raise DCGMError(NOT_VALID)
    return Connection(state["boot"])


def disconnect(connection: Connection) -> None:
    connection.state("disconnect")
    connection.closed = True


def all_devices(connection: Connection) -> list[int]:
    return [gpu["id"] for gpu in connection.state("devices")["gpus"]]


def hierarchy(connection: Connection) -> Hierarchy:
    found = Hierarchy()
    entries = []
    for one in connection.state("hierarchy")["instances"]:
        kind, number = one["entity"]
        entries.append(((kind, number), (GPU, one["gpu"]), one))
        entries.append(((5, number + 100), (kind, number), one))
    for at, (entity, parent, one) in enumerate(entries):
        row = found.entityList[at]
        row.entity.entityGroupId, row.entity.entityId = entity
        row.parent.entityGroupId, row.parent.entityId = parent
        row.info.nvmlInstanceId = one["gi"]
        row.info.nvmlProfileSlices = one["slices"]
    found.count = len(entries)
    return found


def create_field_group(connection: Connection, fields: Sequence[int], name: str) -> int:
    state = connection.state("fields")
    if name in connection.names or any(field in state["unknown"] for field in fields):
        raise DCGMError(BADPARAM)
    connection.names.add(name)
    number = next(NUMBERS)
    connection.field_groups[number] = list(fields)
    return number


def destroy_field_group(connection: Connection, number: int) -> None:
    connection.state()
    del connection.field_groups[number]


def create_group(connection: Connection, kind: int, name: str) -> int:
    connection.state("group")
    assert kind == 1, "only empty groups are made"
    if name in connection.names:
        raise DCGMError(BADPARAM)
    connection.names.add(name)
    number = next(NUMBERS)
    connection.groups[number] = []
    return number


def add_entity(connection: Connection, group: int, kind: int, number: int) -> None:
    connection.state()
    connection.groups[group].append((kind, number))


def destroy_group(connection: Connection, group: int) -> None:
    connection.state("destroy")
    del connection.groups[group]


def watch(connection: Connection, group: int, fields: int) -> None:
    state = connection.state("watch")
    for field in connection.field_groups[fields]:
        if str(field) in state["refused"]:
            raise DCGMError(state["refused"][str(field)])
    connection.watched.update(
        (*entity, field)
        for entity in connection.groups[group]
        for field in connection.field_groups[fields]
    )


def unwatch(connection: Connection, group: int, fields: int) -> None:
    connection.state("unwatch")
    connection.watched.difference_update(
        (*entity, field)
        for entity in connection.groups[group]
        for field in connection.field_groups[fields]
    )


def latest(
    connection: Connection, pairs: Sequence[Pair], fields: Sequence[int], flags: int
) -> Sequence[FieldValueV2]:
    state = connection.state(f"values {pairs[0].entityId}" if flags & 1 else "values")
    values = (FieldValueV2 * (len(pairs) * len(fields)))()
    wanted = [(pair, field) for pair in pairs for field in fields]
    for row, (pair, field) in zip(values, wanted, strict=True):
        row.entityGroupId, row.entityId, row.fieldId = pair.entityGroupId, pair.entityId, field
        watched = (pair.entityGroupId, pair.entityId, field) in connection.watched
        value = known(state, pair, field) if flags & 1 or watched else {"status": NOT_WATCHED}
        fill(row, value, state["moment_us"])
    return list(values)


def known(state: dict[str, Any], pair: Pair, field: int) -> object:
    if field in state["unknown"]:
        return {"status": UNKNOWN_FIELD}
    for gpu in state["gpus"]:
        if (pair.entityGroupId, pair.entityId) == (GPU, gpu["id"]):
            if field == 54:
                return gpu["uuid"]
            if field == 52:
                return gpu["id"]
            return gpu["fields"].get(str(field), DEFAULTS.get(field, {"status": NOT_WATCHED}))
    for one in state["instances"]:
        if [pair.entityGroupId, pair.entityId] == one["entity"]:
            return one["fields"].get(str(field), DEFAULTS.get(field, {"status": NOT_WATCHED}))
    return {"status": BADPARAM}


def fill(row: Any, value: object, moment_us: int | None) -> None:
    row.ts = moment_us if moment_us is not None else int(time.time() * 1e6)
    row.fieldType = ord("i")
    if isinstance(value, dict):
        row.status = value["status"]
        row.ts = value.get("ts", row.ts)
        if "value" in value:
            fill(row, value["value"], row.ts)
    elif value is None:
        row.fieldType = ord("b")
    elif isinstance(value, str):
        row.fieldType, row.value.str = ord("s"), value.encode()
    elif isinstance(value, float):
        row.fieldType, row.value.dbl = ord("d"), value
    else:
        row.value.i64 = value


def since(connection: Connection, group: int, fields: int, moment_us: int, callback: Any) -> int:
    state = connection.state()
    assert connection.field_groups[fields] == [230]
    then = moment_us
    for gpu, ts, code in state["xids"]:
        if ts >= moment_us and (GPU, gpu) in connection.groups[group]:
            rows = (FieldValueV1 * 1)()
            rows[0].fieldId = 230
            fill(rows[0], code, ts)
            assert callback(GPU, gpu, rows, 1, None) == 0
            then = max(then, ts + 1)
    return then
