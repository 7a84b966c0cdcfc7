"""Protocol buffers by hand: the few messages of the kubelet's pod-resources API v1 that we need.

    ListPodResourcesResponse  1 pod_resources
    PodResources              1 name, 2 namespace, 3 containers
    ContainerResources        1 name, 2 devices, 5 dynamic_resources  (3 cpu_ids, 4 memory)
    ContainerDevices          1 resource_name, 2 device_ids           (3 topology)
    DynamicResource           4 claim_resources                       (2 claim_name, 3 namespace)
    ClaimResource             1 cdi_devices {1 name}, 2 driver_name, 3 pool_name, 4 device_name,
                              5 share_id

Unknown fields are skipped; a text that occurs twice has its last value. Bytes that are no such
message raise `ProtoError` and nothing else, and no input makes more objects than the bounds below
allow, or more work. Pure.

Source: kubelet/pkg/apis/podresources/v1/api.proto; protobuf.dev/programming-guides/encoding.
"""

from typing import Final, NamedTuple

MESSAGE_BYTES_MAX: Final = 16 << 20
"""A larger answer is refused; a node with 250 pods sends well below 1 MiB."""
TEXT_BYTES_MAX: Final = 4096
"""A name or device id; Kubernetes allows names of 253."""
PODS_MAX: Final = 4096
CONTAINERS_MAX: Final = 16_384
DEVICES_MAX: Final = 1 << 18
"""Device ids and claimed devices of one answer: time-slicing multiplies them."""
FIELDS_MAX: Final = 1 << 19
"""Fields that are looked at, unknown ones included."""
GROUPS_MAX: Final = 64
"""Groups, an old way of nesting, that are skipped within each other."""

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)
_VARINT_BYTES_MAX: Final = 10
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}

Fields = dict[int, list[memoryview]]


class ProtoError(Exception):
    """The bytes are no such message, or beyond a bound (`too_many`)."""

    def __init__(self, message: str, *, too_many: bool = False) -> None:
        """Keep whether a bound was met rather than nonsense."""
        super().__init__(message)
        self.too_many = too_many


class ClaimedDevice(NamedTuple):
    """A device that a container has by dynamic resource allocation."""

    driver: str = ""
    pool: str = ""
    device: str = ""
    share_id: str = ""
    cdi_names: tuple[str, ...] = ()


class PluginDevices(NamedTuple):
    """Devices that a container has from a device plugin."""

    resource: str = ""
    ids: tuple[str, ...] = ()


class ContainerResources(NamedTuple):
    """What one container has."""

    name: str = ""
    devices: tuple[PluginDevices, ...] = ()
    claimed: tuple[ClaimedDevice, ...] = ()


class PodResources(NamedTuple):
    """What the containers of one pod have. There is no pod UID in this API."""

    name: str = ""
    namespace: str = ""
    containers: tuple[ContainerResources, ...] = ()


def decode_list(data: bytes) -> tuple[PodResources, ...]:
    """Decode the answer to List. Raises ProtoError."""
    if len(data) > MESSAGE_BYTES_MAX:
        message = f"an answer of {len(data)} bytes is above {MESSAGE_BYTES_MAX}"
        raise ProtoError(message, too_many=True)
    return _Decoder().pods(memoryview(data))


