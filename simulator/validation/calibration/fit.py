"""Fit the constants of one GPU kernel to measured times: a robust log-error, within the bounds of its form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from simulator.config.section import Section
from simulator.errors import ConfigError, one_of
from simulator.mapping.gpu.chip import Chip
from simulator.mapping.gpu.kernel import GpuKernel, Shapes

Vector = NDArray[np.float64]

SOFT = 0.05
"""The log-error up to which errors count squared, and beyond which linearly."""
LOOK = 15
"""Steps after which choices are compared."""
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
    of the form; where constants are choices, of the choice that is best after a few steps of each. Deviations are those
    of a Gauss-Newton step at the end.

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
    starts = [start.model_copy(update=dict(zip(choices, chosen, strict=True))) for chosen in product(*choices.values())]
    if len(starts) > 1:
        looks = [_fit(kernel, shapes, seconds, chip, each, names, LOOK) for each in starts]
        start = min(zip(looks, starts, strict=True), key=lambda both: both[0].cost)[1]
    return _fit(kernel, shapes, seconds, chip, start, names)


def _fit(
    kernel: GpuKernel,
    shapes: Shapes,
    seconds: Vector,
    chip: Chip,
    start: Section,
    names: Sequence[str],
    steps: int | None = None,
) -> Fit:
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
    solution = least_squares(
        misfit,
        begin,
        bounds=(least / scale, most / scale),
        loss="soft_l1",
        f_scale=SOFT,
        diff_step=1e-3,
        max_nfev=steps,
    )
    near = (np.minimum(solution.x - least / scale, most / scale - solution.x) < NEAR * room).tolist()
    curvature = np.linalg.pinv(solution.jac.T @ solution.jac)
    variance = np.diag(curvature) * 2 * solution.cost / max(len(seconds) - len(names), 1)
    deviation = dict(zip(names, (np.sqrt(np.maximum(variance, 0)) * scale).tolist(), strict=True))
    at_bounds = tuple(name for name, is_near in zip(names, near, strict=True) if is_near)
    return Fit(library(solution.x), deviation, at_bounds, len(seconds), float(solution.cost))
