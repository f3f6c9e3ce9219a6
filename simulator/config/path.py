"""The value at a dotted path of a typed config: what it is, which values it may have, and the config with another.

A path is keys with dots between them, of which some have dots of their own: `links.host<->gpu.hbm.bandwidth`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from simulator.config.check import problems, raised
from simulator.config.resolve import longest_key
from simulator.errors import ConfigError, described, one_of, unknown
from simulator.units import Unit

M = TypeVar("M", bound=BaseModel)

_Keys: TypeAlias = tuple[str, ...]


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
            wrong = error.errors(include_url=False)
        problem = next((each for each in wrong if each["type"] in ("unit", "name")), wrong[0])
        context, text = problem.get("ctx", {}), problem["msg"]
        if problem["type"] in ("unit", "name"):
            raise ConfigError(**{key: each for key, each in context.items() if key != "at"})
        kind = _KINDS.get(problem["type"].partition("_")[0])
        if kind is None and not text.startswith("Input should be "):
            raise ConfigError(text.removeprefix("Value error, "), found=described(value))
        if problem["type"] in _BOUNDS:
            expected = f"{_BOUNDS[problem['type']]} {next(iter(context.values())):g}"
        elif self._names:
            expected = one_of(self._names, str(value))
        else:
            expected = kind or text.removeprefix("Input should be ")
        raise unknown(str(value), self._names, found=described(value), expected=expected)

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


def keys(root: BaseModel, path: str) -> tuple[str, ...]:
    """The keys that a path leads over; below a section that `root` has not got, as the path has them.

    Raises:
        ConfigError: there is no such key, with the nearest; its path leads to that key.
    """
    return _walked(root, path, beyond=True)[0]


def get(root: BaseModel, path: str) -> Any:
    """The value at a path: a figure, a section, a table or a list.

    Raises:
        ConfigError: there is none, with the nearest.
    """
    return _walked(root, path)[1]


def figure(root: BaseModel, path: str) -> Figure:
    """The figure at a path, with its type.

    Raises:
        ConfigError: there is none, with the nearest; or it is a section of several.
    """
    try:
        _, value, types = _walked(root, path)
    except ConfigError as error:
        key, close = (error.path or [path])[-1], error.nearest
        raise ConfigError("no such figure", found=f"'{key}'", expected=error.expected, nearest=close) from None
    if isinstance(value, dict | list | tuple | BaseModel):
        names = _names(value)
        raise ConfigError(found="a section" if names else "a list", expected=f"a figure of it: {one_of(sorted(names))}")
    return Figure(value, types)


def replaced(root: M, values: Mapping[str, Any]) -> M:
    """A config with other values at some paths, checked as if a file had them; None takes a key away, as null does.

    A value may be a text with a unit, a section or a list. The sections that lead to it are checked anew, with what
    they check of more than one key; all other sections are shared with `root`. What stands below a section that `root`
    has not got makes that section.

    Raises:
        ConfigError: no such key, with the nearest; a value that it cannot have, or that contradicts others. Its path is
            that of the key, and it has no file.
    """
    return checked(type(root), opened(root, values))


def checked(form: type[M], data: Mapping[str, Any]) -> M:
    """Plain data of no file in its form.

    Raises:
        ConfigError: what is wrong with it, by its key.
    """
    try:
        return form.model_validate(data)
    except ValidationError as error:
        raise raised(list(problems(data, form, error))) from None


def opened(root: BaseModel, values: Mapping[str, Any]) -> dict[str, Any]:
    """The data of `replaced`, to be checked: the sections that lead to the values as tables, all others as they are.

    Raises:
        ConfigError: no such key, with the nearest.
    """
    data: dict[str, Any] = _with(root, _exact(root, values), checked=True)
    return data


def put(root: M, values: Mapping[str, Any]) -> M:
    """A config with other values at some paths that nothing checks: what the program made itself, arrays among them.

    Raises:
        ConfigError: no such key, with the nearest.
    """
    copy: M = _with(root, _exact(root, values), checked=False)
    return copy


def _exact(root: BaseModel, values: Mapping[str, Any]) -> dict[_Keys, Any]:
    """The values by the keys that their paths lead over."""
    exact = {keys(root, path): value for path, value in values.items()}
    for path in exact:
        if outer := next((path[:end] for end in range(len(path)) if path[:end] in exact), None):
            raise ConfigError(path=path, found=f"a value for {'.'.join(outer)} too", expected="one of the two")
    return exact


def _with(part: Any, values: Mapping[_Keys, Any], *, checked: bool) -> Any:
    """A part with the values at these keys below it; to be `checked`, as the data of a file would be."""
    if () in values:
        return values[()]
    below: dict[str, dict[_Keys, Any]] = {}
    for (key, *rest), value in values.items():
        below.setdefault(key, {})[tuple(rest)] = value
    changes = {key: _with(_inner(part, key), some, checked=checked) for key, some in below.items()}
    if isinstance(part, BaseModel) and not checked:
        copy = part.model_copy(update=changes)
        for cached in vars(copy).keys() - type(copy).model_fields.keys():  # what was computed from other values
            del vars(copy)[cached]
        return copy
    present = {key: getattr(part, key) for key in part.model_fields_set} if isinstance(part, BaseModel) else part or {}
    return {key: value for key, value in {**present, **changes}.items() if value is not None or key not in changes}


def _walked(root: BaseModel, path: str, beyond: bool = False) -> tuple[_Keys, Any, Any]:
    """The keys that a path leads over, the value there and its type; `beyond`: it may lead on where there is nothing.

    Raises:
        ConfigError: there is no such key, with the nearest.
    """
    rest = path.split(".") if path else []
    keys: list[str] = []
    part: Any = root
    types: Any = type(root)
    while rest:
        if part is None and beyond:
            return (*keys, *rest), None, None
        names = _names(part)
        key = longest_key(rest, names)
        if key is None:
            expected = one_of(sorted(names)) if names else "no further key"
            raise unknown(rest[0], names, "unknown key", path=[*keys, rest[0]], found=None, expected=expected)
        types = type(part).model_fields[key].rebuild_annotation() if isinstance(part, BaseModel) else _inside(types)
        part = _inner(part, key)
        keys.append(key)
        rest = rest[key.count(".") + 1 :]
    return tuple(keys), part, types


def _names(part: Any) -> Collection[str]:
    return part if isinstance(part, dict) else type(part).model_fields if isinstance(part, BaseModel) else ()


def _inner(part: Any, key: str) -> Any:
    return getattr(part, key) if isinstance(part, BaseModel) else (part or {}).get(key)


def _inside(types: Any) -> Any:
    """The type of the values of a table."""
    if get_origin(types) is dict:
        return get_args(types)[1]
    inner = (_inside(each) for each in get_args(types) if get_args(each))
    return next((each for each in inner if each is not None), None)


def _parts(types: Any) -> list[Any]:
    """A type, and everything that it is made of."""
    if get_origin(types) is Annotated:
        inner, *extra = get_args(types)
        extra += [item for each in extra for item in getattr(each, "metadata", ())]
        return [*_parts(inner), *extra]
    return [types, *(part for each in get_args(types) for part in _parts(each))]
