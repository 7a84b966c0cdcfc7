"""What a figure was measured on."""

import datetime as dt
import os
import platform
from pathlib import Path

from benchmarks.processes import Cores


def describe(cores: Cores) -> str:
    """Return one line: date, processor, cores used, memory, kernel, Python, how busy it was."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    busy = os.getloadavg()[0]
    ahead = "; with precedence over the other work of the machine" if cores.ahead else ""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return (
        f"({today}; {model}, {os.cpu_count()} cores, proxy on {cores.proxy}, the rest on "
        f"{cores.rest}; {memory_gb:.0f} GB; Linux {platform.release().split('-')[0]}; Python "
        f"{platform.python_version()}; load average at the end {busy:.1f}{ahead})"
    )
