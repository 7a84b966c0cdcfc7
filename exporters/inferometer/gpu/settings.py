"""What a user may set of the GPU exporter; the text below each field is what `--help` says."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from inferometer.settings import Address, parse_address

Backend = Literal["auto", "nvml", "dcgm", "amd", "tpu", "fake"]

_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9._\[\]:-]{1,300}(/[\x21-\x7e]*)?")

AUTO: Final = ("nvml", "amd", "tpu")
"""What `auto` tries: never DCGM's host engine, which somebody has to want."""


def parse_endpoint(text: str) -> str:
    """Read the address of an OTLP receiver. Raises ValueError(what it must be, a hint)."""
    if not _ENDPOINT.fullmatch(text):
        expected, hint = "http://HOST:PORT or https://HOST:PORT", "the path is added"
        raise ValueError(expected, hint)
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of `inferometer gpu-exporter`; `record FILE`, `podmap FILE` after it have theirs."""

    listen: Address = field(
        default=Address(host="0.0.0.0", port=9400),  # noqa: S104  (scrapers are elsewhere)
        metadata={"parse": parse_address, "group": "what is shown"},
    )
    """Where `/metrics`, `/healthz`, `/readyz` and a short page at `/` answer: `HOST:PORT`. The port
    is that of dcgm-exporter."""

    list: bool = False
    """Print what each device can and cannot tell, with the reason, and end."""

    fields: Path | None = field(default=None, metadata={"reload": True})
    """Which of DCGM's families are shown: a CSV file of dcgm-exporter as it is (`NAME, type,
    help`), or a YAML list (`.yaml`) of `+NAME` and `-NAME` that changes the default."""

    dcgm_names: Literal["classic", "classic-lower", "renamed", "both", "off"] = field(
        default="classic", metadata={"reload": True}
    )
    """Names of DCGM's families: `classic` with the label `Hostname`, `classic-lower` with
    `hostname` (dcgm-exporter from 4.8.2 on), `renamed` (DCGM 4.6), `both` for a migration, or
    `off` for families of our own only."""

    serial: bool = field(default=False, metadata={"reload": True})
    """Show the serial number of a device, in place of its VBIOS version, in
    `inferometer_gpu_info`."""

    hostname: str = ""
    """The name of the node, as a label. If empty, NODE_NAME from the environment is taken, else
    the host's own name, but in a Kubernetes pod never the pod's."""

    web_config: Path | None = None
    """TLS and basic authentication, in the format of Prometheus' exporter-toolkit."""

    backend: tuple[Backend, ...] = field(
        default=("auto",), metadata={"group": "where it comes from"}
    )
    """What is asked: `auto` takes `nvml`, `amd` and `tpu`, whichever are there; `dcgm` a host
    engine that runs already; `fake` a machine of eight GPUs with faults on a script. May be given
    several times."""

    tick_s: float = field(default=1.0, metadata={"minimum": 0.2, "maximum": 60.0})
    """How often devices are sampled, and pages made. A scrape asks no device, so it may be as
    frequent as you like."""

    slow_s: float = field(default=30.0, metadata={"minimum": 1.0, "maximum": 3600.0})
    """How often what hardly changes is sampled: ECC errors, limits, links, MIG instances."""

    require_gpu: bool = False
    """End with exit code 3 if no backend has run within five minutes: where a driver is
    installed late, only a new container can see it."""

    nvml_library: Path | None = None
    """The driver's library, where it is not on the usual path: `libnvidia-ml.so.1`."""

    kernel_log: Path | None = None
    """The kernel's log, `/dev/kmsg`, for XIDs from before we started and for GPUs that fell off the
    bus without one. Reading it needs CAP_SYSLOG."""

    dcgm_address: str = "localhost:5555"
    """Where DCGM's host engine listens: `HOST:PORT` or `unix:/PATH`. None is started."""

    dcgm_bindings: Path | None = None
    """The folder of DCGM's Python bindings, where it is not one of the usual two."""

    tpu_addresses: tuple[str, ...] = ("localhost:8431",)
    """Where the TPU runtime of a workload answers, inside of its pod."""

    scenario: Path | None = None
    """The machine of `--backend fake` and its faults, in YAML."""

    processes: bool = field(default=True, metadata={"group": "whose it is"})
    """Look at the processes on a device: to tell how pods share it, where there is a map of pods
    and our process sees those of the host (hostPID), and to show them where the list of fields
    has families of processes."""

    graphics_processes: bool = False
    """Look for graphics processes, too: up to 5 ms a call, and servers have none."""

    podmap: Path | None = None
    """The map from devices to pods, as `inferometer gpu-exporter podmap FILE` writes it in another
    container, which alone may ask the kubelet."""

    kubelet_socket: Path | None = None
    """Ask the kubelet from this very process, as root: its socket `kubelet.sock` below
    pod-resources."""

    log_root: Path = Path("/var/log/pods")
    """Folder of the pods' logs, whose names tell what a pod is called. Nothing in it is read."""

    proc_root: Path = Path("/proc")
    """Where processes are looked up."""

    idle_power: Literal["idle", "holders"] = "idle"
    """Who is told to use the power that a device draws without work: nobody, or the containers
    that hold it, in equal parts."""

    hpc_job_mapping_dir: Path | None = None
    """Folder with a file per device, named after its index, that lists batch jobs. If not set,
    DCGM_HPC_JOB_MAPPING_DIR is taken."""

    otlp_endpoint: str = field(default="", metadata={"group": "push", "parse": parse_endpoint})
    """Push to this OTLP receiver, too: `http://HOST:4318`. Needs the extra `otlp`."""

    otlp_period_s: float = field(default=15.0, metadata={"minimum": 10.0, "maximum": 3600.0})
    """How often it is pushed."""

    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info", metadata={"reload": True, "group": "logs"}
    )
    """Nothing is logged per scrape above `debug`."""

    log_form: Literal["text", "json"] = "text"
    """How log lines are written to standard error."""
