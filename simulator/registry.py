"""Implementations by kind and name: ours and those of other packages register alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from simulator.errors import unknown

T = TypeVar("T")

ENTRY_POINTS = "tiersim.plugins"  # modules that other packages have imported, so that they register

FOLDERS = {"chart": "simulator.report.charts", "evaluator": "simulator.scenario.evaluators"}
"""Where our implementations of a kind are: each file of the folder registers one."""

_found: dict[str, dict[str, Any]] = {}


def register(kind: str, name: str) -> Callable[[T], T]:
    """Decorate an implementation of `kind` (`lowering`, `residency`, ...) to be found by `name`.

    Raises:
        ValueError: the name is taken by another implementation.
    """

    def add(implementation: T) -> T:
        known = _found.setdefault(kind, {})
        if known.setdefault(name, implementation) is not implementation:
            raise ValueError(f"{kind} '{name}' is registered already, as {known[name]!r}")
        return implementation

    return add


def registered(kind: str, name: str) -> Any:
    """The implementation of `kind` by `name`; those of other packages are loaded if ours have none.

    Raises:
        ConfigError: nobody registered it; names those that are there.
    """
    _load_folder(kind)
    if name not in _found.get(kind, {}):
        _load_plugins()
    known = _found.get(kind, {})
    if name not in known:
        raise unknown(name, sorted(known), f"no such {kind}", found=name)
    return known[name]


def names(kind: str) -> list[str]:
    """The names registered for a kind."""
    _load_folder(kind)
    _load_plugins()
    return sorted(_found.get(kind, {}))


@cache
def _load_folder(kind: str) -> None:
    """Import each file of the folder of a kind."""
    if kind in FOLDERS:
        for module in iter_modules(import_module(FOLDERS[kind]).__path__):
            import_module(f"{FOLDERS[kind]}.{module.name}")


@cache
def _load_plugins() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS):
        point.load()
