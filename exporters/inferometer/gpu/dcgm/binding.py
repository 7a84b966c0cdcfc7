"""DCGM's Python binding with types: the only importer of pydcgm and its modules.

The binding is not on PyPI; it comes with DCGM's packages, in one of `FOLDERS`, and loads
libdcgm.so.4 when a handle is made. Everything it raises becomes `CallError` with DCGM's code.
Facts are from the binding of DCGM 4.x (`DcgmHandle.py`, `dcgm_agent.py`, `dcgm_structs.py`):
`DcgmHandle` without an address would start a host engine in this process, so it always gets one;
its destructor disconnects again, and raises, unless `Shutdown` went well.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from inferometer.gpu.backend import BackendError
from inferometer.gpu.binding.importing import NOT_FOUND, load

FOLDERS: Final = (
    Path("/usr/share/datacenter-gpu-manager-4/bindings/python3"),
    Path("/usr/local/dcgm/bindings/python3"),
)
GPU: Final = 1
GPU_INSTANCE: Final = 4
COMPUTE_INSTANCE: Final = 5
"""Kinds of entities (DCGM_FE_*)."""
GROUP_EMPTY: Final = 1
LIVE: Final = 1
"""DCGM_FV_FLAG_LIVE_DATA: ask the driver instead of the cache; only for what never changes."""
CONNECT_TIMEOUT_MS: Final = 1_000
TEXT_MAX: Final = 256

NOT_SUPPORTED: Final = -6
UNINITIALIZED: Final = -10
NO_DATA: Final = -14
GPU_LOST: Final = -18
RESET_REQUIRED: Final = -19
CONNECTION_NOT_VALID: Final = -21
"""Codes of dcgm_structs (DCGM_ST_*)."""

Entity = tuple[int, int]
"""Kind and number."""


class CallError(Exception):
    """A call failed. `code` is DCGM's (below 0), None where the binding itself failed."""

    def __init__(self, message: str, *, code: int | None) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


class Value(NamedTuple):
    """A field of an entity. `value` is None where `status` is not 0, or the type is not known."""

    entity: Entity
    field: int
    status: int
    moment_us: int
    value: float | str | None


class MigInstance(NamedTuple):
    """A GPU or compute instance: its entity and its parent's, numbers of NVML, and its size."""

    entity: Entity
    parent: Entity
    gpu_instance: int
    compute_instance: int
    slices: int


class Handle(Protocol):
    """A connection of the binding's."""

    handle: object

    def Shutdown(self) -> None:  # noqa: N802 - the binding's name
        """Disconnect."""
        ...


