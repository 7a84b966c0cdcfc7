from dataclasses import replace

from inferometer.gpu.page.fields import default, read
from inferometer.gpu.page.names import (
    Fixed,
    HolderLabels,
    dcgm_labels,
    device_node,
    info_labels,
    named,
    own_labels,
)
from inferometer.gpu.sample import Identity, Instance

ONE = Identity(
    uuid="GPU-1",
    index=3,
    vendor="nvidia",
    model="H100",
    minor=4,
    pci_bus_id="00000000:1B:00.0",
    driver_version="580",
    serial="S",
    vbios_version="V",
    architecture="hopper",
    busy_source="gpm",
    energy_source="counter",
)
SLICE = Instance(
    gpu_instance=2,
    compute_instance=0,
    uuid="MIG-1",
    profile="1g.10gb",
    slices=1,
    slices_max=7,
)
HELD = HolderLabels("ns", "pod", "main", "77")


def names(mode: str) -> list[tuple[str, bool]]:
    fields = read(b"DCGM_FI_DEV_GPU_TEMP, gauge, x\nDCGM_FI_DEV_SM_CLOCK, gauge, y\n", "f.csv")
    return [(one.name, one.lower) for one in named(fields, mode)]  # type: ignore[arg-type]


def test_the_switch_chooses_names_and_the_spelling_of_hostname() -> None:
    old, new, same = "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", "DCGM_FI_DEV_SM_CLOCK"
    assert names("classic") == [(old, False), (same, False)]
    assert names("classic-lower") == [(old, True), (same, True)]
    assert names("renamed") == [(new, True), (same, True)]
    assert names("both") == [(old, False), (new, True), (same, False)]
    assert names("off") == []


def test_a_name_comes_once() -> None:
    found = [one.name for one in named(default(), "both")]
    assert len(found) == len(set(found))


def test_labels_are_those_of_dcgm_exporter_in_its_order() -> None:
    labels = dcgm_labels(ONE, None, HolderLabels(), fixed=Fixed("n1"), lower=False)
    assert labels.text == (
        'gpu="3",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia4",'
        'modelName="H100",Hostname="n1"'
    )


def test_a_fact_is_left_out_where_there_is_no_room() -> None:
    fixed = Fixed("n1", (("DCGM_FI_DRIVER_VERSION", "driver_version"),))
    alone = dcgm_labels(ONE, None, HELD, fixed=fixed, lower=True)
    assert alone.text.endswith('hpc_job="77",DCGM_FI_DRIVER_VERSION="580"')
    crowded = dcgm_labels(ONE, SLICE, HELD, fixed=fixed, lower=True)
    assert crowded.count == 12
    assert crowded.text.endswith(
        'hostname="n1",GPU_I_PROFILE="1g.10gb",GPU_I_ID="2",'
        'container="main",namespace="ns",pod="pod",hpc_job="77"'
    )


def test_a_fact_that_is_not_known_is_no_label() -> None:
    fixed = Fixed("", (("DCGM_FI_DEV_MINOR_NUMBER", "minor"),))
    labels = dcgm_labels(replace(ONE, minor=None), None, HolderLabels(), fixed=fixed, lower=False)
    assert "MINOR" not in labels.text
    assert "Hostname" not in labels.text


def test_device_nodes_are_those_of_the_vendor() -> None:
    assert device_node(ONE) == "nvidia4"
    assert device_node(replace(ONE, minor=None)) == "nvidia3"
    assert device_node(replace(ONE, vendor="amd")) == "card4"
    assert device_node(replace(ONE, vendor="other")) == "other4"


def test_info_has_twelve_labels_with_the_serial_number_on_request_only() -> None:
    plain = info_labels(ONE, "n1", serial=False)
    assert plain.count == 12
    assert 'vbios_version="V"' in plain.text
    assert "serial" not in plain.text
    assert 'serial="S"' in info_labels(ONE, "n1", serial=True).text


def test_our_families_have_two_labels() -> None:
    assert own_labels(ONE).text == 'gpu="3",UUID="GPU-1"'
