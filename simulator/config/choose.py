"""A name that must be one of those that are known: checked wherever a form or an axis has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from simulator.errors import ConfigError, described, nearest, one_of
from simulator.registry import names

N = TypeVar("N", bound="str | None")


def choose(name: N, known: Iterable[str], *at: str | int) -> N:
    """The name, if it is known or None; told as of the key `at`, which leads on from where a validator stands."""
    choices = list(known)
    if name is not None and name not in choices:
        told: dict[str, Any] = {"at": at, "found": described(name), "expected": one_of(choices)}
        raise PydanticCustomError("name", "no such name", {**told, "nearest": nearest(name, choices)})
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
        close = nearest(name, known)
        raise ConfigError(message, file=file, path=path, found=f"'{name}'", expected=one_of(known), nearest=close)
    return name


def one_among(known: Callable[[], Iterable[str]]) -> AfterValidator:
    """Checks a text against the names that are known when it is read."""
    return AfterValidator(lambda name: choose(name, known()))


def registered_as(kind: str, *also: str) -> AfterValidator:
    """Checks a text against the names registered for a kind, and those that stand for none of them."""
    return one_among(lambda: [*also, *names(kind)])
