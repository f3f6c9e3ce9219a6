"""How the columns of a sweep are called in print, and in which units their values stand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.report import names
from simulator.units import TABLE, parse, show

Units = Mapping[str, str]
"""The SI unit of a column, by name."""

_METRICS = {
    "op_per_byte": "operations per byte",
    "energy_per_token_j": "energy a token",
    "e2e_s": "E2E latency",
    "area_m2": "die area",
    "needed_bytes": "memory needed",
    "capacity_bytes": "memory capacity",
    "workload.input": "input tokens",
    "workload.output": "output tokens",
    "workload.rate": "requests a second",
    "workload.trace.sessions.turns": "turns of a session",
}
_SUFFIXES = {
    "s": "s", "j": "J", "w": "W", "m2": "m^2", "usd": "USD", "bytes": "B", "hz": "Hz",
    "flops": "FLOP/s", "per_byte": "FLOP/B",
}  # fmt: skip
"""SI units as names of metrics end in them."""
_STATED = {
    "mm2": "mm^2", "ms": "ms", "us": "us", "ns": "ns", "kb": "kB", "mb": "MB", "gb": "GB", "tb": "TB", "kib": "KiB",
    "mib": "MiB", "gib": "GiB", "tib": "TiB", "mj": "mJ", "kw": "kW", "ghz": "GHz", "mhz": "MHz",
    "gb_per_s": "GB/s", "tb_per_s": "TB/s", "tflops": "TFLOP/s", "percent": "%",
}  # fmt: skip
"""Units that a derived value may end in: its values stand in them already."""
_COUNTED = {"bytes": "B", "flop": "FLOP", "flops": "FLOP"}
_KEYS = {
    "bandwidth": "B/s", "capacity": "B", "reserved": "B", "latency": "s", "overhead": "s", "command": "s",
    "static_power": "W", "energy": "J/B", "energy_per_flop": "J/FLOP", "clock": "Hz", "area": "m^2", "switch": "s",
}  # fmt: skip
"""SI units of the figures of a machine, by how their last key ends."""
_ACRONYMS = {
    "hbm", "ddr", "sram", "dram", "vram", "cxl", "gpu", "cpu", "npu", "xpu", "pim", "rdu", "tsv", "kv", "phy", "ttft",
    "tbt", "tpot", "itl", "e2e", "edap", "slo",
    "fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8", "int4",
}  # fmt: skip
_ROOTS = ("hardware", "model", "workload", "mapping")


@dataclass(frozen=True)
class Scale:
    """What a column is called, the unit that its values are printed in, and what one of it is worth in theirs."""

    name: str
    unit: str = ""
    worth: float = 1.0

    @property
    def label(self) -> str:
        """`HBM bandwidth (GB/s)`."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values in the unit of print."""
        return np.asarray(values, dtype=np.float64) / self.worth


def is_axis(column: str) -> bool:
    """Whether a column is a path of a config: `model`, `workload.batch`."""
    return column.partition(".")[0] in _ROOTS


def short(column: str, whole: bool = False) -> str:
    """`hardware.devices.gpu.tiers.hbm.bandwidth` is HBM bandwidth, `tbt_s` TBT; `whole`: with its device."""
    if column in _METRICS:
        return _METRICS[column]
    root, dot, rest = column.partition(".")
    if root not in _ROOTS:
        return _words(_unit_of(column)[0])
    if not dot:
        return root
    return _figure(rest, whole) if root == "hardware" else _words(rest)


def shorts(columns: Iterable[str]) -> dict[str, str]:
    """Short names, with the device where two would be called the same, and in full where they still are."""
    names = {column: short(column) for column in columns}
    for longer in (lambda column: short(column, whole=True), str):
        counts = Counter(names.values())
        names = {column: name if counts[name] == 1 else longer(column) for column, name in names.items()}
    return names


def scale(column: str, values: ArrayLike = (), units: Units | None = None, name: str | None = None) -> Scale:
    """The scale that prints these values of a column in at most four digits before the point, and few behind it."""
    name = name or short(column)
    unit = (units or {}).get(column, "")
    unit = _unit_of(column)[1] if unit in _COUNTS else unit
    numbers = np.abs(np.asarray(values, dtype=np.float64))
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not unit or unit not in _SI:
        return Scale(name, _printed(unit))
    if not numbers.size:
        numbers = np.ones(1)
    binary = next((b for b in _BINARY if unit == "B" and not np.any(numbers % parse(f"1 {b}", "B"))), None)
    if binary:
        return Scale(name, binary, parse(f"1 {binary}", "B"))
    shown, worth = "", 1.0
    for value in (np.quantile(numbers, 0.05, method="lower"), np.median(numbers), numbers.max()):
        shown = show(float(value), unit).partition(" ")[2]
        worth = parse(f"1 {shown}", unit)
        if numbers.max() / worth < 9999.5:
            break
    return Scale(name, _printed(shown), worth)


