"""Figures with units, read once at the edge; inside the program all is plain floats in SI base units.

Pint decides what a text means. It costs half a second to import, so the common texts stand in `TABLE`, which a test
proves equal to pint's answer for every entry, and pint is loaded for the rest only. GB is 1e9 bytes, GiB is 2**30.

A plain number is in SI units; where it would be of a magnitude that no figure has, its unit was forgotten (`_PLAIN`).

Every number that enters has a bound: a figure is 0 or of a magnitude of `LEAST` to `MOST`, so that no product or ratio
of a few of them leaves the doubles; a count is at most `MOST_COUNT`, so that 64 bits hold a product of two.

Information (byte) and operations (FLOP, OP) are dimensions of their own, as they are not in pint's stock registry:
`200 GHz` is no bandwidth, and `3.9 pJ/bit` is no energy.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction as Exact
from functools import cache, lru_cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le, Lt

from simulator.errors import UnitError, described, nearest

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

LEAST, MOST = 1e-30, 1e30
"""The magnitudes that a figure may have, in SI units, unless it is 0."""

MOST_COUNT = 10**9
"""The most that a count may be: of sequences, tokens, devices, layers."""

_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_SMALL = {prefix: Exact(1, 1000**power) for power, prefix in enumerate("munpf", 1)}


def _scaled(prefixes: dict[str, Any], unit: str, si: str, factor: Exact | int = 1) -> dict[str, tuple[str, Exact]]:
    """The table's entries for `unit` (worth `factor` of the SI unit `si`) under each prefix."""
    return {prefix + unit: (si, Exact(scale) * factor) for prefix, scale in prefixes.items()}


_BIT = Exact(1, 8)
TABLE: dict[str, tuple[str, Exact]] = {
    **_scaled(_DECIMAL | _BINARY, "B", "B"),
    **_scaled(_DECIMAL | _BINARY, "bit", "B", _BIT),
    **_scaled(_DECIMAL | _BINARY, "B/s", "B/s"),
    **_scaled(_DECIMAL | _BINARY, "bit/s", "B/s", _BIT),
    **_scaled(_DECIMAL, "FLOP", "FLOP"),
    **_scaled(_DECIMAL, "OP", "FLOP"),
    **_scaled(_DECIMAL, "FLOP/s", "FLOP/s"),
    **_scaled(_DECIMAL, "OP/s", "FLOP/s"),
    **_scaled({"": 1} | _SMALL, "s", "s"),
    **_scaled(_DECIMAL, "Hz", "Hz"),
    **_scaled(_DECIMAL | _SMALL, "W", "W"),
    **_scaled(_DECIMAL | _SMALL, "J", "J"),
    **_scaled({"": 1} | _SMALL, "J/B", "J/B"),
    **_scaled({"": 1} | _SMALL, "J/bit", "J/B", 8),
    **_scaled({"": 1} | _SMALL, "J/FLOP", "J/FLOP"),
    **_scaled({"": 1} | _SMALL, "J/OP", "J/FLOP"),
    "FLOP/B": ("FLOP/B", Exact(1)),
    "OP/B": ("FLOP/B", Exact(1)),
    "mm^2": ("m^2", Exact(1, 10**6)),
    "m^2": ("m^2", Exact(1)),
    "USD": ("USD", Exact(1)),
    "%": ("1", Exact(1, 100)),
    "1": ("1", Exact(1)),
}
"""Unit text -> (the SI unit of its dimension, its exact worth in that unit)."""