class _Decoder:
    """Decodes one answer, and counts what it makes."""

    def __init__(self) -> None:
        self.left = {
            "pods": PODS_MAX,
            "containers": CONTAINERS_MAX,
            "devices": DEVICES_MAX,
            "fields": FIELDS_MAX,
        }

    def pods(self, data: memoryview) -> tuple[PodResources, ...]:
        found = self._fields(data, 1)[1]
        self._take("pods", len(found))
        return tuple(self._pod(part) for part in found)

    def _pod(self, data: memoryview) -> PodResources:
        fields = self._fields(data, 1, 2, 3)
        self._take("containers", len(fields[3]))
        containers = tuple(self._container(part) for part in fields[3])
        return PodResources(_last(fields[1]), _last(fields[2]), containers)

    def _container(self, data: memoryview) -> ContainerResources:
        fields = self._fields(data, 1, 2, 5)
        devices = tuple(self._devices(part) for part in fields[2])
        claims = [claim for part in fields[5] for claim in self._fields(part, 4)[4]]
        self._take("devices", len(claims))
        claimed = tuple(self._claimed(part) for part in claims)
        return ContainerResources(_last(fields[1]), devices, claimed)

    def _devices(self, data: memoryview) -> PluginDevices:
        fields = self._fields(data, 1, 2)
        self._take("devices", len(fields[2]))
        return PluginDevices(_last(fields[1]), tuple(_text(part) for part in fields[2]))

    def _claimed(self, data: memoryview) -> ClaimedDevice:
        fields = self._fields(data, 1, 2, 3, 4, 5)
        self._take("devices", len(fields[1]))
        names = tuple(_last(self._fields(part, 1)[1]) for part in fields[1])
        driver, pool, device, share_id = (_last(fields[number]) for number in (2, 3, 4, 5))
        return ClaimedDevice(driver, pool, device, share_id, names)

    def _take(self, kind: str, count: int) -> None:
        self.left[kind] -= count
        if self.left[kind] < 0:
            message = f"an answer holds too many {kind}"
            raise ProtoError(message, too_many=True)

    def _fields(self, data: memoryview, *wanted: int) -> Fields:
        """Return the wanted fields of a message, each as the parts of bytes it occurs with."""
        fields: Fields = {number: [] for number in wanted}
        at = 0
        while at < len(data):
            self._take("fields", 1)
            tag, at = _varint(data, at)
            number, kind = tag >> 3, tag & 7
            if number in fields and kind != _BYTES:
                message = f"field {number} has wire type {kind}"
                raise ProtoError(message)
            start, at = self._skip(data, at, number, kind)
            if number in fields:
                fields[number].append(data[start:at])
        return fields

    def _skip(self, data: memoryview, at: int, number: int, kind: int) -> tuple[int, int]:
        """Return where the value of a field begins and ends."""
        if number == 0:
            message = "field number 0"
            raise ProtoError(message)
        if kind == _VARINT:
            return at, _varint(data, at)[1]
        if kind == _GROUP:
            return at, self._skip_group(data, at, number)
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            message = f"wire type {kind}"
            raise ProtoError(message)
        if length > len(data) - at:
            message = "a field ends after its message"
            raise ProtoError(message)
        return at, at + length

    def _skip_group(self, data: memoryview, at: int, number: int) -> int:
        """Return where a group ends, whatever is in it."""
        opened = [number]
        while opened:
            self._take("fields", 1)
            tag, at = _varint(data, at)
            inner, kind = tag >> 3, tag & 7
            if kind == _GROUP_END:
                if inner != opened.pop():
                    message = "groups that overlap"
                    raise ProtoError(message)
            elif kind == _GROUP:
                opened.append(inner)
                if len(opened) > GROUPS_MAX:
                    message = "groups that are nested too deep"
                    raise ProtoError(message, too_many=True)
            else:
                _, at = self._skip(data, at, inner, kind)
        return at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number of at most 64 bits and where it ends."""
    value = 0
    for shift, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint has no high bit
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + shift + 1
    message = "a number without an end"
    raise ProtoError(message)


def _last(parts: list[memoryview]) -> str:
    return _text(parts[-1]) if parts else ""


def _text(data: memoryview) -> str:
    if len(data) > TEXT_BYTES_MAX:
        message = f"a text of {len(data)} bytes is above {TEXT_BYTES_MAX}"
        raise ProtoError(message, too_many=True)
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        message = "a text that is not UTF-8"
        raise ProtoError(message) from None


def encode_get(name: str, namespace: str) -> bytes:
    """Encode GetPodResourcesRequest {1 pod_name, 2 pod_namespace}."""
    return _tagged(1, name.encode()) + _tagged(2, namespace.encode())


def encode_list(pods: tuple[PodResources, ...]) -> bytes:
    """Encode an answer to List, for those who play the kubelet."""
    return b"".join(_tagged(1, _encode_pod(pod)) for pod in pods)


def _encode_pod(pod: PodResources) -> bytes:
    containers = (_tagged(3, _encode_container(one)) for one in pod.containers)
    return _tagged(1, pod.name.encode()) + _tagged(2, pod.namespace.encode()) + b"".join(containers)


def _encode_container(container: ContainerResources) -> bytes:
    parts = [_tagged(1, container.name.encode())]
    for group in container.devices:
        ids = b"".join(_tagged(2, one.encode()) for one in group.ids)
        parts.append(_tagged(2, _tagged(1, group.resource.encode()) + ids))
    parts += [_tagged(5, _tagged(4, _encode_claimed(one))) for one in container.claimed]
    return b"".join(parts)


def _encode_claimed(claimed: ClaimedDevice) -> bytes:
    names = b"".join(_tagged(1, _tagged(1, name.encode())) for name in claimed.cdi_names)
    texts = (claimed.driver, claimed.pool, claimed.device, claimed.share_id)
    rest = (_tagged(number, text.encode()) for number, text in enumerate(texts, 2) if text)
    return names + b"".join(rest)


def _tagged(number: int, value: bytes) -> bytes:
    return _encode_varint(number << 3 | _BYTES) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
