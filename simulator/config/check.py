"""Pydantic's check of a config, told in the words of the file: where, what was found, what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from simulator.errors import ConfigError, described, one_of, unknown
from simulator.units import Unit

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from simulator.config import Config

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

MOST = 5
"""How many mistakes one message tells."""


def validate(config: Config, model: type[M], data: Mapping[str, Any] | None = None) -> M:
    """`config` as a `model`; `data` are what it has, where some of its sections are checked already.

    Raises:
        ConfigError: it tells up to `MOST` of the mistakes, a line each.
    """
    from pydantic import ValidationError

    data = config.data if data is None else data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        wrong = list(problems(data, model, error))
    for problem in wrong:
        mark = config.mark(tuple(problem.path or ()))
        problem.file, problem.line = mark.file, mark.line
    raise raised(wrong)


def raised(wrong: Sequence[ConfigError]) -> ConfigError:
    """One error that tells up to `MOST` of several, a line each."""
    if len(wrong) == 1:
        return wrong[0]
    more = [f"and {len(wrong) - MOST} more"] if len(wrong) > MOST else []
    return ConfigError("\n".join([*map(str, wrong[:MOST]), *more]))


@dataclass
class _Place:
    """Where an error's location leads: in the data, and in the types."""

    data: Any
    types: Any
    around: Any = None  # the type of what holds it
    path: list[str | int] = field(default_factory=list)
    apt: bool = True  # false for the members of a union that were never meant


def problems(data: Any, model: type[BaseModel], error: ValidationError) -> Iterator[ConfigError]:
    """What pydantic finds wrong in `data`, as errors of ours with key paths; the caller adds file and line."""
    errors = error.errors(include_url=False)
    placed = [(_place(each["loc"], data, model), each) for each in errors]
    apt = [(place, each) for place, each in placed if place.apt] or placed
    by_path: dict[tuple[str | int, ...], ConfigError] = {}
    inner = [tuple(place.path) for place, _ in apt]
    for place, each in apt:
        if each["type"] == "too_short" and any(_lies_in(path, place.path) for path in inner):
            continue  # items that are wrong count as none
        problem = _problem(place, each)
        path = tuple(problem.path or ())
        known = by_path.setdefault(path, problem)
        if known is not problem and known.expected and problem.expected and problem.expected not in known.expected:
            known.expected += f" or {problem.expected}"
    yield from by_path.values()


def _lies_in(path: Sequence[str | int], around: Sequence[str | int]) -> bool:
    """Whether a path leads to something inside of what another leads to."""
    return len(path) > len(around) and list(path[: len(around)]) == list(around)


def _place(location: Sequence[str | int], data: Any, model: Any) -> _Place:
    """Follow pydantic's location, which names members of unions between the keys, through data and types.

    A form may say by `read_as(data)` that data such as these are read in another.
    """
    place = _Place(data, model)
    for step in location:
        if read_as := getattr(_bare(place.types), "read_as", None):
            place.types = read_as(place.data)
        members, discriminator = _members(place.types)
        if step == "[key]":
            break
        if len(members) > 1:
            place.types, meant = _chosen(members, discriminator, step, place.data)
            place.apt = place.apt and meant
            continue
        place.around = members[0]
        place.types = _inside(members[0], step)
        place.path.append(step)
        place.data = _at(place.data, step)
    return place


def _members(types: Any) -> tuple[list[Any], str | None]:
    """The members of a union other than None, and the key that tells them apart; anything else is its one member."""
    if get_origin(types) is Annotated:
        inner, *extra = get_args(types)
        members, discriminator = _members(inner)
        discriminators = (getattr(item, "discriminator", None) for item in extra)
        return members, next((key for key in discriminators if isinstance(key, str)), discriminator)
    if get_origin(types) in (Union, UnionType):
        members = [member for member in get_args(types) if member is not type(None)]
        return _members(members[0]) if len(members) == 1 else (members, None)
    return [types], None


def _chosen(members: list[Any], discriminator: str | None, label: str | int, data: Any) -> tuple[Any, bool]:
    """The member of a union that pydantic calls `label`, and whether data such as these can have been meant for it."""
    if discriminator:
        return next((member for member in members if label in _tags(member, discriminator)), None), True
    for member in members:
        if label in (getattr(item, "tag", None) for item in getattr(member, "__metadata__", ())):
            return member, True
    structured = [member for member in members if _bare(member) is dict or hasattr(_bare(member), "model_fields")]
    words = re.findall(r"\w+", str(label))  # a form with validators of its own is `function-after[..., Form]`
    member = next((member for member in structured if getattr(_bare(member), "__name__", None) in words), None)
    if member is None and str(label).startswith("dict"):
        member = next((member for member in structured if _bare(member) is dict), None)
    if member is None and isinstance(data, list):
        return next((member for member in members if _bare(member) in (list, tuple)), None), "[" in str(label)
    return member, (member is not None) == isinstance(data, dict)


