"""Which measured rows tell of a machine's kernels under one program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.errors import ConfigError, one_of
from simulator.hardware import load_system
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.validation.measured.aliases import meant, named

if TYPE_CHECKING:
    import pandas as pd


def _means(device: str, machine: str, chip: Chip) -> bool:
    """Whether measured data mean a machine by the name of a device: it, or one of the same chip."""
    name = meant(device, "hwconfigs")
    if name is None or name == machine:
        return name is not None
    other = load_system(name)
    return any(each.chip is not None for each in other.engines.values()) and chip_of(other) == chip


def usable(
    table: pd.DataFrame, machine: str, chip: Chip, runtime: str | None
) -> tuple[pd.DataFrame, dict[str, int], str | None]:
    """Rows of operators in seconds, of the machine and the program; how many others there were; the version."""
    if "op" not in table:
        raise ConfigError("data", found="runs from end to end", expected="measured operators")
    devices = [str(device) for device in table["device"].unique()]
    own = table["device"].isin([device for device in devices if _means(device, machine, chip)])
    if not own.any():
        expected = f"rows of {machine}: of a device of its chip, by the 'aliases' of a machine"
        raise ConfigError("data of another device", path="device", found=one_of(devices), expected=expected)
    skipped = {"another device": int((~own).sum())}
    table = table[own]
    timed = (table["metric"] == "latency") & (table["value"] > 0)
    skipped["no time"] = int((~timed).sum())
    table = table[timed]
    version = None
    if "engine" in table:
        engines = table["engine"].fillna("").astype(str)
        if runtime is not None:
            fits = engines.map(named) == named(runtime)
            if not fits.any():
                expected = one_of(sorted(engines.unique()))
                raise ConfigError(path="runtime", found=f"'{runtime}'", expected=f"a program of the data: {expected}")
            skipped["another program"] = int((~fits).sum())
            table = table[fits]
        elif engines.nunique() > 1:
            expected = f"--runtime, one of {', '.join(sorted(engines.unique()))}: each is fitted by itself"
            raise ConfigError(path="runtime", found="several programs in the data", expected=expected)
        if "version" in table:
            version = " ".join(sorted(map(str, table["version"].dropna().unique()))) or None
    return table, {reason: count for reason, count in skipped.items() if count}, version
