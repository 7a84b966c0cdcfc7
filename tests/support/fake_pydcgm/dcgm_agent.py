"""The names of DCGM's binding, for the host engine of the tests."""
# ruff: noqa: N802, N803 - the names are DCGM's

from collections.abc import Sequence
from typing import Any

from support import fake_dcgm
from support.dcgm_structures import Enumerate, FieldValueV2, Hierarchy, Pair
from support.fake_dcgm import Connection

dcgmFieldValueEntityEnumeration_f = Enumerate  # noqa: N816 - DCGM's name


def dcgmGetAllDevices(dcgm_handle: Connection) -> list[int]:
    return fake_dcgm.all_devices(dcgm_handle)


def dcgmGetGpuInstanceHierarchy(dcgm_handle: Connection) -> Hierarchy:
    return fake_dcgm.hierarchy(dcgm_handle)


def dcgmFieldGroupCreate(dcgm_handle: Connection, fieldIds: list[int], fieldGroupName: str) -> int:
    return fake_dcgm.create_field_group(dcgm_handle, fieldIds, fieldGroupName)


def dcgmFieldGroupDestroy(dcgm_handle: Connection, fieldGroupId: int) -> None:
    fake_dcgm.destroy_field_group(dcgm_handle, fieldGroupId)


def dcgmGroupCreate(dcgm_handle: Connection, type: int, groupName: str) -> int:  # noqa: A002 - DCGM's name
    return fake_dcgm.create_group(dcgm_handle, type, groupName)


def dcgmGroupAddEntity(
    dcgm_handle: Connection, group_id: int, entityGroupId: int, entityId: int
) -> None:
    fake_dcgm.add_entity(dcgm_handle, group_id, entityGroupId, entityId)


def dcgmGroupDestroy(dcgm_handle: Connection, group_id: int) -> None:
    fake_dcgm.destroy_group(dcgm_handle, group_id)


def dcgmWatchFields(  # noqa: PLR0913, PLR0917 - DCGM's arguments
    dcgm_handle: Connection,
    groupId: int,
    fieldGroupId: int,
    updateFreq: int,
    maxKeepAge: float,
    maxKeepSamples: int,
) -> None:
    assert updateFreq >= 100_000
    assert maxKeepAge > 0
    assert maxKeepSamples == 0
    fake_dcgm.watch(dcgm_handle, groupId, fieldGroupId)


def dcgmUnwatchFields(dcgm_handle: Connection, groupId: int, fieldGroupId: int) -> None:
    fake_dcgm.unwatch(dcgm_handle, groupId, fieldGroupId)


def dcgmUpdateAllFields(dcgm_handle: Connection, waitForUpdate: int) -> None:
    assert waitForUpdate == 1
    dcgm_handle.state()


def dcgmEntitiesGetLatestValues(
    dcgmHandle: Connection, entities: Sequence[Pair], fieldIds: Sequence[int], flags: int
) -> Sequence[FieldValueV2]:
    return fake_dcgm.latest(dcgmHandle, entities, fieldIds, flags)


def dcgmGetValuesSince_v2(  # noqa: PLR0913, PLR0917 - DCGM's arguments
    dcgm_handle: Connection,
    groupId: int,
    fieldGroupId: int,
    sinceTimestamp: int,
    enumCB: Any,
    userData: object,
) -> int:
    assert userData is None
    return fake_dcgm.since(dcgm_handle, groupId, fieldGroupId, sinceTimestamp, enumCB)
