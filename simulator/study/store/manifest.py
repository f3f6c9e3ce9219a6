"""`sweep.json`: which sweep a store is of, how that is cut into chunks, and its columns."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from simulator.errors import ConfigError, described
from simulator.provenance import Provenance
from simulator.study.space.columns import Columns

FORMAT = 2  # of the folder; a change of it that another release cannot read raises it
CHUNK = 65_536  # points a file, unless the sweep says otherwise
MOST_CHUNKS = 1_000_000  # a file each
MANIFEST = "sweep.json"

Chunk: TypeAlias = tuple[int, int]
"""The first point, and the one after the last."""

Dtype: TypeAlias = Literal["float64", "int64", "bool", "text"]


class Damaged(ConfigError):
    """A file of a store has not the bytes that were written."""


@dataclass(frozen=True)
class Column:
    """A column of the table; `role` is index, axis, metric or error, and `unit` is empty where there is none."""

    name: str
    dtype: Dtype
    unit: str = ""
    role: Literal["index", "axis", "metric", "error"] = "metric"


POINT, ERROR = Column("point", "int64", role="index"), Column("error", "text", role="error")


@dataclass(frozen=True)
class Manifest:
    """What `sweep.json` says: which sweep this is, how it is cut into chunks, and its columns once they are known."""

    config: Mapping[str, Any]
    config_hash: str
    version: str
    seed: int | None
    points: int
    chunk: int = CHUNK
    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, provenance: Provenance, points: int, chunk: int = CHUNK) -> Manifest:
        """The manifest of a sweep; small chunks suit points that are slow, for a chunk is the least that is redone.

        Raises:
            ConfigError: points for more than a million chunks.
        """
        if points < 0 or chunk < 1:
            raise ValueError(f"{points} points in chunks of {chunk}")
        if points > MOST_CHUNKS * chunk:
            expected = f"at most {MOST_CHUNKS * chunk:,}; a search or an optimum needs few of them"
            raise ConfigError("too many points to compute each of them", found=f"{points:,}", expected=expected)
        origin = provenance.as_dict()
        return cls(provenance.config, origin["config_hash"], origin["version"], origin["seed"], points, chunk)

    def chunks(self) -> Iterator[Chunk]:
        """All of them, in the order of the points."""
        return ((start, min(start + self.chunk, self.points)) for start in range(0, self.points, self.chunk))

    @property
    def origin(self) -> bytes:
        """What every file of the store says of where it comes from, as JSON."""
        origin = {"config_hash": self.config_hash, "version": self.version, "seed": self.seed, "format": FORMAT}
        return json.dumps(origin).encode()

    def text(self) -> str:
        """As JSON, with a checksum."""
        columns = [asdict(column) for column in self.columns]
        return _summed({"format": FORMAT, **vars(self), "columns": columns})


def _summed(data: Mapping[str, Any]) -> str:
    """JSON whose last key is the checksum (CRC-32) of the others."""
    crc = zlib.crc32(json.dumps(data, indent=1, default=str).encode())
    return json.dumps({**data, "crc32": f"{crc:08x}"}, indent=1, default=str) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the store in a folder.

    Raises:
        ConfigError: there is none, or it is of another release.
        Damaged: it is not as it was written.
    """
    file = folder / MANIFEST
    try:
        text = file.read_bytes().decode()
        data = json.loads(text)
    except FileNotFoundError:
        raise ConfigError("no results of a sweep are here", file=folder, expected=f"a folder with {MANIFEST}") from None
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", file=file) from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"cannot read it: {error}", file=file) from None
    version = data.pop("format", None) if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise Damaged("not the manifest of a sweep", file=file, path="format", found=described(version))
    if version != FORMAT and "config_hash" in data:
        age = "newer" if version > FORMAT else "older"
        by = f"tiersim {data.get('version')}, which is {age} than this one"
        raise ConfigError(f"written by {by}", file=file, path="format", found=version, expected=str(FORMAT))
    data.pop("crc32", None)
    if text != _summed({"format": version, **data}):
        raise Damaged("not as it was written", file=file, found="another checksum", expected="that of its text")
    try:
        return Manifest(**{**data, "columns": tuple(Column(**column) for column in data["columns"])})
    except (TypeError, KeyError) as error:
        raise Damaged(f"not the manifest of a sweep: {error}", file=file) from None


def check_same(stored: Manifest, wanted: Manifest, file: Path) -> None:
    """ConfigError that says in what a store differs from the sweep, if it does."""
    found: dict[str, str] = {}
    expected: dict[str, str] = {}
    if stored.config_hash != wanted.config_hash:
        old, new = _leaves(stored.config), _leaves(json.loads(json.dumps(wanted.config, default=str)))
        keys = [key for key in {**old, **new} if old.get(key, ...) != new.get(key, ...)]
        found = {key: described(old.get(key)) for key in keys[:5]}
        expected = {key: described(new.get(key)) for key in keys[:5]}
    for name in ("version", "seed", "points", "chunk"):
        if getattr(stored, name) != getattr(wanted, name):
            found[name], expected[name] = described(getattr(stored, name)), described(getattr(wanted, name))
    if wanted.columns and stored.columns and stored.columns != wanted.columns:
        found["columns"], expected["columns"] = (
            " ".join(f"{column.name}:{column.dtype}[{column.unit}]" for column in columns)
            for columns in (stored.columns, wanted.columns)
        )
    if stored.config_hash != wanted.config_hash and not found:
        found, expected = {"config_hash": stored.config_hash}, {"config_hash": wanted.config_hash}
    if found:
        raise ConfigError(
            "the folder holds the results of another sweep; name another folder, or remove this one",
            file=file, found=_listed(found), expected=_listed(expected),
        )  # fmt: skip


def laid_out(axes: Columns, metrics: Columns, units: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns of the table whose rows have these axes and metrics.

    Raises:
        ConfigError: an axis has the name of a column of ours, or of a metric.
    """
    for name in axes:
        if name in (POINT.name, ERROR.name) or name in metrics:
            raise ConfigError("a column of the results has this name already", path="axes", found=repr(name))
    metrics = {name: values for name, values in metrics.items() if name != ERROR.name}
    return (
        POINT,
        *(Column(name, _dtype(values), units.get(name, ""), "axis") for name, values in axes.items()),
        *(Column(name, _dtype(values), units.get(name, ""), "metric") for name, values in metrics.items()),
        ERROR,
    )


def _dtype(values: NDArray[Any]) -> Dtype:
    kinds: dict[str, Dtype] = {"f": "float64", "i": "int64", "u": "int64", "b": "bool"}
    return kinds.get(values.dtype.kind, "text")


def _leaves(config: object, path: str = "") -> dict[str, Any]:
    """The values of a config by their dotted paths."""
    if isinstance(config, Mapping | list) and config:
        parts = config.items() if isinstance(config, Mapping) else enumerate(config)
        return {key: value for name, part in parts for key, value in _leaves(part, f"{path}.{name}").items()}
    return {path.lstrip("."): config}


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