_EXPECTED = {
    "B": "a size such as '520 MiB'",
    "B/s": "a bandwidth such as '1.8 TB/s'",
    "bit/s": "the rate of a wire such as '6.4 Gbit/s'",
    "FLOP": "a count of operations such as '16 GFLOP'",
    "FLOP/s": "a compute rate such as '638 TFLOP/s'",
    "FLOP/B": "operations per byte such as '295 FLOP/B'",
    "s": "a time such as '14 us'",
    "Hz": "a frequency such as '1.6 GHz'",
    "W": "a power such as '400 W'",
    "J": "an energy such as '3 mJ'",
    "J/B": "an energy per bit or byte such as '3.9 pJ/bit'",
    "J/FLOP": "an energy per operation such as '0.64 pJ/FLOP'",
    "m^2": "an area such as '826 mm^2'",
    "USD": "a price such as '1200 USD'",
    "1": "a plain number or a percentage such as '91 %'",
}

_PLAIN = {
    "B/s": (1e3, MOST, "GB/s"),
    "bit/s": (1e3, MOST, "Gbit/s"),
    "FLOP/s": (1e3, MOST, "TFLOP/s"),
    "Hz": (1e3, MOST, "GHz"),
    "J/B": (LEAST, 1e-3, "pJ/bit"),
    "J/FLOP": (LEAST, 1e-3, "pJ/FLOP"),
    "m^2": (LEAST, 1.0, "mm^2"),
}
"""The magnitudes that a number without a unit may have, where nobody means others (`50` is no bandwidth), and the unit
that those most often lack."""

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(.*?)\s*")
_POWER = r"(?:\s*(?:\^|\*\*)\s*-?\d)?"
_UNIT = re.compile(rf"[^\W\d]+{_POWER}(?:\s*[/*· ]\s*[^\W\d]+{_POWER}){{0,5}}")

_TRAPS = (  # what people write, and what they mean; pint reads them as biots, barns, millibytes or a count
    (re.compile(r"([kKMGTPE]i?)?b(/s)?"), r"\1bit\2"),
    (re.compile(r"([kKMGTPE]i?)?Bps"), r"\1B/s"),
    (re.compile(r"([kMGTPE])?(?:FLOP|FLop|Flop|flop|OP)[sS](?:/s)?"), r"\1FLOP/s"),
    (re.compile(r"m(B|bit)(/s)?"), r"M\1\2"),
)


def parse(value: str | float, unit: str) -> float:
    """`value` in `unit`, as a float: ``parse("1.8 TB/s", "B/s") == 1.8e12``; a plain number is in `unit` already.

    The product of number and unit is exact, and rounded once. Raises `UnitError` for what is no number, out of bounds
    (`is_bounded`), in a unit that nobody knows, of another dimension than `unit`, or without the unit that it needs; it
    says what was expected, with an example.
    """
    number: Any = _exact(value, unit) if isinstance(value, str) else value
    if isinstance(value, bool) or not isinstance(number, Real) or number != number:
        raise _error(value, unit)
    if not is_bounded(number):
        raise _error(value, unit, f"{Unit(unit).expected}, 0 or of {LEAST:g} to {MOST:g} {unit}".removesuffix(" 1"))
    figure, (least, most, _) = float(number), _PLAIN.get(unit, (LEAST, MOST, ""))
    if figure and not least <= abs(figure) <= most and _is_plain(value):
        raise _error(value, unit, f"{Unit(unit).expected}: a plain number is in {unit}")
    return figure


def _is_plain(value: object) -> bool:
    """Whether a figure is written without a unit."""
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return not (match and match[2])


@lru_cache(maxsize=4096)
def _exact(text: str, unit: str) -> Exact:
    """The product of a text's number and unit, in `unit`; machines repeat the same few."""
    match = _NUMBER.fullmatch(text) if len(text) <= 100 else None
    factor = _factor(match[2], unit) if match else None
    if match is None or factor is None:
        raise _error(text, unit)
    return Exact(match[1]) * factor


def is_bounded(number: Any) -> bool:
    """Whether a number is 0 or of a magnitude that a figure may have: no denormal, no infinity, no NaN."""
    return bool(number == 0 or LEAST <= abs(number) <= MOST)


