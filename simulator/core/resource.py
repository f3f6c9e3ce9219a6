"""A resource: something shared that has a capacity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# A scalar, or an array with one element a design point.
Quantity: TypeAlias = float | NDArray[np.float64]


def plain(quantity: Quantity) -> Quantity:
    """A number as one of Python's, whatever numpy calls it; an array of design points as it is."""
    return quantity if np.ndim(quantity) else float(quantity)


@dataclass(frozen=True)
class Curve:
    """An achieved fraction that grows with the size of a demand.

    `log(fraction)` is linear in `log(size)` between the points, and constant beyond the first and the last. `sizes` are
    in the unit of the demand and rise; `fractions` are in (0, 1], and grow no faster than the sizes: a larger demand
    never takes less time.
    """

    sizes: tuple[float, ...]
    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.fractions) or not self.sizes:
            raise ValueError("a curve needs as many sizes as fractions, and at least one")
        if any(b <= a for a, b in pairwise((0.0, *self.sizes))):
            raise ValueError("the sizes of a curve must be positive and rise")
        if not all(0 < f <= 1 for f in self.fractions):
            raise ValueError("the fractions of a curve must lie in (0, 1]")
        points = list(zip(self.sizes, self.fractions, strict=True))
        if any(g / f > b / a * (1 + 1e-12) for (a, f), (b, g) in pairwise(points)):
            raise ValueError("the fractions of a curve must grow no faster than its sizes")

    def at(self, size: Quantity) -> Any:
        return np.exp(np.interp(np.log(np.maximum(size, self.sizes[0])), np.log(self.sizes), np.log(self.fractions)))


@dataclass(frozen=True, eq=False, slots=True)
class Resource:
    """A shared capacity: `capacity` units a second, of which one activity alone achieves `efficiency`.

    A demand of d units keeps the resource busy for `d / (efficiency * capacity)` seconds.

    Attributes:
        name: `<device>.<tier>`, `<device>.<engine>`, `<a>-><b>`; a limit on one activity is a private resource.
        capacity: units a second; an engine has 1 engine-second a second; may be an array of design points.
        unit: what is demanded: `B` (bytes), `s` (engine-seconds, read-seconds), `op`.
        efficiency: achieved fraction in (0, 1], or a `Curve` over the size of the demand.
        energy: J a unit; None where the machine gives no figure.
        count: identical copies that work in lockstep (the demand is that of one copy).
        slots: how many activities may hold it at once, the rest wait first come first served; None: any number.
    """

    name: str
    capacity: Quantity
    unit: str = "B"
    efficiency: Quantity | Curve = 1.0
    energy: Quantity | None = None
    count: int = 1
    slots: int | None = None

    def __post_init__(self) -> None:
        capacity = np.asarray(self.capacity)
        if not np.all((capacity > 0) & np.isfinite(capacity)):
            raise ValueError(f"resource {self.name}: capacity must be positive and finite, found {self.capacity}")
        if not isinstance(self.efficiency, Curve):
            fraction = np.asarray(self.efficiency)
            if not np.all((fraction > 0) & (fraction <= 1)):
                raise ValueError(f"resource {self.name}: efficiency must lie in (0, 1], found {self.efficiency}")
        if self.count < 1 or (self.slots is not None and self.slots < 1):
            raise ValueError(f"resource {self.name}: needs a count and slots of 1 or more")

    def rate(self, demand: Quantity) -> Any:
        """Units a second that a demand of this size achieves alone."""
        fraction = self.efficiency.at(demand) if isinstance(self.efficiency, Curve) else self.efficiency
        return fraction * self.capacity

    def seconds(self, demand: Quantity) -> Any:
        """Seconds at full rate: `demand / (efficiency * capacity)`."""
        return demand / self.rate(demand)
