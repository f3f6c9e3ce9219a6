"""The points of a sweep in a folder: a Parquet file a chunk of them, and `sweep.json`, which says of what sweep.

A file is written beside its place and renamed when it is whole, so that a run killed at any moment leaves whole files.
Its bounds and its bytes follow from the sweep alone: not from who wrote it, when, or beside how many others.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, described, nearest, one_of
from simulator.explore.sweep.columns import Columns
from simulator.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1  # of the folder; a change of what follows that an older reader cannot read raises it
CHUNK = 65_536  # points a file, unless the sweep says otherwise
MOST_CHUNKS = 1_000_000  # a file each
MANIFEST, LOCK, PARTS = "sweep.json", ".lock", "part-*.parquet"

Chunk: TypeAlias = tuple[int, int]
"""The first point, and the one after the last."""

Dtype: TypeAlias = Literal["float64", "int64", "bool", "text"]


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
        said = provenance.as_dict()
        return cls(provenance.config, said["config_hash"], said["version"], said["seed"], points, chunk)

    def chunks(self) -> Iterator[Chunk]:
        """All of them, in the order of the points."""
        return ((start, min(start + self.chunk, self.points)) for start in range(0, self.points, self.chunk))

    def text(self) -> str:
        """As JSON."""
        columns = [asdict(column) for column in self.columns]
        return json.dumps({"format": FORMAT, **vars(self), "columns": columns}, indent=1, default=str) + "\n"


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


def open_store(folder: Path, manifest: Manifest) -> Store:
    """The store of a sweep, to write to: made if there is none, and held until closed. What a kill left half goes.

    Raises:
        ConfigError: the folder holds another sweep, or one of a newer release; another run writes to it; it cannot be
            written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
    except OSError as error:
        raise ConfigError(f"cannot write to the folder: {error.strerror}", file=folder) from None
    try:
        for unfinished in folder.glob(".*.tmp"):  # only the holder of the lock writes: they are of the dead
            unfinished.unlink(missing_ok=True)
        store = Store(folder.resolve(), manifest, lock)
        if (folder / MANIFEST).exists():
            there = _manifest(folder)
            _same(there, manifest, folder / MANIFEST)
            store.manifest = replace(manifest, columns=there.columns or manifest.columns)
        else:
            store.fix(manifest.columns)
        return store
    except BaseException:
        lock.close()
        raise


def load_store(folder: Path) -> Store:
    """The store in a folder, to read from, be it whole or not.

    Raises:
        ConfigError: there is none, or it is of a newer release.
    """
    return Store(folder.resolve(), _manifest(folder), None)


class Store:
    """A sweep's points in its folder: `missing` chunks, and what there is, a batch at a time."""

    def __init__(self, folder: Path, manifest: Manifest, lock: IO[str] | None) -> None:
        self.folder, self.manifest, self._lock = folder, manifest, lock

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.close()

    def fix(self, columns: Sequence[Column]) -> None:
        """Say in the manifest which columns every chunk has."""
        self.manifest = replace(self.manifest, columns=tuple(columns))
        _written(self.folder / MANIFEST, lambda file: file.write(self.manifest.text().encode()))

    def missing(self) -> list[Chunk]:
        """The chunks that are not there, in order: no file, no footer, another number of rows, or another sweep's."""
        there = {path.name for path in self.folder.glob(PARTS)}
        return [
            (start, stop)
            for start, stop in self.manifest.chunks()
            if _name(start, stop) not in there or not self._sound(start, stop)
        ]

    def _sound(self, start: int, stop: int) -> bool:
        try:
            footer = _parquet().read_metadata(self.folder / _name(start, stop))
        except (OSError, ValueError):
            return False
        return footer.num_rows == stop - start and (footer.metadata or {}).get(b"tiersim") == _said(self.manifest)

    def read(self, columns: Iterable[str] | None = None, where: Any = None) -> Iterator[Any]:
        """The points that are there in their order, as `pyarrow.RecordBatch`es; a few chunks are in memory at a time.

        `columns` are the names wanted, all by default; `where` is a `pyarrow.compute.Expression` over any column. A
        metric of a failed point, and one that is NaN, is null.

        Raises:
            ConfigError: there is no such column; a file is damaged.
        """
        names = self._names(columns)
        files = [str(self.folder / _name(*chunk)) for chunk in self.manifest.chunks()]
        files = [file for file in files if Path(file).exists()]
        dataset = _arrow("pyarrow.dataset").dataset(files, schema=_schema(self.manifest), format="parquet")
        return self._batches(dataset.scanner(columns=names, filter=where, batch_readahead=2, fragment_readahead=2))

    def _batches(self, scanner: Any) -> Iterator[Any]:
        try:
            yield from (batch for batch in scanner.to_batches() if batch.num_rows)
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            remedy = "run the sweep again: it computes what is missing"
            raise ConfigError(f"a file of the store is damaged ({remedy}): {error}", file=self.folder) from None

    def frame(self, limit: int | None = None, columns: Iterable[str] | None = None, where: Any = None) -> pd.DataFrame:
        """The first `limit` of the points that `read` gives, or all, as a frame."""
        arrow = _arrow("pyarrow")
        names, kept, rows = self._names(columns), [], 0
        schema = arrow.schema([_plain(_schema(self.manifest).field(name)) for name in names])
        for batch in self.read(names, where):
            if limit is not None and rows >= limit:
                break
            kept.append(arrow.Table.from_batches([batch if limit is None else batch[: limit - rows]]).cast(schema))
            rows += kept[-1].num_rows
        frame: pd.DataFrame = arrow.concat_tables([schema.empty_table(), *kept]).to_pandas()
        return frame

    def _names(self, columns: Iterable[str] | None) -> list[str]:
        there = [column.name for column in self.manifest.columns]
        names = there if columns is None else list(columns)
        for name in names:
            if name not in there:
                raise ConfigError(
                    "column", file=self.folder, found=repr(name), expected=one_of(there), nearest=nearest(name, there)
                )
        return names


