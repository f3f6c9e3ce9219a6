"""What the operating system says of the machine at hand: its processor, cores, caches and memory."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from pathlib import Path

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The name of the processor, and its cores: `AMD EPYC, 2 cores`."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        line = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        name = line[1].strip() if line else name
    return f"{name}, {cores()} cores"


def capacities() -> dict[str, tuple[int, str]]:
    """Bytes of each memory, inner caches first (`l1`, `l2`, ..., `dram`), and where that is said."""
    held = caches(CACHES)
    with suppress(ValueError, OSError, AttributeError):
        held["dram"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "sysconf: pages of memory"
    return held


def caches(folder: Path) -> dict[str, tuple[int, str]]:
    """The caches of a core that hold data, as Linux lists them in a folder; none where it lists none."""
    sizes: dict[str, tuple[int, str]] = {}
    for index in sorted(folder.glob("index*")):
        with suppress(OSError, KeyError):
            about = {name: (index / name).read_text().strip() for name in ("type", "level", "size")}
            size = _bytes(about["size"])
            if size and about["type"] in ("Data", "Unified"):
                sizes[f"l{about['level']}"] = size, str(index / "size")
    return dict(sorted(sizes.items()))


def _bytes(text: str) -> int:
    """Bytes of `1024K`; 0 of what is no size."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]] if match else 0
