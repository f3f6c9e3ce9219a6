"""The points of a sweep's result: which are feasible, their numbers, and the best of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.study.questions import pareto

if TYPE_CHECKING:
    import pandas as pd

Mask: TypeAlias = NDArray[np.bool_]
Array: TypeAlias = NDArray[np.float64]
Sense: TypeAlias = Literal["min", "max"]
Front: TypeAlias = str | ArrayLike
"""Which points are on it: the name of a column that says so, or a value a row."""


def column(frame: pd.DataFrame, name: str) -> NDArray[Any]:
    """The values of a column.

    Raises:
        ConfigError: there is none of this name.
    """
    check_name(name, list(map(str, frame)), message="no such column")
    values: NDArray[Any] = frame[name].to_numpy()
    return values


def numbers(frame: pd.DataFrame, name: str) -> Array:
    """The values of a column as floats; NaN where there is none, or a text.

    Raises:
        ConfigError: there is no such column.
    """
    import pandas as pd

    column(frame, name)
    values: Array = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def is_text(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column has values that are no numbers: texts, or yes and no."""
    values = column(frame, name)
    return values.dtype == bool or (values.dtype == object and any(isinstance(each, str | bool) for each in values))


def categories(frame: pd.DataFrame, name: str, rows: Mask | None = None) -> list[Any]:
    """The different values of a column: numbers from the least, texts in the order in which they come."""
    values = column(frame, name)
    values = values if rows is None else values[rows]
    distinct = [one for one in dict.fromkeys(values.tolist()) if one is not None and one == one]
    return distinct if is_text(frame, name) else sorted(distinct)


def feasible(frame: pd.DataFrame) -> Mask:
    """Which points are: no `error`, and `feasible` where there is such a column.

    Raises:
        ConfigError: none is; it says what most of them fail for.
    """
    mask: Mask = np.ones(len(frame), dtype=np.bool_)
    if "feasible" in frame.columns:
        mask &= _yes(column(frame, "feasible"))
    errors: list[Any] = []
    if "error" in frame.columns:
        errors = [each if isinstance(each, str) else "" for each in frame["error"]]
        mask &= np.array([not each for each in errors], dtype=bool)
    if mask.any():
        return mask
    commonest = Counter(filter(None, errors)).most_common(1)
    why = f", {commonest[0][1]:,} for: {commonest[0][0]}" if commonest else ""
    raise ConfigError("no feasible point to draw", found=f"0 of {len(frame):,} points{why}", expected="one or more")


def _yes(values: NDArray[Any]) -> Mask:
    """Which are true: None and NaN are not."""
    return np.array([each == each and bool(each) for each in values.tolist()], dtype=np.bool_)


def with_values(frame: pd.DataFrame, columns: Sequence[str]) -> Mask:
    """Which feasible points have a finite number in each of these columns.

    Raises:
        ConfigError: none has.
    """
    mask = feasible(frame)
    for name in columns:
        mask = mask & np.isfinite(numbers(frame, name))
    if not mask.any():
        found = f"none of {len(frame):,} points with {' and '.join(columns)}"
        raise ConfigError("no feasible point to draw", found=found, expected="one or more")
    return mask


def sense(name: str, senses: Mapping[str, Sense] | None) -> Sense:
    """Whether more of a metric is better: as `senses` has it, else for what is so many a second or a joule."""
    return (senses or {}).get(name) or ("max" if re.search(r"_per_(s|j)(_|$)", name) else "min")


def front(frame: pd.DataFrame, best: Front | None, rows: Mask, objectives: Mapping[str, Sense]) -> Mask:
    """The points of a front among `rows`: those given, or those that are best in these objectives.

    Raises:
        ConfigError: no such column, or not a value a row.
    """
    if isinstance(best, str):
        return rows & _yes(column(frame, best))
    if best is not None:
        mask = _yes(np.asarray(best))
        if mask.shape != rows.shape:
            raise ConfigError("front", found=f"{mask.size} values", expected=f"one for each of {len(rows)} rows")
        return rows & mask
    mask = np.zeros(len(frame), dtype=np.bool_)
    values = np.column_stack([numbers(frame, name)[rows] for name in objectives])
    mask[rows] = pareto.front(values, list(objectives.values()))
    return mask


def thinned(x: Array, y: Array, most: int) -> NDArray[np.int64]:
    """Indices of at most `most` points that look like all: one in each cell of a grid over the plot.

    Which one of a cell is drawn by lot, from a fixed seed.
    """
    if len(x) <= most:
        return np.arange(len(x))
    side = int(most**0.5)

    def cell(values: Array) -> NDArray[np.int64]:
        share = (values - values.min()) / (np.ptp(values) or 1.0)
        index: NDArray[np.int64] = np.minimum(share * side, side - 1).astype(np.int64)
        return index

    order = np.random.default_rng(0).permutation(len(x))
    _, first = np.unique((cell(x) * side + cell(y))[order], return_index=True)
    kept: NDArray[np.int64] = np.sort(order[first])
    return kept