def _tags(model: Any, discriminator: str) -> tuple[Any, ...]:
    fields = getattr(_bare(model), "model_fields", {})
    return get_args(fields[discriminator].annotation) if discriminator in fields else ()


def _inside(types: Any, step: str | int) -> Any:
    """The type of what stands under `step` in a value of the type `types`; None where that is not known."""
    bare = _bare(types)
    if hasattr(bare, "model_fields"):
        known = bare.model_fields.get(step) or next((f for f in bare.model_fields.values() if f.alias == step), None)
        return Annotated[known.annotation, known] if known else None
    arguments = get_args(types)
    if bare is tuple and isinstance(step, int) and Ellipsis not in arguments:
        return arguments[step] if step < len(arguments) else None
    items = [argument for argument in arguments if argument is not Ellipsis]
    return items[-1] if items else None


def _keys(types: Any) -> list[str]:
    """The keys that a model takes, as a file writes them."""
    fields = getattr(_bare(types), "model_fields", {})
    return [known.alias or name for name, known in fields.items()]


def _expected_unit(types: Any) -> str | None:
    metadata = [item for extra in getattr(types, "__metadata__", ()) for item in getattr(extra, "metadata", ())]
    return next((item.expected for item in metadata if isinstance(item, Unit)), None)


def _bare(types: Any) -> Any:
    """The class behind a type: without its annotations and its parameters; None for a union."""
    members, _ = _members(types)
    return (get_origin(members[0]) or members[0]) if len(members) == 1 else None


def _at(data: Any, step: str | int) -> Any:
    if hasattr(type(data), "model_fields"):  # a section that is checked already
        return getattr(data, str(step), None)
    if step == 0 and not isinstance(data, list):  # one thing, which stands for a list of it
        return data
    if isinstance(data, dict):
        return data.get(str(step))
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


_EXPECTED = {
    "a number": ("float_type", "float_parsing"),
    "a whole number": ("int_type", "int_parsing", "int_from_float", "int_parsing_size"),
    "text": ("string_type",),
    "true or false": ("bool_type", "bool_parsing"),
    "a mapping": ("model_type", "model_attributes_type", "dict_type", "mapping_type"),
    "a list": ("list_type", "tuple_type", "set_type", "frozen_set_type", "sequence_type", "iterable_type"),
    "nothing": ("none_required",),
    "a finite number": ("finite_number",),
}
_PLAIN = {kind: words for words, kinds in _EXPECTED.items() for kind in kinds}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _problem(place: _Place, error: Mapping[str, Any]) -> ConfigError:
    """One of pydantic's errors as one of ours; the caller adds file and line."""
    kind, context, text, path = error["type"], error.get("ctx", {}), error["msg"], place.path
    found = described(place.data)
    if kind == "missing":
        return ConfigError("missing key", path=path, expected=_expected_unit(place.types))
    if kind == "extra_forbidden":
        names = _keys(place.around)
        return unknown(str(path[-1]), names, "unknown key", path=path, found=None)
    if kind == "union_tag_not_found":
        key = context["discriminator"].strip("'")
        names = [tag for member in _members(place.types)[0] for tag in _tags(member, key)]
        return ConfigError("missing key", path=[*path, key], expected=one_of(names))
    if kind == "too_short":
        items = f"{context['actual_length']} items" if context["actual_length"] else "none"
        return ConfigError(path=path, found=items, expected=f"{context['min_length']} or more")
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        if kind == "union_tag_invalid":
            key = context["discriminator"].strip("'")
            path, found = [*path, key], described(_at(place.data, key))
        names = re.findall(r"'([^']*)'", context.get("expected_tags") or context["expected"])
        expected = one_of(names, found.strip("'")) if names else context["expected"]
        return unknown(found.strip("'"), names, path=path, found=found, expected=expected)
    if kind == "unit":
        return ConfigError(path=path, **context)
    if kind == "name":  # found by a validator that sees more than one key: `at` leads on from where it stands
        return ConfigError(path=[*path, *context["at"]], **{k: v for k, v in context.items() if k != "at"})
    if kind in _PLAIN:
        return ConfigError(path=path, found=found, expected=_PLAIN[kind])
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return ConfigError(path=path, found=found, expected=f"{words} {context[bound]:g}")
    if text.startswith("Input should be "):
        return ConfigError(path=path, found=found, expected=text.removeprefix("Input should be "))
    return ConfigError(text.removeprefix("Value error, ").removeprefix("Assertion failed, "), path=path)
