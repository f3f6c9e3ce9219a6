"""Constants of kernels that were fitted to measurements of one device under one program: a YAML of `hwconfigs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from simulator import data
from simulator.config import load, validate
from simulator.config.choose import choose
from simulator.config.section import Section
from simulator.files import remembered
from simulator.hardware import System, load_system
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.kernel import Array, GpuKernel, Shapes
from simulator.mapping.gpu.kernels import KERNELS
from simulator.mapping.gpu.residuals import Residuals, corrected, read_residuals
from simulator.mapping.runtime.form import Software
from simulator.units import Count, Width

FOLDER = "hwconfigs/calibrations"
FAMILY = "family"
"""Where constants are from that nothing was fitted to: the defaults of their forms."""


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
    residuals_gain: float | None = None
    """The share by which residuals lower the mean error in cross-validation; not above 0: left out; null: not tried."""
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


@dataclass(frozen=True)
class Known:
    """What is known of the kernels of a chip under a runtime, the closest first.

    Attributes:
        own: calibrations under the runtime, or under one whose kernels are its own.
        stated: constants that the runtime's YAML has, by class and variant.
        runtime: its name.
        others: calibrations of the chip under other programs.
    """

    own: Mapping[str, Calibration] = field(default_factory=dict)
    stated: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    runtime: str = ""
    others: Mapping[str, Calibration] = field(default_factory=dict)


def known_of(system: System, engine: str | None, software: Software | None, calibration: str | None = None) -> Known:
    """What counts for the kernels of an engine: the calibration that is named, alone; else all of its chip.

    Of these, those under the runtime come first, then those under others with the same kernels (`kernels_of`), then
    what the runtime states, then those under other programs; without a runtime, all are its own.

    Raises:
        ConfigError: nothing is known of the engine's chip; no such calibration.
    """
    chip = chip_of(system, engine)
    if calibration is not None:
        return Known({calibration: load_calibration(calibration)})
    of_chip = calibrations(chip)
    if software is None:
        return Known(of_chip)
    names = dict.fromkeys([software.name, software.runtime.kernels_of or software.name])
    own = {key: each for name in names for key, each in of_chip.items() if each.runtime == name}
    device = next((each for each in system.machine.devices.values() if each.product == chip.product), None)
    stated = software.kernels(device) if device else {}
    return Known(own, stated, software.name, {key: each for key, each in of_chip.items() if key not in own})


def constants(kernel: GpuKernel, variant: str, known: Known) -> Constants:
    """The constants of a variant, fp16 as bf16: of what is known the closest, else those of the family."""
    variants = dict.fromkeys([variant, variant.replace("fp16", "bf16")])
    for calibrated in (known.own, known.others):
        for name, each in calibrated.items():
            fitted = next(filter(None, map(each.kernels.get(kernel.name, {}).get, variants)), None)
            if fitted is not None:
                table = read_residuals(data.find(name, FOLDER).parent / fitted.residuals) if fitted.residuals else None
                library = kernel.library.model_validate(fitted.parameters)
                return Constants(library, name, fitted.with_residuals or fitted.held_out, table)
        stated = next(filter(None, map(known.stated.get(kernel.name, {}).get, variants)), None)
        if stated is not None:
            return Constants(kernel.library.model_validate(stated), known.runtime)
    return Constants(kernel.library(), FAMILY)


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
