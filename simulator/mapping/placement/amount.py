"""How much of a part of a model: a share of it, or bytes."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from simulator.errors import UnitError
from simulator.units import parse


def amount_of(value: Any, least: float | None = None) -> tuple[float, str]:
    """A share of a part, with the unit `1`, or bytes of it, with `B`; more than 0, or at least `least`."""
    for unit in ("1", "B") if isinstance(value, str) else ():
        try:
            number = parse(value, unit)
        except UnitError:
            continue
        if (number > 0 if least is None else number >= least) and (unit == "B" or number <= 1):
            return number, unit
    expected = "a share such as '80 %', or bytes such as '64 GB'"
    raise PydanticCustomError("unit", "{found}, expected {expected}", {"found": repr(value), "expected": expected})


def _some(value: Any) -> Any:
    amount_of(value)
    return str(value)


def _any(value: Any) -> Any:
    amount_of(value, least=0.0)
    return str(value)


Amount: TypeAlias = Annotated[str, BeforeValidator(_some, json_schema_input_type=str)]
Room: TypeAlias = Annotated[str, BeforeValidator(_any, json_schema_input_type=str)]
"""An amount that may be none."""