def write(folder: Path, manifest: Manifest, chunk: Chunk, axes: Columns, metrics: Columns) -> None:
    """Write the points of a chunk to its file, whole or not at all; any process that sees the folder may.

    Raises:
        ValueError: not a row a point, or not the columns of the manifest.
    """
    start, stop = chunk
    values = {**axes, **metrics, POINT.name: np.arange(start, stop)}
    if strange := values.keys() ^ {column.name for column in manifest.columns}:
        raise ValueError(f"not columns of every point: {', '.join(sorted(strange))}")
    failed = values[ERROR.name] != ""
    arrays = [
        _array(column, values[column.name], failed if column.role == "metric" else np.zeros_like(failed))
        for column in manifest.columns
    ]
    table = _arrow("pyarrow").Table.from_arrays(arrays, schema=_schema(manifest))
    repeated = [column.name for column in manifest.columns if column.role == "axis" or column.dtype == "text"]

    def fill(file: IO[bytes]) -> None:
        _parquet().write_table(
            table, file, row_group_size=max(stop - start, 1), version="2.6", data_page_version="1.0",
            compression="zstd", compression_level=1, use_dictionary=repeated,
            column_encoding={POINT.name: "DELTA_BINARY_PACKED"}, write_statistics=True, store_schema=True,
        )  # fmt: skip

    _written(folder / _name(start, stop), fill)


# --- columns


def _dtype(values: NDArray[Any]) -> Dtype:
    kinds: dict[str, Dtype] = {"f": "float64", "i": "int64", "u": "int64", "b": "bool"}
    return kinds.get(values.dtype.kind, "text")


def _array(column: Column, values: NDArray[Any], nulls: NDArray[np.bool_]) -> Any:
    """The Arrow array of a column; NaN and None are null too."""
    arrow = _arrow("pyarrow")
    if len(values) != len(nulls):
        raise ValueError(f"{column.name} has {len(values)} values for {len(nulls)} points")
    try:
        if column.dtype == "text":
            return _text(arrow, values, nulls).dictionary_encode()
        if values.dtype.kind == "f":
            nulls = nulls | np.isnan(values)
        return arrow.array(values, mask=nulls, from_pandas=True).cast(column.dtype)
    except (arrow.ArrowException, ValueError) as error:
        raise ValueError(f"{column.name} is not {column.dtype} at every point: {error}") from None


def _text(arrow: Any, values: NDArray[Any], nulls: NDArray[np.bool_]) -> Any:
    try:
        return arrow.array(values, arrow.string(), mask=nulls, from_pandas=True)
    except (arrow.ArrowTypeError, arrow.ArrowInvalid):  # some are numbers
        texts = [value if value is None or value != value else str(value) for value in values]
        return arrow.array(texts, arrow.string(), mask=nulls, from_pandas=True)


