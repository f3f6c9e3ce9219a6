"""Fit the constants of GPU kernels to measurements of one device, and tell how well they do on what is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from simulator.config.section import Section
from simulator.errors import ConfigError, one_of
from simulator.hardware import load_system
from simulator.mapping.gpu.calibration import (
    Calibration,
    Constants,
    Errors,
    Fitted,
    constants,
    load_calibration,
    times,
)
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.kernel import GpuKernel, Shapes
from simulator.mapping.gpu.kernels import KERNELS
from simulator.mapping.gpu.residuals import Residuals, residuals_of
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.validation.measured.aliases import meant
from simulator.validation.measured.held_out import Groups, held_out
from simulator.validation.measured.kernel_times import columns, kernel_rows
from simulator.validation.measured.reader import read_measured

if TYPE_CHECKING:
    import pandas as pd

Vector = NDArray[np.float64]

SOFT = 0.05
"""The log-error up to which errors count squared, and beyond which linearly."""
NEAR = 1e-3
"""How near to a bound, of the room between both, a constant counts as at it."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Constants of one kernel, fitted.

    Attributes:
        library: the constants.
        deviation: of each free one, its standard deviation.
        at_bounds: those that ended at a bound.
        rows: how many rows they were fitted to.
        cost: the robust sum of squares.
    """

    library: Section
    deviation: Mapping[str, float]
    at_bounds: tuple[str, ...]
    rows: int
    cost: float


def fit_kernel(
    kernel: GpuKernel,
    shapes: Shapes,
    seconds: Vector,
    chip: Chip,
    start: Section | None = None,
    free: Collection[str] | None = None,
) -> Fit:
    """The constants of a kernel for which its modelled times come nearest to measured ones.

    `min sum rho(((ln modelled - ln measured) / 0.05)^2)`, `rho(z) = 2 (sqrt(1 + z) - 1)` (soft L1), within the bounds
    of the form; where constants are choices, the best of all. Deviations are those of a Gauss-Newton step at the end.

    Args:
        start: constants to start from, which those that are not free keep; those of the family unless given.
        free: the constants to fit; all unless given.

    Raises:
        ConfigError: fewer rows than free constants; a constant that the kernel has not.
    """
    start = start or kernel.library()
    choices = {
        name: get_args(info.annotation)
        for name, info in kernel.library.model_fields.items()
        if get_origin(info.annotation) is Literal and (free is None or name in free)
    }
    numbers = {name: bounds for name, bounds in kernel.parameters.items() if isinstance(bounds[0], float)}
    unknown = set(free or ()) - set(kernel.parameters)
    if unknown:
        raise ConfigError(path="free", found=f"'{min(unknown)}'", expected=one_of(kernel.parameters))
    names = [name for name in numbers if free is None or name in free]
    if len(seconds) < len(names) + len(choices):
        expected = f"{len(names) + len(choices)} rows or more, as many as constants; or fewer that are free"
        raise ConfigError(path=kernel.name, found=f"{len(seconds)} rows to fit", expected=expected)
    fits = [
        _fit(kernel, shapes, seconds, chip, start.model_copy(update=dict(zip(choices, chosen, strict=True))), names)
        for chosen in product(*choices.values())
    ]
    return min(fits, key=lambda fit: fit.cost)


def _fit(kernel: GpuKernel, shapes: Shapes, seconds: Vector, chip: Chip, start: Section, names: Sequence[str]) -> Fit:
    from scipy.optimize import least_squares

    if not names:
        return Fit(start, {}, (), len(seconds), 0.0)
    first = np.array([getattr(start, name) for name in names])
    least, most = (np.array([kernel.parameters[name][side] for name in names]) for side in (1, 2))
    scale = np.where(first > 0, first, most)
    target = np.log(seconds)

    def library(x: Vector) -> Section:
        values = np.clip(x * scale, least, most).tolist()
        return start.model_copy(update=dict(zip(names, values, strict=True)))

    def misfit(x: Vector) -> Vector:
        modelled: Vector = np.log(kernel.seconds(shapes, chip, library(x))) - target
        return modelled

    room = (most - least) / scale
    begin = np.clip(first / scale, least / scale + 1e-6 * room, most / scale - 1e-6 * room)
    found = least_squares(
        misfit, begin, bounds=(least / scale, most / scale), loss="soft_l1", f_scale=SOFT, diff_step=1e-3
    )
    near = (np.minimum(found.x - least / scale, most / scale - found.x) < NEAR * room).tolist()
    curvature = np.linalg.pinv(found.jac.T @ found.jac)
    variance = np.diag(curvature) * 2 * found.cost / max(len(seconds) - len(names), 1)
    deviation = dict(zip(names, (np.sqrt(np.maximum(variance, 0)) * scale).tolist(), strict=True))
    at_bounds = tuple(name for name, is_near in zip(names, near, strict=True) if is_near)
    return Fit(library(found.x), deviation, at_bounds, len(seconds), float(found.cost))


@dataclass(frozen=True, eq=False, repr=False)
class Calibrated(Result):
    """A calibration, and its tables of residuals by class and variant.

    Attributes:
        calibration: as its YAML has it.
        tables: the residuals of a kernel by class and variant: shapes, and measured over modelled.
        skipped: rows by the reason for which they were not used.
    """

    calibration: Calibration
    tables: Mapping[tuple[str, str], pd.DataFrame]
    skipped: Mapping[str, int]
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        """One row a kernel: what it was fitted to, and its errors on what was held out."""
        import pandas as pd

        rows = []
        for name, variants in self.calibration.kernels.items():
            for variant, fitted in variants.items():
                row: dict[str, Any] = {"kernel": name, "variant": variant, "rows": fitted.rows}
                for key, errors in (("", fitted.held_out), ("_with_residuals", fitted.with_residuals)):
                    if errors is not None:
                        row |= {f"median{key}": errors.median, f"mean{key}": errors.mean}
                rows.append(row | {"at_bounds": " ".join(fitted.at_bounds)})
        return {"kernels": pd.DataFrame(rows)}

    def as_json(self) -> dict[str, Any]:
        calibration = self.calibration.model_dump(exclude_defaults=True)
        return {**calibration, "skipped": dict(self.skipped), "provenance": self.provenance.as_dict()}

    def write(self, file: str | Path) -> None:
        """Write the calibration as YAML, and each table of residuals as a CSV beside it."""
        import yaml

        from simulator.files import whole

        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        kernels = {name: dict(variants) for name, variants in self.calibration.kernels.items()}
        for (name, variant), table in self.tables.items():
            beside = file.with_name(f"{file.stem}.{name}.{variant.replace(' ', '-')}.csv")
            with whole(beside) as place:
                table.to_csv(place, index=False, float_format="%.6g", lineterminator="\n")
            kernels[name][variant] = kernels[name][variant].model_copy(update={"residuals": beside.name})
        written = self.calibration.model_copy(update={"kernels": kernels}).model_dump(exclude_none=True, mode="json")
        document = {
            "schema": 1,
            "source": f"fitted to {', '.join(written['measured'])}",
            "role": "calibration",
            **written,
        }
        with whole(file) as place:
            text = yaml.safe_dump(_rounded(document), sort_keys=False, width=120, allow_unicode=True)
            place.write_text(text, encoding="utf-8")


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
    import pandas as pd

    system = load_system(hardware)
    chip, name = chip_of(system), system.name
    if isinstance(data, pd.DataFrame):
        table, measured = data, {"table": _hash(data)}
    else:
        files = [data] if isinstance(data, str | Path) else list(data)
        reads = [read_measured(file, skip_bad) for file in files]
        table = pd.concat([each.rows for each in reads], ignore_index=True)
        measured = {each.file.name: each.hash for each in reads}
    table, skipped, version = _usable(table, name, chip, runtime)
    groups = Groups(tuple(by)) if by else None
    base = {} if start is None else {"start": load_calibration(start)}
    kernels: dict[str, dict[str, Fitted]] = {}
    tables: dict[tuple[str, str], pd.DataFrame] = {}
    for (kernel_name, variant), some in kernel_rows(table, only):
        if progress:
            progress(f"{kernel_name} {variant}")
        kernel = KERNELS[kernel_name]
        begin = constants(kernel, variant, base).library
        out = held_out(some, kernel_name, seed, share, groups) if share else pd.Series(False, index=some.index)
        known = some[~out]
        drawn = known.sample(min(rows, len(known)), random_state=seed).sort_index()
        let = [each for each in free or kernel.parameters if each not in kernel.fixed(variant)]
        fit = fit_kernel(kernel, columns(drawn), drawn["value"].to_numpy(float), chip, begin, let)
        near = known.sample(min(residuals, len(known)), random_state=seed).sort_index() if residuals else None
        kernels.setdefault(kernel_name, {})[variant], correction = _told(kernel, chip, fit, some[out], near)
        if near is not None and correction is not None:
            ratio = np.exp(correction.ratios)
            places = near.reindex(columns=[*kernel.shape, *kernel.further]).fillna(1.0)
            tables[kernel_name, variant] = places.assign(ratio=ratio)
    if not kernels:
        raise ConfigError("data", found="no operator that has a model", expected=one_of(KERNELS))
    calibration = Calibration(hardware=name, runtime=runtime, version=version, measured=measured, kernels=kernels)
    provenance = Provenance({"hardware": system.config.data, "measured": measured}, seed)
    return Calibrated(calibration, tables, skipped, provenance)


def errors_of(modelled: Vector, measured: Vector) -> Errors:
    """Absolute percentage errors, as fractions, and the median of the logarithm of the ratio."""
    off = np.abs(modelled / measured - 1)
    return Errors(
        rows=len(off),
        median=float(np.median(off)),
        mean=float(off.mean()),
        p90=float(np.quantile(off, 0.9)),
        bias=float(np.median(np.log(modelled / measured))),
    )


def _told(
    kernel: GpuKernel, chip: Chip, fit: Fit, out: pd.DataFrame, near: pd.DataFrame | None
) -> tuple[Fitted, Residuals | None]:
    """The constants with what they miss, without and with residuals of rows `near`."""
    plain = Constants(fit.library, "fit")
    table, held, corrected = None, None, None
    if near is not None:
        shapes, measured = columns(near), near["value"].to_numpy(float)
        table = residuals_of(kernel, shapes, kernel.seconds(shapes, chip, fit.library), measured)
    if len(out):
        shapes, measured = columns(out), out["value"].to_numpy(float)
        held = errors_of(times(kernel, shapes, chip, {"": plain}), measured)
        if table is not None:
            corrected = errors_of(
                times(kernel, shapes, chip, {"": Constants(fit.library, "fit", None, table)}), measured
            )
    fitted = Fitted(
        parameters=fit.library.model_dump(),
        uncertainty=dict(fit.deviation),
        rows=fit.rows,
        at_bounds=fit.at_bounds,
        held_out=held,
        with_residuals=corrected,
    )
    return fitted, table


def _is(device: str, machine: str, chip: Chip) -> bool:
    """Whether measured data mean a machine by the name of a device: it, or one of the same chip."""
    name = meant(device, "hwconfigs")
    if name is None or name == machine:
        return name is not None
    other = load_system(name)
    return any(each.chip is not None for each in other.engines.values()) and chip_of(other) == chip


def _usable(
    table: pd.DataFrame, machine: str, chip: Chip, runtime: str | None
) -> tuple[pd.DataFrame, dict[str, int], str | None]:
    """Rows of operators in seconds, of the machine and the program; how many others there were; the version."""
    if "op" not in table:
        raise ConfigError("data", found="runs from end to end", expected="measured operators")
    devices = [str(device) for device in table["device"].unique()]
    own = table["device"].isin([device for device in devices if _is(device, machine, chip)])
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
            fits = engines.map(_folded) == _folded(runtime)
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


def _folded(name: str) -> str:
    known = {"tensorrtllm": "trtllm"}
    folded = "".join(filter(str.isalnum, name.casefold()))
    return known.get(folded, folded)


def _hash(table: pd.DataFrame) -> str:
    import pandas as pd

    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _rounded(value: Any) -> Any:
    """Plain data with floats of five digits, as YAML of people has them."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
