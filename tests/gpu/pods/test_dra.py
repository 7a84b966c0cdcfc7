from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.pods import dra
from inferometer.gpu.pods.dra import SliceDevice, from_name, read_slices, resolve
from inferometer.gpu.pods.holders import DeviceKey
from inferometer.gpu.pods.proto import ClaimedDevice
from support.fake_kubelet import GPU_A, GPU_B

MIG = "MIG-cccccccc-0000-0000-0000-000000000000"
DRIVER = dra.NVIDIA_DRIVER


def device(name: str, **attributes: str | int) -> dict[str, Any]:
    kinds = {str: "string", int: "int"}
    return {
        "name": name,
        "attributes": {key: {kinds[type(value)]: value} for key, value in attributes.items()},
    }


def resource_slice(
    *devices: object, pool: str = "node", generation: int = 1, driver: str = DRIVER
) -> dict[str, Any]:
    return {
        "kind": "ResourceSlice",
        "spec": {
            "driver": driver,
            "nodeName": "node",
            "pool": {"name": pool, "generation": generation, "resourceSliceCount": 1},
            "devices": list(devices),
        },
    }


def test_devices_are_told_by_their_attributes() -> None:
    slices = read_slices(
        [
            resource_slice(
                device("gpu-0", type="gpu", uuid=GPU_A.upper().replace("GPU", "GPU")),
                device("gpu-1-mig-9-4-4", type="mig", uuid=MIG, parentUUID=GPU_B, profile="3g"),
                {"name": "amd", "attributes": {"gpu.amd.com/pciAddr": {"string": "0000:C1:00.0"}}},
                {
                    "name": "new",
                    "attributes": {"resource.kubernetes.io/pciBusID": {"string": "0000:01:00.0"}},
                },
            )
        ]
    )
    assert slices == {
        SliceDevice(DRIVER, "node", "gpu-0"): DeviceKey(uuid=GPU_A),
        SliceDevice(DRIVER, "node", "gpu-1-mig-9-4-4"): DeviceKey(uuid=MIG),
        SliceDevice(DRIVER, "node", "amd"): DeviceKey(pci="0000:c1:00.0"),
        SliceDevice(DRIVER, "node", "new"): DeviceKey(pci="0000:01:00.0"),
    }


def test_an_instance_without_a_uuid_is_never_its_parent() -> None:
    slices = read_slices(
        [
            resource_slice(
                device("gpu-1-mig-1g-19-0", type="mig", parentUUID=GPU_B, pciBusID="0000:01:00.0"),
                device("gpu-2-mig-1g-19-0", type="mig", pciBusID="0000:01:00.0"),
                device("slice-3", parentUUID=GPU_B),
                device("slice-4", type="mig", pciBusID="0000:01:00.0"),
            )
        ]
    )
    assert slices == {
        SliceDevice(DRIVER, "node", "gpu-1-mig-1g-19-0"): DeviceKey(uuid=GPU_B, slot="1g-19-0"),
        SliceDevice(DRIVER, "node", "gpu-2-mig-1g-19-0"): DeviceKey(minor=2, slot="1g-19-0"),
        SliceDevice(DRIVER, "node", "slice-3"): DeviceKey(uuid=GPU_B, slot="slice-3"),
    }


def test_the_older_form_of_a_slice_is_read_too() -> None:
    old = resource_slice({"name": "gpu-0", "basic": device("gpu-0", uuid=GPU_A)})
    assert read_slices([old]) == {SliceDevice(DRIVER, "node", "gpu-0"): DeviceKey(uuid=GPU_A)}


@pytest.mark.parametrize("reverse", [False, True])
def test_of_a_pool_only_the_highest_generation_counts(*, reverse: bool) -> None:
    items = [
        resource_slice(device("gpu-0", uuid=GPU_A), device("gone", uuid=GPU_A), generation=3),
        resource_slice(device("gpu-0", uuid=GPU_B), generation=4),
        resource_slice(device("gpu-0", uuid=GPU_A), generation=1, pool="another"),
    ]
    slices = read_slices(reversed(items) if reverse else items)
    assert slices == {
        SliceDevice(DRIVER, "node", "gpu-0"): DeviceKey(uuid=GPU_B),
        SliceDevice(DRIVER, "another", "gpu-0"): DeviceKey(uuid=GPU_A),
    }


def test_the_number_of_devices_is_bounded() -> None:
    many = [device(f"gpu-{n}", uuid=GPU_A) for n in range(dra.DEVICES_MAX + 10)]
    assert len(read_slices([resource_slice(*many)])) == dra.DEVICES_MAX


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "pool", "name", "driver", "generation", "devices", "attributes", "uuid"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(json, max_size=4))
def test_objects_of_any_shape_are_passed_over(items: list[object]) -> None:
    assert set(read_slices(items)) <= {SliceDevice("", "", "")} or read_slices(items)


@given(json)
def test_attributes_of_any_shape_are_passed_over(node: object) -> None:
    item = resource_slice({"name": "gpu-0", "attributes": node}, node)
    assert read_slices([item]) in ({}, {SliceDevice(DRIVER, "node", "gpu-0"): DeviceKey(minor=0)})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpu-1", DeviceKey(minor=1)),
        ("gpu-0-mig-9-4-4", DeviceKey(minor=0, slot="9-4-4")),
        ("gpu-0-mig-1g24gb-19-0", DeviceKey(minor=0, slot="1g24gb-19-0")),
        ("k8s.gpu.nvidia.com/device=gpu-1", DeviceKey(minor=1)),
        ("k8s.gpu.nvidia.com/claim=0a-1b-gpu-3", DeviceKey(minor=3)),
        ("gpu", None),
        ("gpu-", None),
        ("gpu-1-2", None),
        ("mygpu-1", None),
        ("gpu-1-mig-", None),
        ("x" * 300 + "=gpu-1", None),
    ],
)
def test_a_name_tells_a_device_only_in_the_forms_that_are_known(
    name: str, expected: DeviceKey | None
) -> None:
    assert from_name(name) == expected


def test_a_slice_goes_before_a_name_and_a_name_before_nothing() -> None:
    claim = ClaimedDevice(DRIVER, "node", "gpu-1", cdi_names=("k8s.gpu.nvidia.com/device=gpu-1",))
    slices = {SliceDevice(DRIVER, "node", "gpu-1"): DeviceKey(uuid=GPU_B)}
    assert resolve(claim, slices) == DeviceKey(uuid=GPU_B)
    assert resolve(claim, {}) == DeviceKey(minor=1)
    assert resolve(claim._replace(device="dev"), {}) == DeviceKey(minor=1)
    assert resolve(claim._replace(device="dev", cdi_names=()), {}) is None


def test_names_of_other_drivers_are_not_guessed_at() -> None:
    assert resolve(ClaimedDevice("nic.example.com", "node", "gpu-1"), {}) is None
    assert resolve(ClaimedDevice("gpu.example.com", "node", "gpu-1"), {}) is None


def test_a_gpu_is_told_by_its_driver() -> None:
    assert dra.is_gpu(ClaimedDevice("gpu.amd.com"))
    assert not dra.is_gpu(ClaimedDevice("nic.example.com"))