def value(column: str, one: Any, units: Units | None = None) -> str:
    """One value of a column for a reader: `2.04 TB/s`, `64`, `Llama-3.1-8B`, of `bound_by` the tier or engine."""
    if isinstance(one, str):
        last = column.rpartition(".")[2]
        if last in ("model", "hardware"):
            name = PurePath(one).stem if "/" in one else one
            return names.model(name) if last == "model" else names.machine(name)
        return resource(one) if column == "bound_by" else one
    if isinstance(one, bool | np.bool_):
        return "yes" if one else "no"
    if one is None or one != one:
        return "none"
    of = scale(column, [one], units)
    return f"{number(float(of([one])[0]))} {of.unit}".rstrip()


def number(one: float, digits: int = 3) -> str:
    """A few digits, all of a whole number below 100,000; no exponent from a thousandth to a million."""
    rounded = float(f"{one:.{digits}g}")
    if abs(one) < 1e5 and one == round(one):
        rounded = one
    if abs(rounded) >= 1e6 or 0 < abs(rounded) < 1e-3:
        return f"{rounded:.{digits}g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{rounded:,.10g}"


def resource(name: str) -> str:
    """`gpu.hbm` is HBM, a port `gpu.hbm->gpu.gpu` HBM to GPU, a link `gpu->gpu` GPU to GPU; `latency` stays."""
    if is_axis(name) and "." in name:
        return short(name)
    ends = [_part(end.partition(" (")[0].rpartition(".")[2]) for end in name.split("->")]
    inside = re.search(r"\((.+)\)", name)
    return " to ".join(ends) + (f" {inside[1]}" if inside else "")


# --- names


def _figure(path: str, whole: bool) -> str:
    """A figure of a machine, by its path behind `hardware.`."""
    device = re.match(r"devices\.([^.]+)\.", path)
    rest = path[device.end() :] if device else path
    prefix = [_part(device[1])] if device and whole else []
    link = re.match(r"links\.(.+)\.([^.]+)$", rest)
    if link:
        ends = [".".join(map(_part, end.split("."))) for end in re.split(r"<->|->", link[1])]
        return " ".join([*prefix, "-".join(ends), _words(link[2])])
    part = re.match(r"(?:tiers|engines)\.([^.]+)\.", rest)
    if not part:
        return " ".join([_part(device[1]) if device else "", _words(rest)]).strip()
    rest = rest[part.end() :]
    own = _part(part[1])
    read = re.match(r"reads\.([^.]+)\.", rest)
    if read:
        own, rest = f"{_part(read[1])}-to-{own}", rest[read.end() :]
    peak = re.fullmatch(r"peak\.(\w+)", rest)
    what = f"{peak[1].upper()} peak" if peak else _words(rest.removeprefix(f"{part[1]}."))
    prefix = [word for word in prefix if word != own]
    return " ".join([*prefix, own, what])


def _part(name: str) -> str:
    """The name of a tier, engine or device."""
    return names.machine(name) if len(name) <= 3 else "-".join(map(_word, name.split("-")))


def _words(keys: str) -> str:
    return " ".join(map(_word, re.split(r"[._]", keys)))


def _word(word: str) -> str:
    return word.upper() if word in _ACRONYMS else word


# --- units

_SI = {unit for unit, _ in TABLE.values()} - {"1"}
_COUNTS = ("", "1", "1/s")  # which say nothing of what is counted
_BINARY = ("TiB", "GiB", "MiB")


def _unit_of(column: str) -> tuple[str, str]:
    """The name of a column less its unit, and the unit; it is none of SI where the values stand in it already."""
    last = column.rpartition(".")[2]
    if is_axis(column):
        if re.search(r"\.peak\.\w+$", column):
            return column, "FLOP/s"
        fitting = [key for key in _KEYS if last == key or last.endswith(f"_{key}")]
        return column, _KEYS[max(fitting, key=len)] if fitting and column.startswith("hardware.") else ""
    for ends in (_STATED, _SUFFIXES):
        for end in sorted(ends, key=len, reverse=True):
            name = column.removesuffix(f"_{end}")
            if name != column and not name.endswith("_per"):
                return name, ends[end]
    what, *each = column.split("_per_")
    if not each:
        return column, ""
    counted = what.rpartition("_")[2]
    if each == ["s"] and counted in _COUNTED:
        return what.removesuffix(f"_{counted}"), f"{_COUNTED[counted]}/s"
    name = "throughput" if (what, each[0]) == ("tokens", "s") else what
    return name, "/".join([counted, *(_SUFFIXES.get(one, one) for one in each)])


def _printed(unit: str) -> str:
    """As it is printed: `mm^2` with a raised 2, `us` with its Greek letter."""
    return unit.replace("^2", "\u00b2").replace("us", "\u00b5s")
