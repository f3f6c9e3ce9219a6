"""Measured operators on the kernels of a GPU: which rows a kernel has a model of, and what it takes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.gpu.calibration import constants, known_of, times
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.kernel import bound_by
from simulator.mapping.gpu.kernels import KERNELS
from simulator.mapping.runtime.form import IDEAL, load_runtime
from simulator.validation.measured.aliases import program
from simulator.validation.measured.operators import activated, class_of

if TYPE_CHECKING:
    import pandas as pd


def kernel_times(rows: pd.DataFrame, system: System, runtime: str | None = None) -> pd.DataFrame:
    """Times of operators by the models of GPU kernels: `time_s`, `bound_by`, `expected_error`; missing where none is.

    The constants are those that count under the runtime, or under the program of a row's engine (`known_of`). Only
    those that were fitted to the chip under it have an error that is expected.
    """
    import pandas as pd

    answer = pd.DataFrame({"time_s": np.nan, "bound_by": "", "expected_error": np.nan}, index=rows.index)
    if not any(engine.chip for engine in system.engines.values()):
        return answer
    chip = chip_of(system)
    engines = rows["engine"] if "engine" in rows else pd.Series("", rows.index)
    programs = engines.map(lambda engine: runtime or program(engine) or "")
    for name, group in rows.groupby(programs, sort=False):
        known = known_of(system, None, load_runtime(str(name) or IDEAL))
        for (kernel_name, variant), alike in kernel_rows(group, None):
            kernel = KERNELS[kernel_name]
            shapes, of = columns(alike), constants(kernel, variant, known)
            try:
                seconds = times(kernel, shapes, chip, {variant: of})
                bound = bound_by(kernel, shapes, chip, of.library)
            except ConfigError:  # a format that the chip does not compute in, a link that it lacks: the roofline tells
                continue
            answer.loc[alike.index, ["time_s", "expected_error"]] = np.stack(
                [
                    np.broadcast_to(seconds, len(alike)),
                    np.full(len(alike), of.errors.median if of.origin in known.own and of.errors else np.nan),
                ],
                axis=1,
            )
            answer.loc[alike.index, "bound_by"] = bound
    return answer


def kernel_rows(table: pd.DataFrame, only: Collection[str] | None) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of each class and variant that has a model."""
    import pandas as pd

    groups: list[tuple[tuple[str, str], pd.DataFrame]] = []
    named: Any = table["op"].map({op: class_of(op) for op in table["op"].unique()})
    for name, rows in table[named.ne("")].groupby(named[named.ne("")], sort=True):
        own = rows if only is None or name in only else rows[rows["op"].isin(only)]
        kernel = KERNELS[str(name)]
        own = own.dropna(subset=[*kernel.shape])
        if len(own):
            reached = activated(own)
            own = own.assign(active=reached, rows=own["m"] * own["top_k"]) if reached.notna().all() else own
            variants = pd.Series(np.ravel(kernel.variant(columns(own))), index=own.index)
            groups += [((kernel.name, str(variant)), each) for variant, each in own.groupby(variants, sort=True)]
    return groups


def columns(rows: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table as arrays, those left out that state nothing."""
    return {str(name): rows[name].to_numpy() for name in rows if rows[name].notna().any()}
