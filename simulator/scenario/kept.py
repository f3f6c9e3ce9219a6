"""Metrics that the same sources gave of the same question before: a folder in which slow points are kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from os.path import isfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from simulator import data
from simulator.errors import ConfigError
from simulator.files import remembered, replacement
from simulator.provenance import Provenance

Metrics: TypeAlias = Mapping[str, Any]
"""A number, a text or an array of them each."""

ABOVE = ("study", "validation", "report", "cli")
"""The rooms that a metric of a scenario does not depend on."""
SOURCES = 4  # of which metrics are kept, the last ones that were used


@dataclass(frozen=True)
class Kept:
    """A folder of metrics, a file each, named by a hash of the question, of all that it names, and of the sources.

    A file has a checksum (CRC-32): one that is damaged is computed and written anew. Each is written whole, so that
    several processes may use a folder at once; where it cannot be written to, nothing is kept.

    Attributes:
        folder: of the present sources.
        inputs: a hash of what the questions name, machines and models say.
    """

    folder: Path
    inputs: str

    @classmethod
    def of(cls, folder: Path, inputs: Mapping[str, Any]) -> Kept:
        """What is kept in a folder, which Git ignores, of scenarios that name these machines and models."""
        own = folder / sources()
        with suppress(OSError):
            own.mkdir(parents=True, exist_ok=True)
            own.touch()
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
            others = sorted((each for each in folder.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime)
            for oldest in others[:-SOURCES]:
                shutil.rmtree(oldest, ignore_errors=True)
        return cls(own, Provenance(dict(inputs)).hash)

    def metrics(self, question: Any, compute: Callable[[], Metrics]) -> Metrics:
        """The metrics that answer a question, plain data and arrays: those that are kept, else computed and kept."""
        text = json.dumps([self.inputs, question], sort_keys=True, default=_listed)
        named = hashlib.sha256(text.encode())
        for each in _files(question):
            named.update(Path(each).read_bytes())
        file = self.folder / f"{named.hexdigest()[:32]}.json"
        known = _read(file)
        if known is None:
            known = compute()
            with suppress(ConfigError, OSError), replacement(file) as unfinished:
                unfinished.write_text(_sealed(known), encoding="utf-8")
        return known


@remembered(8)
def sources(*rooms: str) -> str:
    """A hash of the sources that metrics depend on, those of more `rooms` with them, and of what they run on.

    These are the rooms below `study/`, the YAML and tables of machines and workloads, and the version of numpy.
    """
    package = Path(__file__).parent.parent
    code = [
        file for file in package.rglob("*.py")
        if file.relative_to(package).parts[0] not in set(ABOVE).difference(rooms)
    ]  # fmt: skip
    tables = [file for name in ("hwconfigs", "workloads") for file in data.folder(name).rglob("*") if file.is_file()]
    hashed = hashlib.sha256(" ".join(version(name) for name in ("numpy", "scipy")).encode())
    for file in sorted([*code, *tables]):
        hashed.update(f"\n{file.name}\n".encode())
        hashed.update(file.read_bytes())
    return hashed.hexdigest()[:16]


def _files(value: Any) -> Iterable[str]:
    """The files that a question names."""
    if isinstance(value, str):
        yield from [value] if isfile(value) else []
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _files(each)
    elif isinstance(value, list | tuple | np.ndarray) and np.asarray(value, dtype=object).size:
        for each in value:
            yield from _files(each)


def _listed(value: Any) -> Any:
    """What JSON has no form of, as it has one: arrays, sets and paths."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _sealed(metrics: Metrics) -> str:
    text = json.dumps(dict(metrics), default=_listed)
    return f"{zlib.crc32(text.encode())}\n{text}"


def _read(file: Path) -> Metrics | None:
    """The metrics of a file; None where there is none, or it is damaged."""
    try:
        seal, text = file.read_text(encoding="utf-8").split("\n")
        if int(seal) != zlib.crc32(text.encode()):
            return None
        return {name: _array(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}
    except (OSError, ValueError):
        return None


def _array(values: list[Any]) -> Any:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)