def show(value: float, unit: str) -> str:
    """`value`, given in the SI `unit`, for a reader: ``show(1.8e12, "B/s") == "1.8 TB/s"``; four digits.

    What is not known (NaN) is nothing.
    """
    if value != value:
        return ""
    shown, factor, prefixes = _SHOWN.get(unit, (unit, 1, ()))
    value = float(f"{value * factor:.4g}")
    prefix, scale = "", 1.0
    if value and math.isfinite(value) and prefixes:
        fitting = [step for step in prefixes if abs(value) >= step[1]]
        prefix, scale = fitting[-1] if fitting else prefixes[0]
    return f"{value / scale:.4g} {prefix}{shown}".removesuffix(" 1")


def rescaled(value: str | float, unit: str, least: float, most: float) -> str | None:
    """The number of `value` in a unit that puts it between `least` and `most`, or next to them; None: no unit does.

    ``rescaled("3 GB/s", "B/s", 1.8e12, 3.4e12) == "3 TB/s"``: the first unit of `TABLE` that fits, decimal before
    binary. Nobody who writes five digits before the point has mistaken the unit.
    """
    match = _NUMBER.fullmatch(str(value))
    number = float(match[1]) if match else 0.0
    si, base = TABLE[unit]
    units = {text: float(worth / base) for text, (dimension, worth) in TABLE.items() if dimension == si}
    for room in (1.0, 3.0) if number < 1e4 else ():
        for text, worth in units.items():
            if least / room <= number * worth <= most * room:
                return f"{number:.15g} {text}"
    return None


_UP = tuple((prefix, float(scale)) for prefix, scale in _DECIMAL.items())
_DOWN = tuple((prefix, float(scale)) for prefix, scale in reversed(_SMALL.items()))
_SHOWN: dict[str, tuple[str, float, tuple[tuple[str, float], ...]]] = {  # unit -> (shown as, times, prefixes)
    **{unit: (unit, 1.0, _UP) for unit in ("B", "B/s", "bit/s", "FLOP", "FLOP/s", "Hz")},
    "s": ("s", 1.0, (*_DOWN, ("", 1.0))),
    "W": ("W", 1.0, (*_DOWN, *_UP)),
    "J": ("J", 1.0, (*_DOWN, *_UP)),
    "J/B": ("J/bit", 0.125, (*_DOWN, ("", 1.0))),
    "J/FLOP": ("J/FLOP", 1.0, (*_DOWN, ("", 1.0))),
    "m^2": ("mm^2", 1e6, ()),
}


