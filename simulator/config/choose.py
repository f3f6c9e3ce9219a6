"""A name that must be one of those that are known: checked wherever a form or an axis has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from simulator.errors import described, unknown
from simulator.registry import names

N = TypeVar("N", bound="str | None")


def choose(name: N, known: Iterable[str], *at: str | int) -> N:
    """The name, if it is known or None; told as of the key `at`, which leads on from where a validator stands."""
    choices = list(known)
    if name is not None and name not in choices:
        error = unknown(str(name), choices, found=described(name))  # not yet a text, where a form is chosen by it
        context = {"at": at, "found": error.found, "expected": error.expected, "nearest": error.nearest}
        raise PydanticCustomError("name", "no such name", context)
    return name


def check_name(
    name: str,
    known: Collection[str],
    path: str | Sequence[str | int] | None = None,
    message: str = "",
    file: Path | None = None,
) -> str:
    """The name, if it is known: as `choose`, outside of a form.

    Raises:
        ConfigError: it is not; with the nearest.
    """
    if name not in known:
        raise unknown(name, known, message, file=file, path=path)
    return name


@dataclass(frozen=True)
class OneAmong:
    """Chooses a name among those that are known when it is read."""

    known: Callable[[], Iterable[str]]

    def __call__(self, name: str) -> str:
        return choose(name, self.known())


def one_among(known: Callable[[], Iterable[str]]) -> AfterValidator:
    """Checks a text against the names that are known when it is read."""
    return AfterValidator(OneAmong(known))


@dataclass(frozen=True)
class Listed:
    """Lists in a JSON Schema the names registered for a kind."""

    kind: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": names(self.kind)}


def registered_as(kind: str, *also: str) -> AfterValidator:
    """Checks a text against the names registered for a kind, and those that stand for none of them."""
    return one_among(lambda: [*also, *names(kind)])


OF_KIND = "x-of-kind"


@dataclass(frozen=True)
class OfKinds:
    """Says in a JSON Schema that a mapping is written as one of the forms registered for a kind.

    As `{OF_KIND: kind}`, which `study/schema.py` replaces by references to those forms.
    """

    kind: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {OF_KIND: self.kind}
