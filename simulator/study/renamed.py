"""Keys that studies and sweeps had once, and what takes their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.config import Config, KeyPath
from simulator.errors import described

TOP = {
    "kind": "none: what a study computes stands in `base`, `cases`, `axes` and `runs`, what it shows in `charts`",
    "sweep": "`base`, `axes` and what else the sweep has, in this file",
    "fronts": "`charts`, each of kind front",
    "heats": "`charts`, each of kind heat",
    "crossings": "`charts`, each of kind crossing",
    "set": "`base`",
}
KINDS = {"serving": "requests", "coe": "expert_models", "pim": "engine_figures", "skew": "routing", "fusion": "kernels"}
"""Kinds that experiments had once, and the kind of workload of a study that computes the same."""
SCENARIO = {
    "kind": "`workload.kind`: batch, expert_models, sparse_flash or requests",
    "set": "figures inside `hardware`: {extends: NAME, path.to.figure: value}",
    "mapping.device": "`mapping.engines`, as DEVICE.ENGINE",
    "mapping.engine": "`mapping.engines`",
    "mapping.home": "`mapping.residency.home`",
    "mapping.cache": "`mapping.residency.cache`",
    "mapping.links": "`mapping.residency.links`",
    "mapping.flash": "`mapping.residency.home`",
    "mapping.dram": "`mapping.residency.cache`",
    "mapping.manager": "`mapping.residency.manager`",
    "mapping.threads": "`mapping.residency.threads`",
    "mapping.policy": "`mapping.residency.policy`",
    "mapping.overlap": "`mapping.residency.overlap`",
    "mapping.memory_bytes": "`mapping.residency.bytes`",
}


def refuse_renamed(config: Config) -> None:
    """Nothing where a study has none of the keys that others took the place of.

    Raises:
        ConfigError: it has one: at its line, with what takes its place.
    """
    for at, key, value in _keys(config.data):
        expected = TOP.get(key) if at == () else SCENARIO.get(key)
        if at == () and key == "kind" and str(value) in KINDS:
            expected = f"none: `base.workload.kind: {KINDS[str(value)]}`, and what varies of that in `cases` and `runs`"
        if expected:
            full = (*at, *key.split(".")) if (*at, *key.split(".")) in config.marks else (*at, key)
            raise config.error(full, "no longer a key", found=described(value), expected=expected)


def _keys(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, Any]]:
    """The keys of a study: those at the top, and those of its partial scenarios and its axes by their paths in one."""
    yield from (((), key, value) for key, value in data.items())
    partial: list[tuple[KeyPath, Any]] = [(("base",), data.get("base"))]
    levels: list[tuple[KeyPath, Any]] = [((), data)]
    for name, run in _items(data.get("runs")):
        partial.append((("runs", name), run))
        levels.append((("runs", name), run))
    for axis, cases in _items(data.get("cases")):
        partial += [(("cases", axis, name), case) for name, case in _items(cases)]
    for at, part in partial:
        for key, value in _items(part):
            yield at, key, value
            if key == "mapping":
                yield from ((at, f"mapping.{inner}", each) for inner, each in _items(value))
    for at, level in levels:
        groups = [((*at, "axes"), _get(level, "axes"))]
        zipped = _get(level, "zip")
        groups += [((*at, "zip", place), each) for place, each in enumerate(zipped if isinstance(zipped, list) else ())]
        for where, group in groups:
            yield from ((where, path, value) for path, value in _items(group))


def _items(value: Any) -> Any:
    return value.items() if isinstance(value, dict) else ()


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
