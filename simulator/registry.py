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

HOMES = {
    "chart": ("simulator.report.charts",),
    "compile": ("simulator.mapping.dataflow.programs",),
    "dispatch": ("simulator.mapping.dispatch",),
    "evaluator": ("simulator.scenario.evaluators",),
    "importer": ("simulator.validation.measured.importers",),
    "kv": ("simulator.serving.kv",),
    "lowering": ("simulator.mapping.lowerings",),
    "requests": ("simulator.workload.requests.importers",),
    "residency": ("simulator.core.residency",),
    "rows": ("simulator.core.row_policies",),
    "scheduler": ("simulator.serving.schedulers",),
    "search": ("simulator.study.search",),
    "split": ("simulator.mapping.two_engines.experts",),
    "tier": ("simulator.hardware.tiers",),
}
"""Where our implementations of a kind are: in modules, or in folders of which each file registers some."""

_registered: dict[str, dict[str, Any]] = {}


def register(kind: str, name: str) -> Callable[[T], T]:
    """Decorate an implementation of `kind` (`lowering`, `residency`, ...) to be found by `name`.

    Raises:
        ValueError: the name is taken by another implementation.
    """

    def add(implementation: T) -> T:
        known = _registered.setdefault(kind, {})
        if known.setdefault(name, implementation) is not implementation:
            raise ValueError(f"{kind} '{name}' is registered already, as {known[name]!r}")
        return implementation

    return add


def registered(kind: str, name: str) -> Any:
    """The implementation of `kind` by `name`; those of other packages are loaded if ours have none.

    Raises:
        ConfigError: nobody registered it; names those that are there.
    """
    if not is_registered(kind, name):
        raise unknown(name, names(kind), f"no such {kind}", found=name)
    return _registered[kind][name]


def is_registered(kind: str, name: object) -> bool:
    """Whether there is an implementation of `kind` by `name`; of ours, only the file of that name is imported."""
    if not isinstance(name, str):
        return False
    known = _registered.setdefault(kind, {})
    _load_file(kind, name)
    if name not in known:
        _load_ours(kind)
    if name not in known:
        _load_plugins()
    return name in known


def names(kind: str) -> list[str]:
    """The names registered for a kind."""
    _load_ours(kind)
    _load_plugins()
    return sorted(_registered.get(kind, {}))


@cache
def _files(kind: str) -> dict[str, str]:
    """The modules in the folders of a kind, by the names of their files."""
    homes = HOMES.get(kind, ())
    files = ((home, file.name) for home in homes for file in iter_modules(getattr(import_module(home), "__path__", ())))
    return {name: f"{home}.{name}" for home, name in files}


def _load_file(kind: str, name: str) -> None:
    if name not in _registered.get(kind, {}) and name in _files(kind):
        import_module(_files(kind)[name])


@cache
def _load_ours(kind: str) -> None:
    """Import the modules of a kind, and each file of its folders."""
    for module in _files(kind).values():
        import_module(module)


@cache
def _load_plugins() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS):
        point.load()
