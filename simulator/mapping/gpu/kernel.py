"""What each class of GPU kernels has: its shape, constants with bounds, time, and the roofline of its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from pydantic import Field

from simulator.config.section import Section
from simulator.errors import ConfigError, one_of
from simulator.mapping.gpu.chip import Chip
from simulator.units import Unit

Array: TypeAlias = NDArray[np.float64]
Shapes: TypeAlias = Mapping[str, Any]
"""Columns of operators by name, each an array or one value for all: `m`, `n`, `k`, `heads`, `dtype`, ..."""

Floor = Annotated[float, Unit("s"), Field(ge=5e-7, le=5e-5)]
"""Seconds of a kernel that does nothing: launch, prologue, tail."""
Added = Annotated[float, Unit("s"), Field(ge=1e-9, le=2e-5)]
"""Seconds that a step or a second kernel adds."""
Reached = Annotated[float, Unit("1"), Field(ge=0.05, le=1)]
"""A fraction of a peak rate."""
ReachedOfDram = Annotated[float, Unit("1"), Field(ge=0.05, le=1.05)]
"""A fraction of DRAM's bandwidth; tables of repeated calls show a little more than 1, for what stays in L2."""
Overlap = Annotated[float, Unit("1"), Field(ge=1, le=12)]
"""The power of the norm in which resources overlap: 1, one after another; 12, all but wholly."""


@dataclass(frozen=True)
class GpuKernel:
    """A class of kernels that one model covers.

    Attributes:
        name: of the class, as calibrations and `validation/measured` call it.
        library: the form of its constants, whose defaults are those of the family and whose bounds come from physics.
        ops: operators by what their names begin with.
        shape: columns that a shape must have.
        variant: for each shape, which kernel of a library runs it; each has constants of its own.
        seconds: the time of shapes of one variant.
        parts: the seconds of each thing that can bind, by name.
        work: FLOPs and bytes of DRAM of the roofline.
        further: columns that a shape may have, and that tell shapes apart.
        fixed: the constants that a fit of a variant leaves as they are.
    """

    name: str
    library: type[Section]
    ops: tuple[str, ...]
    shape: tuple[str, ...]
    variant: Callable[[Shapes], Any]
    seconds: Callable[[Shapes, Chip, Any], Array]
    parts: Callable[[Shapes, Chip, Any], Mapping[str, Array]]
    work: Callable[[Shapes], tuple[Array, Array]]
    further: tuple[str, ...] = ()
    fixed: Callable[[str], tuple[str, ...]] = lambda variant: ()

    @property
    def parameters(self) -> dict[str, tuple[float, float, float]]:
        """Start, least and most of each constant, in SI units."""
        return {name: (field.default, *_bounds(field.metadata)) for name, field in self.library.model_fields.items()}


def _bounds(metadata: Any) -> tuple[float, float]:
    least, most = 0.0, float("inf")
    for each in metadata:
        least = getattr(each, "ge", getattr(each, "gt", least)) if isinstance(each, Ge | Gt) else least
        most = getattr(each, "le", getattr(each, "lt", most)) if isinstance(each, Le | Lt) else most
    return least, most


def column(shapes: Shapes, name: str, default: float | None = None) -> Array:
    """A column of numbers; `default` where it is missing or not stated.

    Raises:
        ConfigError: it is missing and has no default.
    """
    value = shapes.get(name)
    if value is None:
        if default is None:
            raise ConfigError("missing key", path=name, expected=f"a number; the shape has {one_of(shapes)}")
        return np.asarray(default, float)
    array = np.asarray(value, float)
    return array if default is None else np.where(np.isnan(array), default, array)


def text(shapes: Shapes, name: str, default: str = "") -> Any:
    """A column of texts; `default` where it is missing or not stated."""
    value = shapes.get(name)
    if value is None:
        return np.asarray(default, object)
    array = np.asarray(value, object)
    return np.where([each is None or each != each for each in array.ravel()], default, array.ravel()).reshape(
        array.shape
    )


def bound_by(kernel: GpuKernel, shapes: Shapes, chip: Chip, library: Any) -> Any:
    """The part that takes longest of each shape of one variant."""
    parts = kernel.parts(shapes, chip, library)
    names = np.array(list(parts), object)
    return names[np.argmax(np.stack(np.broadcast_arrays(*parts.values())), axis=0)]


def norm(p: Any, *parts: Any) -> Any:
    """Resources that overlap: `(a^p + b^p + ...)^(1/p)`, from their sum (p = 1) to the largest (p = infinity).

    Of seconds from 1e-20 to 1e20, whose 12th powers a double still holds.
    """
    return sum(each**p for each in parts) ** (1 / p)


KEPT, POWER = 0.9, 4.0
"""The share of the L2 cache that operands may fill, and how fast they are lost beyond it."""


def in_cache(size: Any, chip: Chip, copies: Any = 1.0) -> Any:
    """The share of so many bytes that a repeated call finds in L2: `min(1, 0.9 L2 / (copies bytes)) ** 4`."""
    return np.minimum(1.0, KEPT * chip.l2 / np.maximum(copies * size, 1.0)) ** POWER


def passed(size: Any, chip: Chip) -> Any:
    """Seconds of one pass over so many bytes: in L2 where half of it has room for them, else in DRAM."""
    return size / np.where(size > chip.l2 / 2, chip.bandwidth, chip.l2_bandwidth)
