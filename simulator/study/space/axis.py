"""One axis of a space of designs: a figure of a config, and the values that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.study.space.expression import Expression


@dataclass(frozen=True, eq=False)
class Axis:
    """What varies.

    Attributes:
        path: the figure, by its dotted path.
        name: what expressions call it.
        values: one a step, in SI units: float64, int64, bool, or object for text.
        unit: the SI unit; None of a text or a count.
        when: the condition under which it varies; it names axes before this one. None: always.
        otherwise: the value where it does not; None: what the base has there, which no column says.
    """

    path: str
    name: str
    values: NDArray[Any]
    unit: str | None = None
    when: Expression | None = None
    otherwise: Any = None

    def __len__(self) -> int:
        return len(self.values)


def column(values: list[Any]) -> NDArray[Any]:
    """Values as a column: None among numbers is NaN, and a text or a list makes it one of objects."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if not present or kinds - {bool, int, float} or (bool in kinds and (kinds != {bool} or len(present) < len(values))):
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    whole = kinds <= {int} and len(present) == len(values) and all(abs(value) < 2**63 for value in present)
    return np.array(values, dtype=bool if kinds == {bool} else np.int64 if whole else float)
