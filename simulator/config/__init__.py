"""The one loader of YAML: a file, what it extends and what the command sets become one checked, sourced config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

from simulator import data as folders
from simulator.config.check import validate
from simulator.config.figures import ROLES
from simulator.config.read import Mark, Node, Source
from simulator.config.resolve import OPTION, Override, longest_key, resolve
from simulator.errors import ConfigError, described
from simulator.units import LEAST, MOST, is_bounded

__all__ = ["OPTION", "ROLES", "Config", "KeyPath", "Mark", "Source", "load", "longest_key", "validate"]

KeyPath = tuple[str | int, ...]

INLINE = Path("inline")
"""The file of a config that no file holds."""


@dataclass(frozen=True)
class Config:
    """Plain data, its figures folded to their values, and for each key path where it was written and its source."""

    file: Path
    data: dict[str, Any]
    marks: Mapping[KeyPath, Mark]
    sources: Mapping[KeyPath, Source]

    def mark(self, path: KeyPath) -> Mark:
        """Where a key stands, or the nearest mapping that should hold it."""
        return next(self.marks[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.marks)

    def error(
        self,
        path: KeyPath,
        message: str = "",
        *,
        found: object = None,
        expected: str | None = None,
        nearest: str | None = None,
    ) -> ConfigError:
        """An error at the line of a key (`mark`)."""
        mark = self.mark(path)
        return ConfigError(
            message, file=mark.file, line=mark.line, path=path, found=found, expected=expected, nearest=nearest
        )

    def source(self, *path: str | int) -> Source | None:
        """The source of the figure at `path`: its own, else that of the nearest mapping around it in its file."""
        known = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self.marks), ())
        return self.sources.get(known)

    def replaced(self, values: Mapping[tuple[str, ...], Any]) -> Config:
        """The config with other values at some keys, which nothing checks, as if options had given them."""
        below = {path for path in self.marks if any(path[: len(keys)] == keys for keys in values)}
        marks = {path: mark for path, mark in self.marks.items() if path not in below}
        sources = {path: source for path, source in self.sources.items() if path not in below}
        data = self.data
        for keys, value in values.items():
            data = _replaced(data, keys, value)
            marks[keys], sources[keys] = Mark(OPTION), Source(str(OPTION), "assumption")
        return replace(self, data=data, marks=marks, sources=sources)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the resolved data as canonical JSON: equal for equal data, whatever the files it came from."""
        from hashlib import sha256

        canonical = json.dumps(self.data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(canonical.encode(errors="backslashreplace")).hexdigest()


def load(source: str | Path | Mapping[str, Any], folder: str, overrides: Sequence[Override] = ()) -> Config:
    """The config of that name in `folder`, or in that file, with what it extends and with `overrides` applied.

    A mapping is an inline config: figures by their dotted paths, over what it `extends`. An override is
    ``path.to.key=value``, as after ``--set``, or such a path and a value. Raises `ConfigError` with file, line and key
    path.
    """
    if isinstance(source, Mapping):
        overrides = [*((key, value) for key, value in source.items() if key != "extends"), *overrides]
    named = source.get("extends") if isinstance(source, Mapping) else source
    file = None if named is None else folders.find(named, folder)
    marks: dict[KeyPath, Mark] = {}
    sources: dict[KeyPath, Source] = {}
    data = _plain(resolve(file, folder, overrides), (), marks, sources)
    return Config(file or INLINE, data, marks, sources)


def _replaced(data: Mapping[str, Any] | None, keys: Sequence[str], value: Any) -> Any:
    if not keys:
        return value
    known = data or {}
    inner = _replaced(known.get(keys[0]), keys[1:], value)
    return {key: each for key, each in {**known, keys[0]: inner}.items() if each is not None or key != keys[0]}


def _plain(node: Node, path: KeyPath, marks: dict[KeyPath, Mark], sources: dict[KeyPath, Source]) -> Any:
    marks[path] = node.mark
    if node.source:
        sources[path] = node.source
    if isinstance(node.value, dict):
        return {key: _plain(child, (*path, key), marks, sources) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(item, (*path, index), marks, sources) for index, item in enumerate(node.value)]
    foreign = str(node.mark.file).endswith(".json")  # of whose figures those that are read have bounds of their own
    if isinstance(node.value, int | float) and not foreign and abs(node.value) < inf and not is_bounded(node.value):
        found, expected = described(node.value), f"0, or a number of {LEAST:g} to {MOST:g}"
        raise ConfigError(file=node.mark.file, line=node.mark.line, path=path, found=found, expected=expected)
    return node.value
