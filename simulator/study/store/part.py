"""A part of a store: the Parquet file of a chunk, with a seal.

The seal is a CRC-32 of the sweep, the bounds of the chunk and all other bytes of the file. It stands between the pages
and the footer, where no reader of Parquet looks: it finds the pages by their offsets from the start, the footer from
the end.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.study.space.columns import Columns
from simulator.study.store.folder import write_whole
from simulator.study.store.manifest import ERROR, POINT, Chunk, Column, Damaged, Manifest

SEAL, TAIL = 4, 8  # bytes of the seal; of the length of the footer and the magic number behind it


def part_name(start: int, stop: int) -> str:
    """What the file of a chunk is called."""
    return f"part-{start:012d}-{stop:012d}.parquet"


def write(folder: Path, manifest: Manifest, chunk: Chunk, axes: Columns, metrics: Columns) -> None:
    """Write the points of a chunk to its file, whole or not at all; any process that sees the folder may.

    Raises:
        ValueError: not a row a point, or not the columns of the manifest.
        ConfigError: the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    start, stop = chunk
    values = {**axes, **metrics, POINT.name: np.arange(start, stop)}
    if strange := values.keys() ^ {column.name for column in manifest.columns}:
        raise ValueError(f"not columns of every point: {', '.join(sorted(strange))}")
    failed = values[ERROR.name] != ""
    arrays = [
        _array(column, values[column.name], failed if column.role == "metric" else np.zeros_like(failed))
        for column in manifest.columns
    ]
    table = pa.Table.from_arrays(arrays, schema=schema(manifest))
    repeated = [column.name for column in manifest.columns if column.role == "axis" or column.dtype == "text"]
    file = pa.BufferOutputStream()
    parquet.write_table(
        table, file, row_group_size=max(stop - start, 1), version="2.6", data_page_version="1.0",
        compression="zstd", compression_level=1, use_dictionary=repeated,
        column_encoding={POINT.name: "DELTA_BINARY_PACKED"}, write_statistics=True, store_schema=True,
    )  # fmt: skip
    write_whole(folder / part_name(*chunk), _sealed(memoryview(file.getvalue()), manifest, chunk))


def read_sealed(folder: Path, manifest: Manifest, chunk: Chunk) -> bytes | None:
    """The bytes of the file of a chunk, as they were written; None where there is no file.

    Raises:
        Damaged: other bytes, or those of another chunk or another sweep.
    """
    path = folder / part_name(*chunk)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from None
    view = memoryview(data)
    seal = len(data) - _footer(view) - SEAL
    if seal < 0 or data[seal : seal + SEAL] != _seal(view[:seal], view[seal + SEAL :], manifest, chunk):
        raise _damaged(path, "other bytes than were written, or those of another part")
    return data


def _damaged(path: Path, found: str) -> Damaged:
    return Damaged("a part of the store is damaged; run the sweep again: it computes it anew", file=path, found=found)


def _sealed(data: memoryview, manifest: Manifest, chunk: Chunk) -> tuple[memoryview, bytes, memoryview]:
    pages, footer = data[: -_footer(data)], data[-_footer(data) :]
    return pages, _seal(pages, footer, manifest, chunk), footer


def _seal(pages: memoryview, footer: memoryview, manifest: Manifest, chunk: Chunk) -> bytes:
    crc = zlib.crc32(manifest.origin + part_name(*chunk).encode())
    return zlib.crc32(footer, zlib.crc32(pages, crc)).to_bytes(SEAL, "little")


def _footer(data: memoryview) -> int:
    """Bytes of the footer of a Parquet file, as its tail says, and of the tail."""
    return int.from_bytes(data[-TAIL:-4], "little") + TAIL


# --- columns


def _array(column: Column, values: NDArray[Any], nulls: NDArray[np.bool_]) -> Any:
    """The Arrow array of a column; NaN and None are null too."""
    import pyarrow as pa

    if len(values) != len(nulls):
        raise ValueError(f"{column.name} has {len(values)} values for {len(nulls)} points")
    try:
        if column.dtype == "text":
            return _text(pa, values, nulls).dictionary_encode()
        if values.dtype.kind == "f":
            nulls = nulls | np.isnan(values)
        return pa.array(values, mask=nulls, from_pandas=True).cast(column.dtype)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{column.name} is not {column.dtype} at every point: {error}") from None


def _text(pa: Any, values: NDArray[Any], nulls: NDArray[np.bool_]) -> Any:
    try:
        return pa.array(values, pa.string(), mask=nulls, from_pandas=True)
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # some are numbers
        texts = [value if value is None or value != value else str(value) for value in values]
        return pa.array(texts, pa.string(), mask=nulls, from_pandas=True)


def schema(manifest: Manifest) -> Any:
    """Of every part, as Arrow has it."""
    import pyarrow as pa

    types = {
        "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(),
        "text": pa.dictionary(pa.int32(), pa.string()),
    }  # fmt: skip
    fields = [
        pa.field(column.name, types[column.dtype], metadata={"unit": column.unit, "role": column.role})
        for column in manifest.columns
    ]
    return pa.schema(fields, metadata={"tiersim": manifest.origin})
