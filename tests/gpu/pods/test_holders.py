from inferometer.gpu.pods.holders import DeviceKey, Holder, PodName, Snapshot, Target

A = Holder("serving", "a", "vllm")
B = Holder("serving", "b", "vllm")
UID = "5f1d2c3b-aaaa-bbbb-cccc-0123456789ab"
GPU = Target(uuid="GPU-1", minor=3, pci="0000:01:00.0")
INSTANCE = GPU._replace(gi=7, ci=0, mig_uuid="MIG-1")


def snapshot(**holders: tuple[DeviceKey, Holder]) -> Snapshot:
    found: dict[DeviceKey, tuple[Holder, ...]] = {}
    for key, holder in holders.values():
        found[key] = (*found.get(key, ()), holder)
    return Snapshot(holders=found, taken_s=10.0, attributed=True)


def test_without_a_map_nobody_knows_and_that_is_not_nobody() -> None:
    assert Snapshot().of(GPU) is None
    assert Snapshot().below(GPU) is None
    assert Snapshot().owner(UID) is None
    assert snapshot().of(GPU) == ()


def test_a_device_is_found_under_each_of_its_names_and_holders_are_told_once() -> None:
    found = snapshot(
        by_uuid=(DeviceKey(uuid="GPU-1"), A),
        by_minor=(DeviceKey(minor=3), B),
        by_pci=(DeviceKey(pci="0000:01:00.0"), A),
        another=(DeviceKey(minor=4), Holder("serving", "c", "vllm")),
    )
    assert found.of(GPU) == (A, B)


def test_an_instance_is_not_its_parent_nor_the_other_way_round() -> None:
    found = snapshot(
        whole=(DeviceKey(uuid="GPU-1"), A),
        instance=(DeviceKey(uuid="MIG-1"), B),
    )
    assert found.of(GPU) == (A,)
    assert found.of(INSTANCE) == (B,)
    assert found.of(INSTANCE._replace(mig_uuid="MIG-2")) == ()


def test_below_a_device_are_its_instances() -> None:
    c, d = A._replace(pod="c"), A._replace(pod="d")
    found = snapshot(
        by_gi=(DeviceKey(minor=3, gi=7), A),
        old=(DeviceKey(uuid="GPU-1", gi=9, ci=0), B),
        by_uuid=(DeviceKey(uuid="MIG-1"), c),
        by_slot=(DeviceKey(minor=3, slot="9-4-4"), d),
        another=(DeviceKey(minor=4, gi=7), Holder("serving", "e", "vllm")),
    )
    assert found.below(GPU) == (A, B, d)
    assert found.below(GPU, [INSTANCE]) == (A, B, c, d)
    assert found.of(INSTANCE) == (A, c)


def test_a_compute_instance_is_found_by_its_gpu_instance_too() -> None:
    assert DeviceKey(minor=3, gi=7) in INSTANCE.names()
    assert DeviceKey(minor=3, gi=7, ci=0) in INSTANCE.names()
    assert DeviceKey(minor=3, gi=7) in INSTANCE._replace(ci=None).names()


def test_the_age_is_that_of_the_map_and_never_negative() -> None:
    assert Snapshot().age_s(100) is None
    assert snapshot().age_s(12.5) == 2.5
    assert snapshot().age_s(9.0) == 0


def test_a_pod_is_named_and_its_container_where_there_is_no_doubt() -> None:
    def of(*containers: str) -> Snapshot:
        return Snapshot(attributed=True, pods={UID: PodName("serving", "a", containers)})

    assert of("vllm").owner(UID) == A
    assert of("proxy", "vllm").owner(UID) == A._replace(container="")
    assert of("proxy", "vllm").owner(UID, [A, B]) == A
    both = [A, A._replace(container="proxy")]
    assert of("proxy", "vllm").owner(UID, both) == A._replace(container="")
    assert of().owner(UID, [B]) == A._replace(container="")
    assert of().owner("another") is None


def test_a_forgotten_map_names_nobody_but_keeps_its_age_and_errors() -> None:
    found = Snapshot(
        holders={DeviceKey(minor=3): (A,)},
        pods={UID: PodName("serving", "a")},
        taken_s=1.0,
        attributed=True,
        errors={"timeout": 2},
    ).forgotten()
    assert found == Snapshot(taken_s=1.0, errors={"timeout": 2})
