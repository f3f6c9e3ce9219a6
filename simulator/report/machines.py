"""The machines that ship, a line each: what lists and the page of hardware show."""

from __future__ import annotations

from typing import Any

from simulator import data
from simulator.config.choose import check_name
from simulator.files import remembered
from simulator.hardware.system import System, load_system
from simulator.mapping.target import default_engine
from simulator.units import show

HEAD = """\
# Hardware

<!-- Made by `tiersim list hardware --page docs/hardware.md`: edit `hwconfigs/` and not this page. -->

`--hardware NAME` takes a machine by its name. `tiersim show NAME` has every figure with its source, `tiersim diff A B`
two of them side by side, `tiersim list hardware --tier hbm --vendor amd` those of a vendor with a kind of memory. Peak
(dense, in bf16 where there is one), bandwidth and capacity of the main memory are those of one device; the
[parts](files.md#extends-and-overrides) that machines share stand in `hwconfigs/parts/`.
"""
WIDE = ("bf16", "fp16", "tf32", "fp32")
"""Formats whose peak rate a list shows, the first that an engine has."""


def machines(tier: str | None = None, vendor: str | None = None) -> list[dict[str, Any]]:
    """The machines that ship, as `summary` has them; those with a tier of a kind, or of a vendor.

    Raises:
        ConfigError: a kind or a vendor that none has; with the nearest.
    """
    rows = _shipped()
    if tier is not None:
        check_name(tier, sorted({each["kind"] for row in rows for each in row["tiers"]}), "--tier")
    if vendor is not None:
        check_name(vendor, sorted({row["vendor"] for row in rows if row["vendor"]}), "--vendor")
    return [
        row
        for row in rows
        if (tier is None or any(each["kind"] == tier for each in row["tiers"])) and vendor in (None, row["vendor"])
    ]


@remembered(1)
def _shipped() -> list[dict[str, Any]]:
    return [summary(load_system(name)) | {"name": name} for name in data.names("hwconfigs")]


def summary(system: System) -> dict[str, Any]:
    """What a machine is: of its first device that computes, the peak rate and the main memory, and all its tiers."""
    machine = system.machine
    name, device = next((pair for pair in machine.devices.items() if pair[1].engines), system.device())
    engine = device.engines.get(default_engine(device.engines, WIDE[0])) if device.engines else None
    dtype = next((each for each in (*WIDE, *engine.peak) if each in engine.peak), None) if engine else None
    memory = device.tiers.get(device.main_memory(engine) or "") if engine else None
    return {
        "name": system.name,
        "description": machine.description,
        "vendor": machine.vendor,
        "year": machine.year,
        "devices": system.count(name),
        "tiers": [
            {"name": full, "kind": tier.kind, "capacity_bytes": tier.capacity} for full, tier in system.tiers.items()
        ],
        "dtype": dtype,
        "peak_flop_per_s": engine.peak[dtype] if engine and dtype else None,
        "capacity_bytes": memory.capacity if memory else None,
        "bandwidth_bytes_per_s": memory.bandwidth if memory else None,
        "file": str(system.config.file),
    }


def cells(row: dict[str, Any]) -> dict[str, str]:
    """A machine as a reader sees it: the columns of lists."""
    kinds = dict.fromkeys(tier["kind"] for tier in row["tiers"])
    peak = show(row["peak_flop_per_s"], "FLOP/s") if row["dtype"] else ""
    return {
        "name": row["name"],
        "vendor": row["vendor"] or "",
        "year": str(row["year"] or ""),
        "devices": f"{row['devices']:,}",
        "tiers": " ".join(kinds),
        "peak": f"{peak} {row['dtype'] or ''}".strip(),
        "bandwidth": show(row["bandwidth_bytes_per_s"], "B/s") if row["bandwidth_bytes_per_s"] else "",
        "capacity": show(row["capacity_bytes"], "B") if row["capacity_bytes"] else "",
        "description": row["description"],
    }


def page() -> str:
    """The page of hardware as Markdown: a table of the machines of each vendor."""
    rows = machines()
    lines = [HEAD]
    for vendor in sorted({row["vendor"] or "" for row in rows}):
        of_vendor = [cells(row) for row in rows if (row["vendor"] or "") == vendor]
        columns = [column for column in of_vendor[0] if column != "vendor"]
        lines += [f"## {vendor or 'others'}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        ordered = sorted(of_vendor, key=lambda row: (row["year"], row["name"]))
        lines += [f"| `{row['name']}` | {' | '.join(row[key] for key in columns[1:])} |" for row in ordered]
        lines.append("")
    return "\n".join(lines)
