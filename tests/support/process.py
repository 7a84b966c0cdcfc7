"""What the kernel says of a process: memory, descriptors, threads. Linux only."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Tell whether a process runs: not one that has ended and waits to be asked how."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _status_kib(pid: int, key: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


def rss_bytes(pid: int) -> int:
    """Return the resident set now."""
    return _status_kib(pid, "VmRSS") * 1024


def rss_peak_bytes(pid: int) -> int:
    """Return the largest resident set since the start or the last `forget_rss_peak`."""
    return _status_kib(pid, "VmHWM") * 1024


def forget_rss_peak(pid: int) -> None:
    """Begin a new peak at the present resident set."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> int:
    """Return how many file descriptors are open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """Return how many threads there are."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def core_limit(pid: int) -> str:
    """Return the soft limit of core dumps, as the kernel writes it."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("Max core file size"))
    return line.split()[4]