def _schema(manifest: Manifest) -> Any:
    arrow = _arrow("pyarrow")
    types = {
        "float64": arrow.float64(), "int64": arrow.int64(), "bool": arrow.bool_(),
        "text": arrow.dictionary(arrow.int32(), arrow.string()),
    }  # fmt: skip
    fields = [
        arrow.field(column.name, types[column.dtype], metadata={"unit": column.unit, "role": column.role})
        for column in manifest.columns
    ]
    return arrow.schema(fields, metadata={"tiersim": _said(manifest)})


def _plain(field: Any) -> Any:
    """The field, with text as text."""
    arrow = _arrow("pyarrow")
    return field.with_type(arrow.string()) if arrow.types.is_dictionary(field.type) else field


def _said(manifest: Manifest) -> bytes:
    """What every file says of where it comes from."""
    said = {"config_hash": manifest.config_hash, "version": manifest.version, "seed": manifest.seed, "format": FORMAT}
    return json.dumps(said).encode()


# --- files


def _name(start: int, stop: int) -> str:
    return f"part-{start:012d}-{stop:012d}.parquet"


def _written(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """A file that is there whole or not at all, and stays when the machine goes down. `fill` gets it open."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with unfinished.open("xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _locked(folder: Path) -> IO[str]:
    """The lock of a folder, held until closed or until this process ends, however it ends.

    Raises:
        ConfigError: another run holds it.
    """
    lock = (folder / LOCK).open("a+", encoding="utf-8")
    try:
        _lock(lock)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "it does not say which"
        lock.close()
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise ConfigError(f"the file system of the folder has no locks: {error.strerror}", file=folder) from None
        raise ConfigError(f"another run writes to the folder: {holder}", file=folder) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}")
    lock.flush()
    return lock


def _lock(file: IO[str]) -> None:
    try:
        fcntl = import_module("fcntl")
    except ImportError:  # Windows: a byte far behind the text, which others can read then
        msvcrt = import_module("msvcrt")
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _manifest(folder: Path) -> Manifest:
    file = folder / MANIFEST
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("no results of a sweep are here", file=folder, expected=f"a folder with {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read it: {error}", file=file) from None
    version = data.pop("format", None) if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise ConfigError("not the manifest of a sweep", file=file, path="format", found=described(version))
    if version > FORMAT:
        by = f"tiersim {data.get('version')}, which is newer than this one"
        raise ConfigError(f"written by {by}", file=file, path="format", found=version, expected=f"{FORMAT} or less")
    try:
        return Manifest(**{**data, "columns": tuple(Column(**column) for column in data["columns"])})
    except (TypeError, KeyError) as error:
        raise ConfigError(f"not the manifest of a sweep: {error}", file=file) from None


def _same(there: Manifest, here: Manifest, file: Path) -> None:
    """ConfigError that says in what a store differs from the sweep, if it does."""
    found: dict[str, str] = {}
    expected: dict[str, str] = {}
    if there.config_hash != here.config_hash:
        old, new = _leaves(there.config), _leaves(json.loads(json.dumps(here.config, default=str)))
        keys = [key for key in {**old, **new} if old.get(key, ...) != new.get(key, ...)]
        found = {key: described(old.get(key)) for key in keys[:5]}
        expected = {key: described(new.get(key)) for key in keys[:5]}
    for name in ("version", "seed", "points", "chunk"):
        if getattr(there, name) != getattr(here, name):
            found[name], expected[name] = described(getattr(there, name)), described(getattr(here, name))
    if here.columns and there.columns and there.columns != here.columns:
        found["columns"], expected["columns"] = (
            " ".join(f"{column.name}:{column.dtype}[{column.unit}]" for column in columns)
            for columns in (there.columns, here.columns)
        )
    if there.config_hash != here.config_hash and not found:
        found, expected = {"config_hash": there.config_hash}, {"config_hash": here.config_hash}
    if found:
        raise ConfigError(
            "the folder holds the results of another sweep; name another folder, or remove this one",
            file=file, found=_listed(found), expected=_listed(expected),
        )  # fmt: skip


def _leaves(config: object, path: str = "") -> dict[str, Any]:
    """The values of a config by their dotted paths."""
    if isinstance(config, Mapping | list) and config:
        parts = config.items() if isinstance(config, Mapping) else enumerate(config)
        return {key: value for name, part in parts for key, value in _leaves(part, f"{path}.{name}").items()}
    return {path.lstrip("."): config}


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


# --- pyarrow


def _parquet() -> Any:
    return _arrow("pyarrow.parquet")


def _arrow(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError("a store of results needs pyarrow", expected="pip install 'tiersim[explore]'") from None
