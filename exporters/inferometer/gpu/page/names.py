"""Under which names and labels DCGM's families are shown: the switch between old and new ones.

dcgm-exporter has had three generations of them, and dashboards exist for each. A name or label
changes only by this switch; values are the same under all of them.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from inferometer.gpu.page.fields import Field, Fields
from inferometer.gpu.page.page import Labels
from inferometer.gpu.sample import Identity, Instance
from inferometer.metrics.dcgm import DcgmFamily
from inferometer.metrics.metric import Kind

Names = Literal["classic", "classic-lower", "renamed", "both", "off"]

VENDOR_NODES = {"nvidia": "nvidia", "amd": "card", "google": "accel"}
"""How device nodes of a vendor begin."""


class Named(NamedTuple):
    """A family as it is shown. `lower` says that its label is `hostname`, not `Hostname`."""

    name: str
    family: DcgmFamily
    lower: bool
    kind: Kind
    help: str


def named(fields: Fields, names: Names) -> tuple[Named, ...]:
    """Return the families of a list under the names that are wanted, each name once."""
    found = (one for field in fields.chosen for one in _named(field, names))
    return tuple({one.name: one for one in reversed(tuple(found))}.values())[::-1]


def _named(field: Field, names: Names) -> Iterator[Named]:
    family = field.family
    if names in ("classic", "classic-lower", "both"):
        lower = names == "classic-lower"
        yield Named(family.classic, family, lower, field.kind, field.help)
    if names == "renamed" or (names == "both" and family.renamed != family.classic):
        yield Named(family.renamed, family, True, field.kind, field.help)  # noqa: FBT003


class HolderLabels(NamedTuple):
    """Whose a device or instance is, as labels; "" where it is nobody's, or several have it."""

    namespace: str = ""
    pod: str = ""
    container: str = ""
    hpc_job: str = ""


class Fixed(NamedTuple):
    """What is the same for all devices: the name of the node, and facts that are asked for."""

    hostname: str
    facts: tuple[tuple[str, str], ...] = ()


def device_node(identity: Identity) -> str:
    """Return what the device is called in /dev."""
    node = VENDOR_NODES.get(identity.vendor, identity.vendor)
    return f"{node}{identity.index if identity.minor is None else identity.minor}"


def dcgm_labels(
    identity: Identity,
    instance: Instance | None,
    owners: HolderLabels,
    *,
    fixed: Fixed,
    lower: bool,
) -> Labels:
    """Return the labels of DCGM's families: at most 12, facts that were asked for last."""
    pairs = [
        ("gpu", str(identity.index)),
        ("UUID", identity.uuid),
        ("pci_bus_id", identity.pci_bus_id),
        ("device", device_node(identity)),
        ("modelName", identity.model),
        ("hostname" if lower else "Hostname", fixed.hostname),
    ]
    if instance is not None:
        pairs += [("GPU_I_PROFILE", instance.profile), ("GPU_I_ID", str(instance.gpu_instance))]
    pairs += [
        ("container", owners.container),
        ("namespace", owners.namespace),
        ("pod", owners.pod),
        ("hpc_job", owners.hpc_job),
    ]
    for name, attribute in fixed.facts:
        fact = getattr(identity, attribute)
        pairs.append((name, "" if fact is None else str(fact)))
    return Labels(pairs)


def own_labels(identity: Identity) -> Labels:
    """Return the labels of families of our own."""
    return Labels((("gpu", str(identity.index)), ("UUID", identity.uuid)))


def info_labels(identity: Identity, hostname: str, *, serial: bool) -> Labels:
    """Return the labels of `inferometer_gpu_info`."""
    last = ("serial", identity.serial) if serial else ("vbios_version", identity.vbios_version)
    return Labels(
        (
            ("gpu", str(identity.index)),
            ("UUID", identity.uuid),
            ("hostname", hostname),
            ("device", device_node(identity)),
            ("pci_bus_id", identity.pci_bus_id),
            ("model_name", identity.model),
            ("vendor", identity.vendor),
            ("architecture", identity.architecture),
            ("driver_version", identity.driver_version),
            last,
            ("busy_source", identity.busy_source),
            ("energy_source", identity.energy_source),
        )
    )
