"""Points as columns: what sweeps, searches and answers hand to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from numpy.typing import NDArray

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""One array a column, all of one length, an element a point: float64, int64, bool, or object for text."""

Evaluate: TypeAlias = Callable[[Columns], Columns]
"""Gives the metrics of points from the values of their axes, one row a point, in the same order.

Among the columns is `error`, text: why a point failed, empty where it did not; its other metrics are then NaN.
"""
