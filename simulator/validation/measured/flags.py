"""Rows of measured data that cannot be right, or are no measurement of their own: told in a column, never left out."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware import System
from simulator.mapping.target import rate_for, target
from simulator.validation.measured.operators import FORMATS, class_of, work_of
from simulator.validation.measured.schema import NUMBERS

if TYPE_CHECKING:
    import pandas as pd

NO_TIME = "no time"
PEAK = "above the peak rate"
MEMORY = "faster than memory"
LINKS = "faster than the links"
INCOMPLETE = "incomplete"
UNFIT = "could not have fitted"
COPY = "repeats another device"

BOOST = 1.1
"""How far a clock may lie above that of the data sheet's peak rate: of H100-SXM5, 1.98 over 1.83 GHz is 1.08."""
TOLERANCE = 1.05
"""How far a time may lie below a limit before the row is flagged: rounding, and the resolution of a timer."""
ALIKE = 1e-4
"""How close to a constant the ratios of two devices must be for rows to be copies; no two machines agree so far."""
LEAST = 5
"""Values that must differ among rows for that."""


def copies(rows: pd.DataFrame) -> pd.Series:
    """`COPY` of rows of a device that are those of one before it in the file, times a constant for each metric."""
    import pandas as pd

    flags = pd.Series("", index=rows.index)
    keys = [name for name in rows if name in (NUMBERS | _NAMES) - {"value"}]
    devices = list(dict.fromkeys(rows["device"]))
    for _, group in rows.groupby(["source", "metric"], sort=False):
        of = {device: mine.set_index(keys) for device, mine in group.assign(row=group.index).groupby("device")}
        unique = {device: of[device][~of[device].index.duplicated()] for device in devices if device in of}
        for one, other in combinations(unique, 2):
            both = unique[one][["value"]].rename(columns={"value": "first"}).join(unique[other], how="inner")
            if both["value"].nunique() >= LEAST and _constant((both["value"] / both["first"]).to_numpy(float)):
                flags[both["row"]] = COPY
    return flags


def beyond(rows: pd.DataFrame, seconds: pd.Series, system: System) -> pd.Series:
    """The limit of a machine that a measured operator would break: its peak rate, its memory, its links; '' of none.

    FLOPs take at least `flops / peak`, up to the boost of the clock. Of the bytes, those beyond what the on-chip cache
    holds cross the bus of memory: small operands may stay in it from call to call. A rank puts its payload on its links
    at least once where switches reduce, `(n - 1) / n` of it where they do not.
    """
    import pandas as pd

    flags = pd.Series("", index=rows.index)
    device, description = system.device()
    cache = sum(tier.capacity for tier in description.tiers.values() if tier.on_chip)
    for (kind, dtype), group in rows.groupby([rows["op"].map(class_of), rows["dtype"]], sort=False):
        measured = seconds[group.index]
        if kind == "collective":
            link = system.links.get(f"{device}->{device}")
            share = (1 - 1 / group["n_devices"]).mask(group["op"].str.startswith("all_reduce"), 1.0)
            if link:
                flags[group.index[group["bytes"] * share / link.bandwidth > TOLERANCE * measured]] = LINKS
        elif kind and dtype in FORMATS:
            group = group.assign(experts=group["top_k"]) if kind == "moe" else group  # tokens may choose alike
            work, runs_on = work_of(group, str(kind), str(dtype)), target(system)
            named = rate_for(runs_on.description.peak, FORMATS[dtype][0])
            if named:
                at_peak = work.flops / runs_on.description.peak[named]
                flags[group.index[at_peak > BOOST * measured.to_numpy(float)]] = PEAK
            outside = work.read + work.written - cache
            bandwidth = description.tiers[runs_on.memory].bandwidth
            flags[group.index[outside / bandwidth > TOLERANCE * measured.to_numpy(float)]] = MEMORY
    return flags


def impossible(runs: pd.DataFrame, least: pd.Series, fits: pd.Series) -> pd.Series:
    """What is wrong with measured runs, by the seconds that a machine takes at `least`, and whether they could fit.

    A prompt, or a whole request, in less than its plain roofline was not computed, and nothing else holds that was
    measured of that prompt and batch; a decode step in less reads its weights faster than memory gives them.
    """
    import pandas as pd

    flags = pd.Series("", index=runs.index).mask(~fits, UNFIT)
    too_fast = least / runs["mapping.pipeline"] > TOLERANCE * runs["measured"]  # all stages may be busy at once
    step = runs["workload.phase"] == "decode"
    run = runs[_RUN].astype(str).apply(tuple, axis=1)
    return flags.mask(too_fast & step, MEMORY).mask(run.isin(run[too_fast & ~step]), INCOMPLETE)


def _constant(ratios: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    return bool(np.ptp(ratios) <= ALIKE * abs(np.median(ratios)))


_RUN = [
    "source", "device", "engine", "version", "model", "sized.devices", "mapping.tensor", "mapping.pipeline",
    "mapping.dtype", "mapping.kv", "workload.batch", "workload.input",
]  # fmt: skip
_NAMES = {"op", "dtype", "kv_dtype", "model", "engine", "version", "phase", "unit", "kernel", "distribution"}
