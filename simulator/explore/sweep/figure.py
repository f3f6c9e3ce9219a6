"""A figure of a config by its dotted path: what it is in the base, and which values it may have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from simulator.config import longest_key
from simulator.errors import ConfigError, described, nearest, one_of
from simulator.units import Unit


@dataclass(frozen=True)
class Figure:
    """The `value` that it has, and its type as the form of the config states it."""

    value: Any
    types: Any

    @property
    def unit(self) -> str | None:
        """The SI unit; None where it has none."""
        return next((part.text for part in _parts(self.types) if isinstance(part, Unit)), None)

    @property
    def kind(self) -> type[int] | type[float] | None:
        """Whole numbers, numbers, or None: neither."""
        parts = _parts(self.types)
        return float if float in parts else int if int in parts else None

    def read(self, value: Any) -> Any:
        """A value that a YAML has for it, in SI units.

        Raises:
            ConfigError: a value that it cannot have.
        """
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            problems = error.errors(include_url=False)
        problem = next((each for each in problems if each["type"] in ("unit", "name")), problems[0])
        context, text = problem.get("ctx", {}), problem["msg"]
        if problem["type"] in ("unit", "name"):
            raise ConfigError(**{key: each for key, each in context.items() if key != "at"})
        kind = _KINDS.get(problem["type"].partition("_")[0])
        if kind is None and not text.startswith("Input should be "):
            raise ConfigError(text.removeprefix("Value error, "), found=described(value))
        if problem["type"] in _BOUNDS:
            expected = f"{_BOUNDS[problem['type']]} {next(iter(context.values())):g}"
        elif self._names:
            expected = one_of(self._names)
        else:
            expected = kind or text.removeprefix("Input should be ")
        raise ConfigError(found=described(value), expected=expected, nearest=nearest(str(value), self._names))

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.types)

    @property
    def _names(self) -> list[str]:
        return [part for part in _parts(self.types) if isinstance(part, str)]


_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}  # as pydantic begins


def figure(root: BaseModel, keys: list[str]) -> Figure:
    """The figure of `root` at the path of `keys`.

    Raises:
        ConfigError: there is none, with the nearest; or it is a section of several.
    """
    part: Any = root
    types: Any = type(root)
    while keys:
        names = part if isinstance(part, dict) else type(part).model_fields if isinstance(part, BaseModel) else {}
        key = longest_key(keys, names)
        if key is None:
            expected = one_of(sorted(names)) if names else "no further key"
            close = nearest(keys[0], names)
            raise ConfigError("no such figure", found=f"'{keys[0]}'", expected=expected, nearest=close)
        if isinstance(part, dict):
            part, types = part[key], _inside(types)
        else:
            part, types = getattr(part, key), type(part).model_fields[key].rebuild_annotation()
        keys = keys[key.count(".") + 1 :]
    if isinstance(part, dict | list | tuple | BaseModel):
        names = part if isinstance(part, dict) else type(part).model_fields if isinstance(part, BaseModel) else {}
        raise ConfigError(found="a section" if names else "a list", expected=f"a figure of it: {one_of(sorted(names))}")
    return Figure(part, types)


def _inside(types: Any) -> Any:
    """The type of the values of a table."""
    if get_origin(types) is dict:
        return get_args(types)[1]
    found = (_inside(each) for each in get_args(types) if get_args(each))
    return next((each for each in found if each is not None), None)


def _parts(types: Any) -> list[Any]:
    """A type, and everything that it is made of."""
    if get_origin(types) is Annotated:
        inner, *extra = get_args(types)
        extra += [item for each in extra for item in getattr(each, "metadata", ())]
        return [*_parts(inner), *extra]
    return [types, *(part for each in get_args(types) for part in _parts(each))]
