"""A store: the missing chunks of a sweep in its folder, and the points that are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.study.store.folder import locked, refuse_foreign, remove_unfinished, write_whole
from simulator.study.store.manifest import (
    MANIFEST,
    Chunk,
    Column,
    Damaged,
    Manifest,
    check_same,
    read_manifest,
)
from simulator.study.store.part import part_name, read_sealed, schema

if TYPE_CHECKING:
    import pandas as pd


def open_store(folder: Path, manifest: Manifest, own: bool = False) -> Store:
    """The store of a sweep, to write to: made if there is none, and held until closed. What a kill left half goes.

    A folder that is not empty is one of a store by its manifest; where that is lost or damaged, by a part of this
    sweep; or because the caller knows it to be its `own`. A manifest that is lost or damaged is written anew.

    Raises:
        ConfigError: the folder holds another sweep, one of another release, or something else; another run writes to
            it; it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _stored(folder, manifest, own)  # so that not even the lock is written to a folder of something else
        lock = locked(folder)
    except OSError as error:
        raise ConfigError(f"cannot write to the folder: {error.strerror}", file=folder) from None
    try:
        remove_unfinished(folder)
        store = Store(folder.resolve(), manifest, lock)
        if stored := _stored(folder, manifest, own):
            store.manifest = replace(manifest, columns=stored.columns or manifest.columns)
        else:
            store.fix(manifest.columns)
        return store
    except BaseException:
        lock.close()
        raise


def _stored(folder: Path, manifest: Manifest, own: bool) -> Manifest | None:
    """The manifest of this sweep's store in a folder; None where it is to be written.

    Raises:
        ConfigError: the folder is not this sweep's.
    """
    damage: Damaged | None = None
    if (folder / MANIFEST).exists():
        try:
            stored = read_manifest(folder)
        except Damaged as error:
            damage = error
        else:
            check_same(stored, manifest, folder / MANIFEST)
            return stored
    store = Store(folder, manifest, None)
    if not own and not any(map(store.sound, store.present())):
        if damage is not None:
            raise damage
        refuse_foreign(folder)
    return None


def load_store(folder: Path) -> Store:
    """The store in a folder, to read from, be it whole or not.

    Raises:
        ConfigError: there is none; its manifest is damaged, or of another release.
    """
    return Store(folder.resolve(), read_manifest(folder), None)


def remove_store(folder: Path) -> None:
    """Remove the manifest in a folder, and the parts that it names."""
    with suppress(ConfigError):
        for chunk in read_manifest(folder).chunks():
            (folder / part_name(*chunk)).unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)


class Store:
    """A sweep's points in its folder: `missing` chunks, and what there is, a batch at a time."""

    def __init__(self, folder: Path, manifest: Manifest, lock: IO[bytes] | None) -> None:
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
        """Say in the manifest which columns every chunk has.

        Raises:
            ConfigError: it cannot be written.
        """
        self.manifest = replace(self.manifest, columns=tuple(columns))
        write_whole(self.folder / MANIFEST, [self.manifest.text().encode()])

    def missing(self) -> list[Chunk]:
        """The chunks that are not there as they were written, in order."""
        present = set(self.present())
        return [chunk for chunk in self.manifest.chunks() if chunk not in present or not self.sound(chunk)]

    def present(self) -> Iterator[Chunk]:
        """The chunks that have a file, be it whole or not, in order."""
        names = set(os.listdir(self.folder))
        return (chunk for chunk in self.manifest.chunks() if part_name(*chunk) in names)

    def sound(self, chunk: Chunk) -> bool:
        """Whether the file of a chunk is there, and has the bytes that were written."""
        try:
            return read_sealed(self.folder, self.manifest, chunk) is not None
        except Damaged:
            return False

    def parts(self) -> list[Path]:
        """The files of the chunks that are there, each as it was written, in order.

        Raises:
            ConfigError: one is damaged.
        """
        sealed = (chunk for chunk in self.present() if read_sealed(self.folder, self.manifest, chunk))
        return [self.folder / part_name(*chunk) for chunk in sealed]

    def read(self, columns: Iterable[str] | None = None, where: Any = None) -> Iterator[Any]:
        """The points that are there in their order, as `pyarrow.RecordBatch`es; one chunk is in memory at a time.

        `columns` are the names wanted, all by default; `where` is a `pyarrow.compute.Expression` over any column. A
        metric of a failed point, and one that is NaN, is null.

        Raises:
            ConfigError: there is no such column; a file is damaged.
        """
        return self._batches(self._names(columns), where)

    def _batches(self, names: Sequence[str], where: Any) -> Iterator[Any]:
        import pyarrow as pa
        from pyarrow import dataset

        columns = schema(self.manifest)
        for chunk in self.present():
            if data := read_sealed(self.folder, self.manifest, chunk):
                part = dataset.ParquetFileFormat().make_fragment(pa.BufferReader(data))
                batches = part.to_batches(schema=columns, columns=names, filter=where)
                yield from (batch for batch in batches if batch.num_rows)

    def frame(self, limit: int | None = None, columns: Iterable[str] | None = None, where: Any = None) -> pd.DataFrame:
        """The first `limit` of the points that `read` gives, or all, as a frame."""
        import pyarrow as pa

        names, kept, rows = self._names(columns), [], 0
        plain = pa.schema([_plain(schema(self.manifest).field(name)) for name in names])
        for batch in self.read(names, where):
            if limit is not None and rows >= limit:
                break
            kept.append(pa.Table.from_batches([batch if limit is None else batch[: limit - rows]]).cast(plain))
            rows += kept[-1].num_rows
        frame: pd.DataFrame = pa.concat_tables([plain.empty_table(), *kept]).to_pandas()
        return frame

    def _names(self, columns: Iterable[str] | None) -> list[str]:
        known = [column.name for column in self.manifest.columns]
        names = known if columns is None else list(columns)
        return [check_name(name, known, message="column", file=self.folder) for name in names]


def _plain(field: Any) -> Any:
    """The field, with text as text."""
    import pyarrow as pa

    return field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
