"""Fit the constants of GPU kernels to measurements of one device, and tell how well they do on what is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import ConfigError, one_of
from simulator.hardware import load_system
from simulator.mapping.gpu.calibration import (
    Calibration,
    Constants,
    Errors,
    Fitted,
    Known,
    constants,
    load_calibration,
    times,
)
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.kernel import GpuKernel
from simulator.mapping.gpu.kernels import KERNELS
from simulator.mapping.gpu.residuals import Residuals, corrected, residuals_of
from simulator.provenance import Provenance
from simulator.validation.calibration.calibrated import Calibrated
from simulator.validation.calibration.fit import Fit, fit_kernel
from simulator.validation.calibration.usable import usable
from simulator.validation.measured.errors import errors_between
from simulator.validation.measured.held_out import Groups, held_out
from simulator.validation.measured.kernel_times import columns, kernel_rows
from simulator.validation.measured.reader import read_measured

if TYPE_CHECKING:
    import pandas as pd


def calibrate(
    hardware: str | Path,
    data: str | Path | pd.DataFrame | Sequence[str | Path],
    *,
    runtime: str | None = None,
    rows: int = 2000,
    residuals: int = 0,
    share: float = 0.5,
    by: Sequence[str] | None = None,
    seed: int = 0,
    start: str | Path | None = None,
    free: Collection[str] | None = None,
    only: Collection[str] | None = None,
    skip_bad: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Calibrated:
    """Fit the kernels of a machine to measured operators.

    The rows of each kernel are split by groups (`validation/measured/held_out.py`): `share` of the groups are held out
    and only tell the error; of the others `rows` are drawn for the fit.

    Args:
        hardware: the machine whose chip was measured.
        data: files of measured operators, or a table in their form.
        runtime: the program that ran them, where the data have rows of several (`engine`).
        rows: the most rows that a kernel is fitted to.
        residuals: how many rows a table of residuals has; 0: none.
        share: of the groups that are held out; 0: none, and no error is told.
        by: columns of which rows that agree are one group; those of their class unless given.
        seed: of the draws.
        start: a calibration to start from, such as that of a chip alike.
        free: the constants to fit, the others stay as `start` has them; all unless given.
        only: classes of kernels, or operators, to fit; all that the data have unless given.
        skip_bad: leave out rows with cells that cannot be used.

    Raises:
        ConfigError: no row of that device; several programs and none named; fewer rows than constants; what
            `read_measured` raises.
    """
    system = load_system(hardware)
    chip = chip_of(system)
    table, measured = _read(data, skip_bad)
    table, skipped, version = usable(table, system.name, chip, runtime)
    parts = _Parts(rows, residuals, share, Groups(tuple(by)) if by else None, seed)
    base = Known() if start is None else Known({"start": load_calibration(start)})
    kernels: dict[str, dict[str, Fitted]] = {}
    tables: dict[tuple[str, str], pd.DataFrame] = {}
    for (name, variant), own in kernel_rows(table, only):
        if progress:
            progress(f"{name} {variant}")
        kernel, split = KERNELS[name], parts.of(own, name)
        fit = _fit(kernel, variant, split.fit, chip, base, free)
        kernels.setdefault(name, {})[variant], corrections = _fitted(kernel, chip, fit, split, parts.halves)
        tables |= {} if corrections is None else {(name, variant): corrections}
    if not kernels:
        raise ConfigError("data", found="no operator that has a model", expected=one_of(KERNELS))
    result = Calibration(hardware=system.name, runtime=runtime, version=version, measured=measured, kernels=kernels)
    provenance = Provenance({"hardware": system.config.data, "measured": measured}, seed)
    return Calibrated(result, tables, skipped, provenance)


def _read(
    data: str | Path | pd.DataFrame | Sequence[str | Path], skip_bad: bool
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The measured rows of all files, or of a table, and what they are: the hash of each."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data, {"table": _hash(data)}
    files = [data] if isinstance(data, str | Path) else list(data)
    reads = [read_measured(file, skip_bad) for file in files]
    return pd.concat([each.rows for each in reads], ignore_index=True), {each.file.name: each.hash for each in reads}


def _hash(table: pd.DataFrame) -> str:
    import pandas as pd

    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _fit(
    kernel: GpuKernel, variant: str, rows: pd.DataFrame, chip: Chip, base: Known, free: Collection[str] | None
) -> Fit:
    """The constants of a variant of a kernel, of which some are free and begin where `base` has them."""
    let = [each for each in free or kernel.parameters if each not in kernel.fixed(variant)]
    begin = constants(kernel, variant, base).library
    return fit_kernel(kernel, columns(rows), rows["value"].to_numpy(float), chip, begin, let)


@dataclass(frozen=True)
class _Split:
    """The rows of one kernel: those that it is fitted to, those of its table of residuals, those held out."""

    fit: pd.DataFrame
    near: pd.DataFrame | None
    out: pd.DataFrame


@dataclass(frozen=True)
class _Parts:
    """How many rows go to a fit and to residuals, the share of groups held out, what a group is, and the seed."""

    rows: int
    residuals: int
    share: float
    groups: Groups | None
    seed: int

    def of(self, rows: pd.DataFrame, name: str) -> _Split:
        """The rows of one kernel, split."""
        import pandas as pd

        nothing = pd.Series(False, index=rows.index)
        out = held_out(rows, name, self.seed, self.share, self.groups) if self.share else nothing
        known = rows[~out]

        def drawn(count: int) -> pd.DataFrame:
            return known.sample(min(count, len(known)), random_state=self.seed).sort_index()

        return _Split(drawn(self.rows), drawn(self.residuals) if self.residuals else None, rows[out])

    def halves(self, rows: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
        """Two halves of rows that are not held out, of whole groups, for one to tell of the other."""
        out = held_out(rows, name, self.seed, 0.5, self.groups)
        return out, ~out


def _fitted(
    kernel: GpuKernel,
    chip: Chip,
    fit: Fit,
    split: _Split,
    halves: Callable[[pd.DataFrame, str], tuple[pd.Series, pd.Series]],
) -> tuple[Fitted, pd.DataFrame | None]:
    """The constants with what they miss, without and with residuals; and the table of these.

    There is no table where it does not lower the mean error in cross-validation: of each half of its rows by the other.
    """
    plain = Constants(fit.library, "fit")
    residuals, table, gain = None, None, None
    if split.near is not None:
        gain = _gain(kernel, chip, fit, split.near, halves(split.near, kernel.name))
    if split.near is not None and gain is not None and gain > 0:
        residuals = _residuals(kernel, chip, fit, split.near)
        places = split.near.reindex(columns=[*kernel.shape, *kernel.further]).fillna(1.0)
        table = places.assign(ratio=np.exp(residuals.ratios))

    def errors(of: Constants) -> Errors | None:
        if split.out.empty:
            return None
        return errors_between(times(kernel, columns(split.out), chip, {"": of}), split.out["value"].to_numpy(float))

    fitted = Fitted(
        parameters=fit.library.model_dump(),
        uncertainty=dict(fit.deviation),
        rows=fit.rows,
        at_bounds=fit.at_bounds,
        held_out=errors(plain),
        with_residuals=errors(Constants(fit.library, "fit", None, residuals)) if residuals is not None else None,
        residuals_gain=gain,
    )
    return fitted, table


def _residuals(kernel: GpuKernel, chip: Chip, fit: Fit, rows: pd.DataFrame) -> Residuals:
    shapes = columns(rows)
    return residuals_of(kernel, shapes, kernel.seconds(shapes, chip, fit.library), rows["value"].to_numpy(float))


def _gain(kernel: GpuKernel, chip: Chip, fit: Fit, rows: pd.DataFrame, halves: tuple[pd.Series, pd.Series]) -> float:
    """By which share a table of one half of the rows lowers the mean error of the other half, over both ways."""
    plain, near = [], []
    for known, held in (halves, halves[::-1]):
        shapes, measured = columns(rows[held]), rows[held]["value"].to_numpy(float)
        modelled = kernel.seconds(shapes, chip, fit.library)
        nearer = corrected(modelled, kernel, shapes, _residuals(kernel, chip, fit, rows[known]))
        plain.append(np.abs(modelled / measured - 1))
        near.append(np.abs(nearer / measured - 1))
    return 1 - float(np.concatenate(near).mean() / np.concatenate(plain).mean())
