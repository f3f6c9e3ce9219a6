"""A name that must be one of those that are known: checked wherever a form or an axis has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from simulator.errors import described, nearest, one_of
from simulator.registry import names

N = TypeVar("N", bound="str | None")


def choose(name: N, known: Iterable[str], *at: str | int) -> N:
    """The name, if it is known or None; told as of the key `at`, which leads on from where a validator stands."""
    there = list(known)
    if name is not None and name not in there:
        told: dict[str, Any] = {"at": at, "found": described(name), "expected": one_of(there)}
        raise PydanticCustomError("name", "no such name", {**told, "nearest": nearest(name, there)})
    return name


def one_among(known: Callable[[], Iterable[str]]) -> AfterValidator:
    """Checks a text against the names that are known when it is read."""
    return AfterValidator(lambda name: choose(name, known()))


def registered_as(kind: str, *also: str) -> AfterValidator:
    """Checks a text against the names registered for a kind, and those that stand for none of them."""
    return one_among(lambda: [*also, *names(kind)])