class Binding:
    """What we use of the binding, each call one request to the host engine."""

    def __init__(self, folder: Path | None) -> None:
        """Import it from a folder, or from the first of `FOLDERS` that has it.

        Raises BackendError.
        """
        found = _folder((folder,) if folder else FOLDERS)
        self._pydcgm = load("pydcgm", folder=found)
        self._agent = load("dcgm_agent", folder=found)
        self._structs = load("dcgm_structs", folder=found)
        self._fields = load("dcgm_fields", folder=found)

    def connect(self, address: str) -> Handle:
        """Connect to a running host engine: "host:port", "unix:/path" or "/path"."""
        path = address.removeprefix("unix:")
        where = {"unixSocketPath" if path.startswith("/") else "ipAddress": path}
        with _reported("connect"):
            handle: Handle = self._pydcgm.DcgmHandle(**where, timeoutMs=CONNECT_TIMEOUT_MS)
        return handle

    def disconnect(self, handle: Handle) -> None:
        """End a connection, if it still stands."""
        try:
            handle.Shutdown()
        except Exception:  # noqa: BLE001 - whatever it says, the connection is of no use any more
            # Or its destructor would try again, and complain where nobody can catch it.
            vars(handle)["_handleCreated"] = False

    def known(self, number: int) -> bool:
        """Whether the library knows a field; an older one does not know them all."""
        with _reported("field"):
            return self._fields.DcgmFieldGetById(number) is not None

    def gpus(self, handle: Handle) -> tuple[int, ...]:
        """List the GPUs, supported or not."""
        with _reported("devices"):
            return tuple(int(gpu) for gpu in self._agent.dcgmGetAllDevices(handle.handle))

    def instances(self, handle: Handle) -> tuple[MigInstance, ...]:
        """List MIG instances of all GPUs."""
        with _reported("instances"):
            found = self._agent.dcgmGetGpuInstanceHierarchy(handle.handle)
            return tuple(_instance(found.entityList[at]) for at in range(int(found.count)))

    def field_group(self, handle: Handle, name: str, numbers: Sequence[int]) -> object:
        """Make a group of fields; it ends with the connection. One unknown field fails it."""
        with _reported("field group"):
            group: object = self._agent.dcgmFieldGroupCreate(handle.handle, list(numbers), name)
        return group

    def drop_field_group(self, handle: Handle, group: object) -> None:
        """Let go of a group of fields."""
        with _reported("field group"):
            self._agent.dcgmFieldGroupDestroy(handle.handle, group)

    def group(self, handle: Handle, name: str, entities: Iterable[Entity]) -> object:
        """Make a group of entities; it ends with the connection."""
        with _reported("group"):
            group: object = self._agent.dcgmGroupCreate(handle.handle, GROUP_EMPTY, name)
            for kind, number in entities:
                self._agent.dcgmGroupAddEntity(handle.handle, group, kind, number)
        return group

    def unwatch(self, handle: Handle, group: object, field_group: object) -> None:
        """Have the host engine read the fields no longer for our sake."""
        with _reported("unwatch"):
            self._agent.dcgmUnwatchFields(handle.handle, group, field_group)

    def drop_group(self, handle: Handle, group: object) -> None:
        """Let go of a group of entities; what is watched of them goes on."""
        with _reported("group"):
            self._agent.dcgmGroupDestroy(handle.handle, group)

    def watch(
        self, handle: Handle, group: object, field_group: object, *, period_s: float, keep_s: float
    ) -> None:
        """Have the host engine read the fields every `period_s` and keep them for `keep_s`."""
        with _reported("watch"):
            self._agent.dcgmWatchFields(
                handle.handle, group, field_group, int(period_s * 1e6), keep_s, 0
            )

    def update(self, handle: Handle) -> None:
        """Wait until everything that is due has been read once."""
        with _reported("update"):
            self._agent.dcgmUpdateAllFields(handle.handle, 1)

    def latest(
        self, handle: Handle, entities: Sequence[Entity], numbers: Sequence[int], *, flags: int = 0
    ) -> list[Value]:
        """Return the latest value of each field of each entity, whatever became of it."""
        pairs = []
        with _reported("values"):
            for kind, number in entities:
                pair = self._structs.c_dcgmGroupEntityPair_t()
                pair.entityGroupId, pair.entityId = kind, number
                pairs.append(pair)
            values = self._agent.dcgmEntitiesGetLatestValues(
                handle.handle, pairs, list(numbers), flags
            )
            return [_value((int(v.entityGroupId), int(v.entityId)), v) for v in values]

    def since(
        self, handle: Handle, group: object, field_group: object, since_us: int
    ) -> tuple[list[Value], int]:
        """Return all values from a moment on, and the moment from which to ask next."""
        seen: list[Value] = []

        def take(kind: int, number: int, values: Sequence[object], count: int, _: object) -> int:
            seen.extend(_value((int(kind), int(number)), values[at]) for at in range(count))
            return 0

        with _reported("values since"):
            callback = self._agent.dcgmFieldValueEntityEnumeration_f(take)
            then = self._agent.dcgmGetValuesSince_v2(
                handle.handle, group, field_group, since_us, callback, None
            )
        return seen, int(then)


def _folder(folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / "pydcgm.py").is_file():
            return folder
    tried = ", ".join(str(folder) for folder in folders)
    raise BackendError(NOT_FOUND, f"no pydcgm.py in {tried}")


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Turn whatever the binding raises into `CallError`; DCGMError has the code as `value`."""
    try:
        yield
    except Exception as error:
        code = getattr(error, "value", None)
        message = f"{what}: {error}"
        raise CallError(message, code=code if isinstance(code, int) else None) from error


def _instance(found: object) -> MigInstance:
    entity, parent, info = (getattr(found, name) for name in ("entity", "parent", "info"))
    return MigInstance(
        entity=(int(entity.entityGroupId), int(entity.entityId)),
        parent=(int(parent.entityGroupId), int(parent.entityId)),
        gpu_instance=int(info.nvmlInstanceId),
        compute_instance=int(info.nvmlComputeInstanceId),
        slices=int(info.nvmlProfileSlices),
    )


def _value(entity: Entity, raw: object) -> Value:
    """Read a c_dcgmFieldValue_v1 or _v2: the type is a letter's number, times are microseconds."""
    number, kind, status, moment_us, union = (
        getattr(raw, name) for name in ("fieldId", "fieldType", "status", "ts", "value")
    )
    value: float | str | None = None
    if status == 0:
        letter = chr(kind)
        if letter == "d":
            value = float(union.dbl)
        elif letter in "it":
            value = int(union.i64)
        elif letter == "s":
            value = str(union.str)[:TEXT_MAX]
    return Value(entity, int(number), int(status), int(moment_us), value)
