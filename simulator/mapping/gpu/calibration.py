"""Constants of kernels that were fitted to measurements of one device under one program: a YAML of `hwconfigs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from simulator import data
from simulator.config import load, validate
from simulator.config.choose import choose
from simulator.config.section import Section
from simulator.files import remembered
from simulator.hardware import load_system
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.kernel import Array, GpuKernel, Shapes
from simulator.mapping.gpu.kernels import KERNELS
from simulator.mapping.gpu.residuals import Residuals, corrected, read_residuals
from simulator.units import Count, Width

FOLDER = "hwconfigs/calibrations"


class Errors(Section):
    """Absolute percentage errors on rows of which no group gave a row to the fit, as fractions."""

    rows: Width
    """How many rows were held out."""
    median: float
    """Their median."""
    mean: float
    """Their mean."""
    p90: float
    """What nine in ten do not exceed."""
    bias: float
    """The median of the logarithm of modelled over measured."""


class Fitted(Section):
    """The constants of one kernel of a library, and how well they tell what they were not fitted to."""

    parameters: dict[str, float | str]
    """The constants by name, in SI units."""
    uncertainty: dict[str, float]
    """The standard deviation of each, from the curvature of the fit."""
    rows: Count
    """How many rows they were fitted to."""
    at_bounds: tuple[str, ...] = ()
    """Constants that ended at a bound: the data do not tell them, or the form lacks something."""
    held_out: Errors | None = None
    """The errors without the table of residuals."""
    with_residuals: Errors | None = None
    """The errors with it."""
    residuals: str | None = None
    """A table of measured over modelled by shape, a CSV beside the file; null: none."""


class Calibration(Section):
    """What measurements say of the kernels of one device under one program."""

    hardware: str
    """The machine of the device, by its name."""
    runtime: str | None = None
    """The program under which it was measured."""
    version: str | None = None
    """The version of that program."""
    measured: dict[str, str]
    """Where the measurements stand: each file or table, and the SHA-256 of its rows."""
    kernels: dict[str, dict[str, Fitted]]
    """By class of kernels and variant."""

    @model_validator(mode="after")
    def _are_constants(self) -> Self:
        """Check the constants against the forms of their classes."""
        for name, variants in self.kernels.items():
            choose(name, KERNELS, "kernels")
            for fitted in variants.values():
                KERNELS[name].library.model_validate(fitted.parameters)
        return self


@dataclass(frozen=True)
class Constants:
    """The constants of one kernel, where they come from, the errors that they were seen to have, and residuals."""

    library: Any
    origin: str
    errors: Errors | None = None
    residuals: Residuals | None = None


@remembered(64)
def load_calibration(name: str | Path) -> Calibration:
    """The calibration of a name in `hwconfigs/calibrations`, or of a file.

    Raises:
        ConfigError: with file, line and key path.
    """
    return validate(load(name, FOLDER), Calibration)


def calibrations(chip: Chip) -> dict[str, Calibration]:
    """The shipped calibrations of a chip, by their names: of any machine that has it, at whatever rates."""
    loaded = {name: load_calibration(name) for name in data.names(FOLDER)}
    return {name: each for name, each in loaded.items() if chip_of(load_system(each.hardware)).design == chip.design}


def constants(kernel: GpuKernel, variant: str, calibrated: Mapping[str, Calibration]) -> Constants:
    """The constants of a variant: of the first calibration that has it, fp16 as bf16, else those of the family."""
    for name, each in calibrated.items():
        known = each.kernels.get(kernel.name, {})
        fitted = known.get(variant) or known.get(variant.replace("fp16", "bf16"))
        if fitted is not None:
            table = read_residuals(data.find(name, FOLDER).parent / fitted.residuals) if fitted.residuals else None
            library = kernel.library.model_validate(fitted.parameters)
            return Constants(library, name, fitted.with_residuals or fitted.held_out, table)
    return Constants(kernel.library(), "family")


def times(kernel: GpuKernel, shapes: Shapes, chip: Chip, of: Mapping[str, Constants]) -> Array:
    """Seconds of shapes, each by the constants of its variant."""
    if len(of) == 1:
        return _times(kernel, shapes, chip, next(iter(of.values())))
    variant = np.ravel(kernel.variant(shapes))
    seconds = np.full(len(variant), np.nan)
    for name, each in of.items():
        rows = np.flatnonzero(variant == name)
        if len(rows):
            seconds[rows] = _times(kernel, rows_of(shapes, rows, len(variant)), chip, each)
    return seconds


def _times(kernel: GpuKernel, shapes: Shapes, chip: Chip, of: Constants) -> Array:
    seconds = kernel.seconds(shapes, chip, of.library)
    return seconds if of.residuals is None else corrected(seconds, kernel, shapes, of.residuals)


def rows_of(shapes: Shapes, rows: Any, count: int) -> dict[str, Any]:
    """Some rows of the columns; a value for all stays one."""
    columns = {name: np.asarray(value) for name, value in shapes.items()}
    return {name: value[rows] if value.shape == (count,) else value for name, value in columns.items()}
