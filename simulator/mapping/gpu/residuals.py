"""What a model of a kernel misses, from measured neighbours: shapes alike are off alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.files import read_rows, remembered
from simulator.mapping.gpu.kernel import Array, GpuKernel, Shapes, column

NEIGHBOURS = 8


@dataclass(frozen=True, eq=False)
class Residuals:
    """Measured over modelled times, as logarithms, by the logarithms of the shapes."""

    places: Array
    ratios: Array


def residuals_of(kernel: GpuKernel, shapes: Shapes, modelled: Array, measured: Array) -> Residuals:
    """The table of a kernel whose model gave `modelled` for what was `measured`."""
    return Residuals(_places(kernel, shapes), np.log(measured / modelled))


def corrected(seconds: Array, kernel: GpuKernel, shapes: Shapes, table: Residuals) -> Array:
    """Modelled seconds times the mean ratio of the 8 nearest measured shapes, weighted by 1 / distance.

    Distance is that of the logarithms of the shape's sizes.
    """
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS, len(table.ratios))
    places = np.broadcast_to(_places(kernel, shapes), (np.size(seconds), table.places.shape[1]))
    distance, nearest = cKDTree(table.places).query(places, k=[*range(1, count + 1)])
    weight = 1 / (distance + 1e-3)
    mean = (weight * table.ratios[nearest]).sum(axis=1) / weight.sum(axis=1)
    answer: Array = seconds * np.exp(mean).reshape(np.shape(seconds))
    return answer


def _places(kernel: GpuKernel, shapes: Shapes) -> Array:
    columns = np.broadcast_arrays(
        *(np.atleast_1d(column(shapes, name, 1.0)) for name in (*kernel.shape, *kernel.further))
    )
    places: Array = np.log(np.maximum(np.stack(columns, axis=1), 1.0))
    return places


@remembered(64)
def read_residuals(file: Path) -> Residuals:
    """The table of a CSV: a column a size of the shape, and the ratio last.

    Raises:
        ConfigError: with file and line.
    """
    rows = list(read_rows(file))
    try:
        values = np.array([row for _, row in rows[1:] if row], float)
    except ValueError:
        raise ConfigError("a cell that is no number", file=file, expected="sizes of shapes, and a ratio") from None
    if values.ndim != 2 or len(values) == 0:
        raise ConfigError("no rows", file=file, expected="sizes of shapes, and a ratio")
    return tabulated(values)


def tabulated(values: Array) -> Residuals:
    """The table of rows that have the sizes of a shape, and measured over modelled last."""
    return Residuals(np.log(np.maximum(values[:, :-1], 1.0)), np.log(values[:, -1]))
