from inferometer.gpu.page.fields import default, read
from inferometer.gpu.page.names import Fixed, HolderLabels
from inferometer.gpu.page.plan import Look, Subject, make
from inferometer.gpu.sample import Identity, Instance
from inferometer.metrics.dcgm import FAMILIES

WHO = Identity(uuid="GPU-1", index=0, vendor="nvidia", model="H100")
PART = Instance(
    gpu_instance=2, compute_instance=0, uuid="MIG-1", profile="1g", slices=1, slices_max=7
)
EVERYTHING = read("".join(f"{f.classic}, gauge, x\n" for f in FAMILIES).encode(), "f.csv")


def look(names: str = "classic") -> Look:
    return Look(EVERYTHING, names, Fixed("n"))  # type: ignore[arg-type]


def shown(subject: Subject, of: Look) -> set[str]:
    plan = make(subject, of, of.families)
    names = {line.family for line in plan.gauges} | {line.family for line in plan.counters}
    names |= {name for name, _ in (*plan.ratios, *plan.xids)}
    return {name for name in names if name.startswith("DCGM")}


def test_every_family_of_the_list_has_its_place() -> None:
    assert shown(Subject(WHO, HolderLabels()), look()) == {f.classic for f in FAMILIES}


def test_under_mig_a_device_has_no_family_that_is_absent_there() -> None:
    subject = Subject(WHO, HolderLabels(), ((PART, HolderLabels()),))
    absent = {f.classic for f in FAMILIES if f.mig == "absent"}
    assert {f.classic for f in FAMILIES} - shown(subject, look()) == absent


def test_an_instance_has_the_families_that_instances_have() -> None:
    subject = Subject(WHO, HolderLabels(), ((PART, HolderLabels("ns", "pod", "c")),))
    (plan,) = make(subject, look(), look().families).instances
    names = {line.family for line in plan.gauges} | {name for name, _ in plan.ratios}
    assert names == {f.classic for f in FAMILIES if f.mig == "instance"}
    assert all('GPU_I_ID="2"' in line.prefix for line in plan.gauges)
    assert all('pod="pod"' in line.prefix for line in plan.gauges)


def test_both_names_have_the_label_of_their_time() -> None:
    plan = make(Subject(WHO, HolderLabels()), look("both"), look("both").families)
    prefixes = {line.family: line.prefix for line in plan.gauges}
    assert 'Hostname="n"' in prefixes["DCGM_FI_DEV_GPU_TEMP"]
    assert 'hostname="n"' in prefixes["DCGM_FI_DEV_GPU_TEMP_CELSIUS"]


def test_names_may_be_off() -> None:
    assert Look(default(), "off", Fixed("n")).families == ()
    assert shown(Subject(WHO, HolderLabels()), look("off")) == set()


def test_our_families_can_be_left_out_one_by_one() -> None:
    fields = read(
        b"- -inferometer_gpu_busy_seconds_total\n- -inferometer_gpu_memory_bytes\n", "y.yaml"
    )
    of = Look(fields, "off", Fixed("n"))
    plan = make(Subject(WHO, HolderLabels()), of, of.families)
    names = {line.family for line in plan.gauges} | {line.family for line in plan.sums}
    assert not names & {"inferometer_gpu_busy_seconds_total", "inferometer_gpu_memory_bytes"}
    assert "inferometer_gpu_engine_active_seconds_total" in names
