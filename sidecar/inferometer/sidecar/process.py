"""What the sidecar asks of its own process before it serves: limits, memory, descriptors.

Each is a wish; where the system says no, the sidecar serves all the same.
"""

import contextlib
import ctypes
import gc
import os
import resource
from typing import Final

DESCRIPTORS_WANTED: Final = 1 << 20
TABLE_SIZE: Final = 16_384
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
MMAP_THRESHOLD_BYTES: Final = 4 << 20
TRIM_THRESHOLD_BYTES: Final = 32 << 20


def prepare() -> None:
    """Set the process up; call it once, before threads start."""
    _forbid_core_dumps()
    _raise_descriptor_limit()
    _grow_descriptor_table()
    _keep_memory()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _forbid_core_dumps() -> None:
    """Switch core dumps off: one would hold prompts and credentials."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _grow_descriptor_table() -> None:
    """Let the kernel's table of descriptors have its final size before there are threads.

    Its growth stalls a process with threads for 10 to 20 ms, at 256, 512, 1024, ... descriptors.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    last = (TABLE_SIZE if soft == resource.RLIM_INFINITY else min(TABLE_SIZE, soft)) - 1
    with contextlib.suppress(OSError):
        source = os.open("/", os.O_RDONLY)
        try:
            if last > source:
                os.dup2(source, last)
                os.close(last)
        finally:
            os.close(source)


def _keep_memory() -> None:
    """Keep glibc from mapping and unmapping memory for each read of a large body."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
