"""The values of an axis from the way its YAML writes them: a list, a range, or steps between two ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.config.path import Figure
from simulator.errors import ConfigError, described, one_of
from simulator.study.space.axis import column
from simulator.study.space.form import WAYS, Varied
from simulator.units import parse

MOST_VALUES = 10_000_000
"""Of one axis, which are held in memory."""


def values(steps: Varied, figure: Figure) -> NDArray[Any]:
    """What an axis of this figure takes, in SI units.

    Raises:
        ConfigError: a value that the figure cannot have, or that is there twice; none at all, or too many. Its path
            leads on from the axis.
    """
    if isinstance(steps, list):
        return _listed(steps, figure, ())
    ways = [way for way in WAYS if getattr(steps, way) is not None]
    if len(ways) != 1:
        raise ConfigError("the values of an axis", found=" and ".join(ways) or "none", expected=one_of(WAYS))
    way, parameters = ways[0], getattr(steps, ways[0])
    if way == "values":
        return _listed(parameters, figure, (way,))
    try:
        if figure.kind is None:
            raise ConfigError("it is no number", found=f"'{way}'", expected="a list")
        generated = {"range": _range, "linspace": _linspace, "geomspace": _geomspace}[way](parameters, figure)
        for end in (generated[0], generated[-1]):
            figure.read(end.item())
        return _integers(generated) if figure.kind is int else generated
    except ConfigError as error:
        error.path = error.path or (way,)
        raise


def _listed(listed: list[Any], figure: Figure, at: tuple[str, ...]) -> NDArray[Any]:
    positions: dict[Any, int] = {}
    for position, value in enumerate(listed):
        try:
            read = figure.read(value)
            if read is None and figure.value is not None:
                expected = "a value; or none in the base, which null leaves as it is"
                raise ConfigError(found=f"null, where the base has {described(figure.value)}", expected=expected)
            if read in positions:
                raise ConfigError("a value that is there already", found=described(value))
        except ConfigError as error:
            error.path = (*at, position)
            raise
        positions[read] = position
    return column(list(positions))


def _range(bounds: tuple[Any, ...], figure: Figure) -> NDArray[Any]:
    start, stop, step = (_plain(value, figure, position) for position, value in enumerate([*bounds, 1][:3]))
    if step == 0:
        raise ConfigError(path=("range", 2), found="a step of 0", expected="another")
    steps = (stop - start) / step - 1e-9  # less a little, as 0.3 / 0.1 is more than 3 or less
    if steps <= 0:
        raise ConfigError("an empty axis", found=f"{start:g} to before {stop:g} by {step:g}", expected="a value")
    _check_count(steps)
    count = math.ceil(steps)
    return np.asarray(start + step * np.arange(count))


def _linspace(parameters: tuple[Any, Any, int], figure: Figure) -> NDArray[Any]:
    first, last, count = _ends(parameters, figure, "linspace")
    return np.linspace(first, last, count)


def _geomspace(parameters: tuple[Any, Any, int], figure: Figure) -> NDArray[Any]:
    first, last, count = _ends(parameters, figure, "geomspace")
    if min(first, last) <= 0 <= max(first, last):
        positions = f"{first:g} to {last:g}"
        raise ConfigError("geometric steps", found=positions, expected="two ends of one sign, and neither 0")
    return np.geomspace(first, last, count)


def _ends(parameters: tuple[Any, Any, int], figure: Figure, way: str) -> tuple[float, float, int]:
    _check_count(parameters[2])
    first, last = (_plain(value, figure, position, way) for position, value in enumerate(parameters[:2]))
    if parameters[2] > 1 and first == last:
        raise ConfigError("steps between equal ends", found=f"{parameters[2]} values", expected="1")
    return first, last, parameters[2]


def _plain(value: Any, figure: Figure, position: int, way: str = "range") -> float:
    """In SI units, in bounds or not: a range ends beyond its values."""
    try:
        number = parse(value, figure.unit or "1")
    except ConfigError as error:
        error.path = (way, position)
        raise
    return int(number) if figure.kind is int and number.is_integer() and abs(number) < 2**53 else number


def _integers(generated: NDArray[Any]) -> NDArray[Any]:
    near = np.rint(generated)
    off = (np.abs(generated - near) > 1e-9 * np.abs(near)) | (np.abs(near) >= 2.0**63)
    if off.any():
        raise ConfigError(found=f"{generated[off][0]:g} among its values", expected="whole numbers, of 64 bits")
    integers: NDArray[np.int64] = near.astype(np.int64)
    return integers


def _check_count(count: float) -> None:
    if count > MOST_VALUES:
        raise ConfigError("an axis", found=f"{count:,.0f} values", expected=f"at most {MOST_VALUES:,}")
