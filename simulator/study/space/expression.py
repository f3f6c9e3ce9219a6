"""Arithmetic over named columns, as a sweep's YAML writes it: `0.6 * sram + 20`, `tbt_s <= 0.05 and model == 'x'`.

The text is read by Python's own parser, and each node of its tree that is not named here is refused: nothing of it is
ever run by Python.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, one_of, unknown

LONGEST = 1000
"""Characters of an expression."""

DEEPEST = 100
"""Parts of an expression inside one another; each term of a sum is one."""

LARGEST_EXPONENT = 100

Columns: TypeAlias = Mapping[str, Any]  # arrays or single values
_Meaning: TypeAlias = Callable[[Columns], Any]

FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int | None]] = {
    "min": (np.minimum, None),
    "max": (np.maximum, None),
    "abs": (np.abs, 1),
    "sqrt": (np.sqrt, 1),
    "log": (np.log, 1),
    "log2": (np.log2, 1),
    "log10": (np.log10, 1),
    "exp": (np.exp, 1),
    "floor": (np.floor, 1),
    "ceil": (np.ceil, 1),
    "round": (np.rint, 1),
}
"""What may be called, and with how many arguments: two or more where that is None."""


@dataclass(frozen=True)
class Expression:
    """An expression, the names that it reads, and the texts with which it compares a name."""

    text: str
    names: frozenset[str] = field(compare=False)
    texts: frozenset[tuple[str, str]] = field(compare=False)
    _meaning: _Meaning = field(compare=False, repr=False)

    def at(self, columns: Columns) -> NDArray[Any]:
        """Its value at each point: float64, bool of a condition, or object of a text; 0-d where it reads no array.

        Numbers are doubles. Nothing is raised for x / 0 or the root of -1: they are inf and NaN, and NaN is what is
        missing.

        Raises:
            ConfigError: a name that `columns` lacks; a text where a number is expected, or the other way round.
        """
        self.check(columns)
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(self._meaning(columns))
        except ConfigError as error:
            raise _inside(self.text, error) from None
        return value.astype(float) if value.dtype.kind in "iu" else value

    def holds(self, columns: Columns) -> NDArray[np.bool_]:
        """Where it is true, as `at` has it: not where its value is missing.

        Raises:
            ConfigError: as `at`; a text.
        """
        value = self.at(columns)
        try:
            return _truth(value)
        except ConfigError as error:
            raise _inside(self.text, error) from None

    def check(self, known: Collection[str]) -> None:
        """Nothing, where all its names are known; else a ConfigError, with the nearest."""
        try:
            check(self.names, known)
        except ConfigError as error:
            raise _inside(self.text, error) from None

    def check_texts(self, values: Mapping[str, Collection[str]]) -> None:
        """Nothing, where each name with known values is compared with one of these; else a ConfigError."""
        for name, text in sorted(self.texts):
            if name in values and text not in values[name]:
                expected = f"for '{name}' {one_of(values[name])}"
                raise _inside(self.text, unknown(text, values[name], expected=expected))

    def __reduce__(self) -> tuple[object, ...]:
        return parse, (self.text,)


def parse(text: str) -> Expression:
    """The expression that `text` writes, in the syntax and with the precedence of Python.

    Numbers, names, `+ - * / // % **`, comparisons, `and or not`, `a if c else b`, and calls of `FUNCTIONS`, all
    element by element; texts with `==`, `!=` and `in` alone.

    Raises:
        ConfigError: anything else, with the part that is not allowed.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise ConfigError("an expression", found=f"{len(text)} characters", expected=f"{LONGEST} at most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser has an opinion on the style of `1if x else 2`
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise ConfigError(f"no expression: {reason}", found=_quoted(text), expected=_EXAMPLE) from None
    reader = _Reader(text)
    try:
        meaning = reader.value(tree, 0)
    except ConfigError as error:
        raise _inside(text, error) from None
    return Expression(text, frozenset(reader.names), frozenset(reader.texts), meaning)


def check(names: Iterable[str], known: Collection[str]) -> None:
    """Nothing, where all `names` are known; else a ConfigError with the first that is not, and the nearest known."""
    for name in sorted(names):
        if name not in known:
            raise unknown(name, sorted(known), "unknown name")


_BINARY: Mapping[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.Pow: np.power,
}
_ORDER: Mapping[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_EXAMPLE = "one such as 'tbt_s <= 0.05', in SI units"
_ALLOWED = "numbers, names, + - * / // % **, comparisons, and, or, not, a if c else b, and calls of functions"


class _Reader:
    """Turns the tree of `text` into what evaluates it, and collects the names."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.names: set[str] = set()
        self.texts: set[tuple[str, str]] = set()

    def value(self, node: ast.expr, depth: int) -> _Meaning:
        depth += 1
        if depth > DEEPEST:
            raise ConfigError(found="parts inside one another", expected=f"{DEEPEST} of them at most")
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return self._constant(node, number)
            case ast.Name(id=name):
                self.names.add(name)
                return lambda columns: columns[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                negated = self.value(operand, depth)
                return lambda columns: -_number(negated(columns))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                denied = self.value(operand, depth)
                return lambda columns: ~_truth(denied(columns))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._binary(_BINARY[type(op)], left, right, depth)
            case ast.BoolOp(op=op, values=values):
                joined = np.logical_and if isinstance(op, ast.And) else np.logical_or
                parts = [self.value(each, depth) for each in values]
                return lambda columns: reduce(joined, [_truth(part(columns)) for part in parts])
            case ast.IfExp(test=test, body=body, orelse=orelse):
                when, then, other = (self.value(each, depth) for each in (test, body, orelse))
                return lambda columns: np.where(_truth(when(columns)), then(columns), other(columns))
            case ast.Compare():
                return self._comparison(node, depth)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(node, name, arguments, depth)
        raise self._refused(node)

    def _constant(self, node: ast.expr, number: float) -> _Meaning:
        try:
            value = number if isinstance(number, bool) else float(number)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self._refused(node, expected="a number of at most 1.8e308")
        return lambda columns: value

    def _binary(self, operator: Callable[..., Any], left: ast.expr, right: ast.expr, depth: int) -> _Meaning:
        if operator is np.power:
            exponent = right.operand if isinstance(right, ast.UnaryOp) else right
            number = exponent.value if isinstance(exponent, ast.Constant) else 0
            if isinstance(number, int | float) and number > LARGEST_EXPONENT:
                raise self._refused(right, expected=f"an exponent of at most {LARGEST_EXPONENT}")
        a, b = self.value(left, depth), self.value(right, depth)
        return lambda columns: operator(_number(a(columns)), _number(b(columns)))

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr], depth: int) -> _Meaning:
        if name not in FUNCTIONS:
            raise unknown(name, FUNCTIONS, "no such function")
        function, count = FUNCTIONS[name]
        if len(arguments) < 2 if count is None else len(arguments) != count:
            raise self._refused(node, expected=f"{name} of {'two or more' if count is None else count}")
        parts = [self.value(argument, depth) for argument in arguments]
        if count is None:
            return lambda columns: reduce(function, [_number(part(columns)) for part in parts])
        return lambda columns: function(_number(parts[0](columns)))

    def _comparison(self, node: ast.Compare, depth: int) -> _Meaning:
        sides = [node.left, *node.comparators]
        pairs = [self._pair(*pair, depth) for pair in zip(node.ops, sides, sides[1:], strict=False)]
        return lambda columns: reduce(np.logical_and, [pair(columns) for pair in pairs])

    def _pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr, depth: int) -> _Meaning:
        for side, other in ((left, right), (right, left)):
            literals = other.elts if isinstance(other, ast.Tuple | ast.List) else [other]
            texts = [each.value for each in literals if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            self.texts |= {(side.id, text) for text in texts if isinstance(side, ast.Name)}
        match op:
            case ast.Eq() | ast.NotEq():
                a, b = self._operand(left, depth), self._operand(right, depth)
                if isinstance(op, ast.Eq):
                    return lambda columns: _equal(a(columns), b(columns))
                return lambda columns: ~_equal(a(columns), b(columns))
            case ast.In() | ast.NotIn() if isinstance(right, ast.Tuple | ast.List) and right.elts:
                one = self.value(left, depth)
                of = [self._literal(each, depth) for each in right.elts]
                if isinstance(op, ast.In):
                    return lambda columns: _among(one(columns), [each(columns) for each in of])
                return lambda columns: ~_among(one(columns), [each(columns) for each in of])
            case ast.In() | ast.NotIn():
                raise self._refused(right, expected="a list such as ('a', 'b')")
        if type(op) not in _ORDER:
            raise self._refused(left, expected="the comparisons == != < <= > >= in")
        compare, a, b = _ORDER[type(op)], self.value(left, depth), self.value(right, depth)
        return lambda columns: compare(_number(a(columns)), _number(b(columns)))

    def _operand(self, node: ast.expr, depth: int) -> _Meaning:
        """What may be compared with ==: a text too."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = np.asarray(node.value, dtype=object)
            return lambda columns: text
        return self.value(node, depth)

    def _literal(self, node: ast.expr, depth: int) -> _Meaning:
        if not isinstance(node, ast.Constant):
            raise self._refused(node, expected="a text or a number in the list")
        return self._operand(node, depth)

    def _refused(self, node: ast.expr, expected: str | None = None) -> ConfigError:
        part = ast.get_source_segment(self._text, node) or type(node).__name__
        if expected is None and isinstance(node, ast.Constant) and isinstance(node.value, str):
            expected = "a text with ==, != or in alone"
        if expected is None and isinstance(node, ast.Attribute):
            expected = "the name of an axis, without dots: its `name`, or the last key of its path"
        return ConfigError("not allowed", found=_quoted(part), expected=expected or _ALLOWED)


def _number(value: Any) -> NDArray[Any]:
    """As doubles; None is NaN.

    Raises:
        ConfigError: a text.
    """
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        text = next((item for item in array.flat if isinstance(item, str)), None)
        if text is not None:
            raise ConfigError(found=_quoted(text), expected="a number there")
    return array.astype(float, copy=False)


def _truth(value: Any) -> NDArray[np.bool_]:
    """Where it is neither 0 nor missing."""
    array = np.asarray(value)
    if array.dtype == bool:
        return array
    number = _number(array)
    return np.asarray((number != 0) & ~np.isnan(number))


def _equal(a: Any, b: Any) -> NDArray[Any]:
    """Where they are equal.

    Raises:
        ConfigError: one is a text, and the other a number.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind in "OUS" and b.dtype.kind in "OUS":
        return np.asarray(a.astype(object) == b.astype(object), dtype=bool)
    try:
        return np.asarray(_number(a) == _number(b))
    except ConfigError as error:
        raise ConfigError("a text is compared with a number", found=error.found) from None


def _among(one: Any, of: list[Any]) -> NDArray[Any]:
    return np.asarray(reduce(np.logical_or, [_equal(one, each) for each in of]))


def _inside(text: str, error: ConfigError) -> ConfigError:
    """The same error, which names the whole expression."""
    message = ": ".join(filter(None, (f"in {_quoted(text)}", error.message)))
    return ConfigError(message, found=error.found, expected=error.expected, nearest=error.nearest)


def _quoted(text: str) -> str:
    return f"'{text}'" if len(text) <= 80 else f"'{text[:77]}...'"
