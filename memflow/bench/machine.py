"""What the operating system knows: CPU time and memory of processes, and which machine this is.

From /proc where there is one. Elsewhere, as on macOS, what cannot be known is None and is shown as "unknown".
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PROC = Path("/proc")
LIBRARIES = ("memflow", "asyncpg", "pydantic", "uvloop")


def peak_memory_mb() -> float:
    """The largest resident memory that this process ever had."""
    try:
        for line in (PROC / "self" / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024           # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1024 * 1024)


def cpu_seconds_of_tree(pid: int) -> float | None:
    """User and system time of a process, of its children, and of those that ended. None where it cannot be known."""
    own = _cpu_seconds(pid)
    if own is None:
        return None
    return own + sum(cpu_seconds_of_tree(child) or 0.0 for child in _children(pid))


def busy_seconds() -> float | None:
    """CPU time that this machine has spent on anything. None where it cannot be known."""
    try:
        user, nice, system, _idle, _waiting, interrupt, soft, stolen = (
            int(ticks) for ticks in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
        )
    except (OSError, ValueError):
        return None
    return (user + nice + system + interrupt + soft + stolen) / os.sysconf("SC_CLK_TCK")


def postgres_of_backend(pid: int, *, database: str) -> int | None:
    """The process id of the Postgres whose backend `pid` serves `database`, if both run on this machine.

    A backend of another machine, or of a container with process numbers of its own, may have the number of any process
    here: so the title must be that of a Postgres at work on this database.
    """
    try:
        title = (PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace")
        if not title.startswith("postgres:") or f" {database} " not in f"{title} ":
            return None
        parent = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        return parent if (PROC / str(parent) / "comm").read_text().startswith(("postgres", "postmaster")) else None
    except (OSError, ValueError, IndexError):
        return None


def facts() -> dict[str, Any]:
    """This machine, for a report."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_seconds(pid: int) -> float | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")    # utime, stime, cutime, cstime


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in (PROC / str(pid) / "task").glob("*/children"):
        try:
            found.extend(int(child) for child in path.read_text().split())
        except OSError:
            continue                                         # a thread that has just ended
    return found
