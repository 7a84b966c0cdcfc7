import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.pods import ids
from inferometer.gpu.pods.holders import DeviceKey
from inferometer.gpu.pods.ids import DeviceId
from inferometer.gpu.sample import Identity, Instance

UUID = "3a9c2f1e-0b4d-4c8e-9f00-1234567890ab"
GPU = DeviceKey(uuid=f"GPU-{UUID}")
MIG = DeviceKey(uuid=f"MIG-{UUID}")
OLD = DeviceKey(uuid=f"GPU-{UUID}", gi=7, ci=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"GPU-{UUID}", DeviceId(GPU)),
        (f"GPU-{UUID.upper()}", DeviceId(GPU)),
        (f"GPU-{UUID}::3", DeviceId(GPU, replica=3)),
        (f"MIG-{UUID}", DeviceId(MIG)),
        (f"MIG-{UUID}::0", DeviceId(MIG, replica=0)),
        (f"MIG-GPU-{UUID}/7/0", DeviceId(OLD)),
        (f"MIG-GPU-{UUID}/7/0::2", DeviceId(OLD, replica=2)),
        ("nvidia0", DeviceId(DeviceKey(minor=0))),
        ("nvidia12/gi3", DeviceId(DeviceKey(minor=12, gi=3))),
        ("nvidia1/vgpu4", DeviceId(DeviceKey(minor=1), vgpu=4)),
        ("nvidia1/gi2/vgpu0", DeviceId(DeviceKey(minor=1, gi=2), vgpu=0)),
        ("0000:C1:00.0", DeviceId(DeviceKey(pci="0000:c1:00.0"))),
        ("00000000:c1:00.0", DeviceId(DeviceKey(pci="0000:c1:00.0"))),
    ],
)
def test_every_form_of_a_device_id_is_read(text: str, expected: DeviceId) -> None:
    assert ids.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GPU-",
        f"GPU-{UUID}-3",  # HAMi: a slot of whichever device the scheduler picks later
        f"GPU-{UUID}::",
        f"GPU-{UUID}::1::2",
        f"GPU-{UUID}\n",
        f"MIG-GPU-{UUID}",
        f"MIG-GPU-{UUID}/7",
        "nvidia",
        "nvidia-1",
        "nvidia1/gi",
        "nvidia1/vgpu1/gi1",
        "nvidia٣",  # digits of other scripts
        "nvidia12345678",
        "3",  # of some resource that is no TPU
        f"GPU-{UUID}" + "x" * ids.ID_CHARS_MAX,
    ],
)
def test_what_only_looks_like_a_device_id_is_refused(text: str) -> None:
    assert ids.parse(text) is None


@pytest.mark.parametrize("text", ["3", "accel3", "vfio/3", "/dev/vfio/3", "/dev/accel3"])
def test_a_tpu_is_told_by_its_number_and_its_resource(text: str) -> None:
    assert ids.parse(text, resource=ids.TPU_RESOURCE) == DeviceId(DeviceKey(tpu=3))


def test_other_ids_are_no_tpus() -> None:
    assert ids.parse(f"GPU-{UUID}", resource=ids.TPU_RESOURCE) is None


@given(st.text(max_size=300), st.sampled_from(["", ids.TPU_RESOURCE]))
def test_random_text_is_read_or_refused(text: str, resource: str) -> None:
    found = ids.parse(text, resource=resource)
    assert found is None or found.key != DeviceKey()
    assert ids.device_uuid(text) == "" or ids.device_uuid(text).lower() == text.lower()
    assert ids.pci_address(text) == "" or text.lower().endswith(ids.pci_address(text)[5:])


def identity(vendor: str = "NVIDIA", uuid: str = f"GPU-{UUID.upper()}") -> Identity:
    return Identity(
        uuid=uuid, index=4, vendor=vendor, model="m", minor=2, pci_bus_id="00000000:C1:00.0"
    )


@pytest.mark.parametrize("text", [f"GPU-{UUID}::1", "nvidia2/vgpu1", "0000:c1:00.0"])
def test_a_device_is_found_under_every_form_of_its_id(text: str) -> None:
    found = ids.parse(text)
    assert found is not None
    assert found.key in ids.target(identity()).names()


@pytest.mark.parametrize("text", [f"MIG-{UUID}", f"MIG-GPU-{UUID}/7/0", "nvidia2/gi7"])
def test_an_instance_is_found_under_every_form_of_its_id_and_is_not_its_parent(text: str) -> None:
    instance = Instance(
        gpu_instance=7,
        compute_instance=0,
        uuid=f"MIG-{UUID}",
        profile="1g.10gb",
        slices=1,
        slices_max=7,
    )
    found = ids.parse(text)
    assert found is not None
    assert found.key in ids.target(identity(), instance).names()
    assert found.key not in ids.target(identity()).names()
    assert not set(ids.target(identity()).names()) & set(ids.target(identity(), instance).names())


def test_a_tpu_is_found_by_its_index() -> None:
    target = ids.target(identity(vendor="Google", uuid="tpu-4"))
    assert DeviceKey(tpu=4) in target.names()


def test_a_device_of_another_vendor_keeps_its_uuid_and_has_no_minor_number() -> None:
    assert ids.target(identity("AMD", "9eff74A0")).names() == (
        DeviceKey(uuid="9eff74A0"),
        DeviceKey(pci="0000:c1:00.0"),
    )