@dataclass(frozen=True)
class Unit:
    """Marks a pydantic field as a figure in the SI unit `text`: text with a unit is parsed, NaN and inf refused."""

    text: str

    @property
    def expected(self) -> str:
        """What a message says is expected of such a field."""
        return _EXPECTED.get(self.text, f"a value in {self.text}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A number, or a text such as the example: what an editor knows of such a field."""
        example = self.expected.partition("'")[2].removesuffix("'")
        text: dict[str, Any] = {"type": "string", "pattern": r"^\s*[+-]?[.\d]"}
        return {"anyOf": [handler(schema), text | ({"examples": [example]} if example else {})]}

    def _read(self, value: Any) -> float:
        from pydantic_core import PydanticCustomError

        try:
            return parse(value, self.text)
        except UnitError as error:  # pydantic knows the key path, and `config.validate` the line
            context = {"found": error.found, "expected": error.expected, "nearest": error.nearest}
            raise PydanticCustomError("unit", "{found}, expected {expected}", context) from None


Bytes = Annotated[float, Unit("B"), Gt(0)]
Size = Annotated[float, Unit("B"), Ge(0)]
Bandwidth = Annotated[float, Unit("B/s"), Gt(0)]
PinRate = Annotated[float, Unit("bit/s"), Gt(0)]
Rate = Annotated[float, Unit("FLOP/s"), Gt(0)]
Seconds = Annotated[float, Unit("s"), Ge(0)]
Hertz = Annotated[float, Unit("Hz"), Gt(0)]
Watts = Annotated[float, Unit("W"), Ge(0)]
Joules = Annotated[float, Unit("J"), Gt(0)]
EnergyPerByte = Annotated[float, Unit("J/B"), Gt(0)]
EnergyPerFlop = Annotated[float, Unit("J/FLOP"), Gt(0)]
SquareMetres = Annotated[float, Unit("m^2"), Gt(0)]
Fraction = Annotated[float, Unit("1"), Gt(0), Le(1)]
Share = Annotated[float, Unit("1"), Ge(0), Le(1)]
Positive = Annotated[float, Unit("1"), Gt(0)]
Count = Annotated[int, Ge(1), Le(MOST_COUNT)]
Width = Annotated[int, Ge(0), Le(MOST_COUNT)]
Seed = Annotated[int, Ge(0), Lt(2**63)]


def _factor(text: str, unit: str) -> Exact | None:
    """What one `text` is worth in `unit`; None where it is worth nothing in it."""
    known, wanted = TABLE.get(text or unit), TABLE.get(unit)
    if known and wanted:
        (dimension, worth), (expected, base) = known, wanted
        return worth / base if dimension == expected else None
    if _untrapped(text):
        return None
    meant, target = meaning(text or unit), meaning(unit)
    return meant[1] / target[1] if meant and target and meant[0] == target[0] else None


@cache
def meaning(text: str) -> tuple[frozenset[tuple[str, Exact]], Exact] | None:
    """Pint's answer: the dimension of the unit `text` and its exact worth in pint's root units; None if it has none."""
    if text in ("1", "%"):
        return frozenset(), TABLE[text][1]
    if not _UNIT.fullmatch(text):  # pint would evaluate whatever it is given
        return None
    import pint

    try:
        unit = _registry().parse_units(text)
        factor, _ = _registry().get_root_units(unit, check_nonmult=True)
    except (pint.PintError, AttributeError, ArithmeticError, TypeError, ValueError):
        return None
    return (frozenset(unit.dimensionality.items()), Exact(factor)) if factor else None


@cache
def _registry() -> Any:
    """Pint's own units, exact, with bytes, operations and money as dimensions of their own."""
    import pint

    registry: Any = pint.UnitRegistry(None, non_int_type=Exact, on_redefinition="ignore")
    registry.load_definitions(Path(pint.__file__).with_name("default_en.txt"))
    registry.load_definitions(
        [  # before the first look-up: pint remembers what a unit was
            "byte = [information] = B = octet",
            "bit = byte / 8",
            "operation = [operation] = OP = op = FLOP = flop",
            "US_dollar = [money] = USD",
        ]
    )
    return registry


def _error(found: object, unit: str, expected: str | None = None) -> UnitError:
    return UnitError(found=described(found), expected=expected or Unit(unit).expected, nearest=_meant(found, unit))


def _meant(found: object, unit: str) -> str | None:
    """What someone who wrote `found` where `unit` is expected most likely meant."""
    match = _NUMBER.fullmatch(_without_commas(str(found)))
    wanted = TABLE.get(unit)
    if match is None or wanted is None:
        return None
    number, text = match.groups()
    if not text:
        return f"{number} {_PLAIN[unit][2]}" if unit in _PLAIN and is_bounded(float(number)) else None
    fitting = {name for name, (dimension, _) in TABLE.items() if dimension == wanted[0]}
    meant = _untrapped(text)
    for candidate in (meant, meant.removesuffix("/s"), nearest(text, fitting)):
        if candidate in fitting:
            return f"{number} {candidate}"
    return None


def _without_commas(text: str) -> str:
    """A number with commas as Python reads it: `1,000` of thousands, `3,35` with a decimal one."""
    return re.sub(r"^(\s*[+-]?\d+),(?=\d)", r"\1.", re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text))


def _untrapped(text: str) -> str:
    """The unit that a trap stands for; nothing if `text` is no trap."""
    return next((trap.sub(meant, text) for trap, meant in _TRAPS if trap.fullmatch(text)), "")
