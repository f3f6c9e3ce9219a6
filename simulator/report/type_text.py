"""The type of a key of a form in words: what it may hold, in which unit, within which bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, BaseModel, InstanceOf
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from simulator.config.choose import OfKinds, OneAmong
from simulator.config.section import Written
from simulator.registry import names, registered
from simulator.units import MOST_COUNT, Unit

Levels: TypeAlias = tuple[str, ...]
"""The steps from a key to the sections that lie under it: `.NAME` of a mapping by name, `[]` of a list."""

_PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "anything"}
_BOUNDS = {
    Gt: " > {0.gt:g}",
    Ge: " ≥ {0.ge:g}",
    Lt: " < {0.lt:g}",
    Le: " ≤ {0.le:g}",
    MinLen: " {0.min_length} or more",
}


def type_text(types: Any, link: Callable[[type[BaseModel]], str]) -> str:
    """What a value of the type may be; a form is what `link` makes of it.

    ``type_text(Bandwidth | None, link) == "number in B/s > 0"``
    """
    if get_origin(types) is Annotated:
        return _bounded(types, link)
    origin, arguments = get_origin(types), [each for each in get_args(types) if not _is_unwritten(each)]
    inner = [type_text(each, link) for each in arguments if each is not Ellipsis and origin is not Literal]
    if origin is Literal:
        return _either([f"`{_word(each)}`" for each in arguments])
    if origin in (Union, UnionType):
        return _either(inner)
    if origin is dict:
        return f"by name: {inner[1]}"
    if origin in (list, tuple):
        return f"list of {inner[0]}" if len(inner) == 1 else f"[{', '.join(inner)}]"
    return _PLAIN.get(types) or link(types)


def field_type(field: FieldInfo) -> Any:
    """The type of a key with all that it is annotated with."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def forms(types: Any) -> Iterator[tuple[Levels, type[BaseModel]]]:
    """The forms of the sections that a value of the type may hold, and the steps to them."""
    if isinstance(types, type) and issubclass(types, BaseModel):
        yield (), types
        return
    if registry := _registry(types):
        yield from (((), form) for form in registry)
        return
    origin, arguments = get_origin(types), [each for each in get_args(types) if not _is_unwritten(each)]
    level = {dict: (".NAME",), list: ("[]",), tuple: ("[]",)}.get(origin, ())
    for inner in arguments[:1] if origin is Annotated else () if origin is Literal else arguments:
        for levels, form in forms(inner):
            yield (*level, *levels), form


def unit(types: Any) -> str | None:
    """The unit of the figures of a type, if it has one."""
    return next((each.text for each in _annotations(types) if isinstance(each, Unit)), None)


def _bounded(types: Any, link: Callable[[type[BaseModel]], str]) -> str:
    """The type that is annotated, as a file writes it, with its unit and its bounds but that of all counts."""
    inner, *annotations = get_args(types)
    if registry := _registry(types):
        return f"section: {_either([link(form) for form in registry])}"
    flat = list(_flat(annotations))
    written = (getattr(each, "json_schema_input_type", PydanticUndefined) for each in flat)
    text = type_text(next((each for each in written if each is not PydanticUndefined), inner), link)
    text = next((_either([f"`{name}`" for name in known]) for known in map(_known, flat) if known), text)
    units = [f" in {each.text}" for each in flat if isinstance(each, Unit) and each.text != "1"]
    bounds = [_BOUNDS[type(each)].format(each) for each in flat if type(each) in _BOUNDS and each != Le(MOST_COUNT)]
    comma = "," if MinLen in map(type, flat) else ""
    return text + "".join(units) + comma + ",".join(bounds)


def _registry(types: Any) -> list[type[BaseModel]]:
    """The forms of which a mapping is written as one, where its annotation says it."""
    for each in _flat(get_args(types)[1:]) if get_origin(types) is Annotated else ():
        if isinstance(each, Written):
            return [each.form]
        if isinstance(each, OfKinds):
            return [registered(each.kind, name).form for name in names(each.kind)]
    return []


def _known(annotation: Any) -> list[str]:
    """The names of which an annotation allows one."""
    func = annotation.func if isinstance(annotation, AfterValidator) else None
    return list(func.known()) if isinstance(func, OneAmong) else []


def _is_unwritten(types: Any) -> bool:
    """Whether no file can hold a value of the type: null, which is absence, and objects of the program."""
    return types is type(None) or any(type(each) is InstanceOf for each in _flat(get_args(types)[1:]))


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _annotations(types: Any) -> Iterator[Any]:
    if get_origin(types) is Annotated:
        yield from _flat(get_args(types)[1:])
    for inner in get_args(types):
        yield from _annotations(inner)


def _flat(annotations: Any) -> Iterator[Any]:
    for each in annotations:
        if isinstance(each, FieldInfo):
            yield from _flat(each.metadata)
        else:
            yield each


def _either(choices: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
