"""Batch jobs of a cluster on each device, from the files that a scheduler's prolog writes.

Slurm and others put a file for each device into a folder, named after its index (`3`) or index and
MIG instance (`3.1`), with a job's id on each line, and remove it when the jobs end. One job is a
label of the device's series. Several are not, since each would then show all of the device; they
are told by `inferometer_gpu_hpc_job_info` alone.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

FILES_MAX: Final = 256
JOBS_MAX: Final = 16
JOB_CHARS_MAX: Final = 128
BYTES_MAX: Final = 16 << 10

_NAME: Final = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,4}))?", re.ASCII)


class Place(NamedTuple):
    """A device by its index (`device`), or one of its MIG instances by its number."""

    device: int
    instance: int | None = None


Jobs = Mapping[Place, tuple[str, ...]]
"""Ids of jobs by where they run."""


def read(folder: Path) -> Jobs:
    """Return the jobs of all devices; a file that cannot be read is as one that is not there.

    Raises OSError if the folder itself cannot be read.
    """
    found: dict[Place, tuple[str, ...]] = {}
    with os.scandir(folder) as entries:
        for _, entry in zip(range(FILES_MAX), entries, strict=False):
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            with suppress(OSError):
                jobs = _jobs(Path(entry.path))
                if jobs:
                    instance = None if match[2] is None else int(match[2])
                    found[Place(int(match[1]), instance)] = jobs
    return found


def one(jobs: Jobs, place: Place) -> str:
    """Return the only job of a device or instance, "" for none or several."""
    there = jobs.get(place, ())
    return there[0] if len(there) == 1 else ""


def _jobs(path: Path) -> tuple[str, ...]:
    # A fifo or device in that folder must not hold us up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(BYTES_MAX).decode("utf-8", "replace")
    lines = (line.strip() for line in text.splitlines())
    ids = [line for line in lines if line and line.isprintable() and len(line) <= JOB_CHARS_MAX]
    return tuple(dict.fromkeys(ids))[:JOBS_MAX]
