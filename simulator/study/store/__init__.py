"""The points of a sweep in a folder: a Parquet file a chunk of them, and `sweep.json`, which says of what sweep.

A file is written beside its place and renamed when it is whole, so that a run killed at any moment leaves whole files.
Its bounds and its bytes follow from the sweep alone: not from who wrote it, when, or beside how many others. Each is
sealed by a checksum, and read only where that holds. A folder that holds something else is not written to.
"""

from __future__ import annotations

from simulator.study.store.folder import refuse_foreign
from simulator.study.store.manifest import (
    CHUNK,
    ERROR,
    MANIFEST,
    POINT,
    Chunk,
    Column,
    Manifest,
    check_same,
    laid_out,
)
from simulator.study.store.part import write
from simulator.study.store.store import Store, load_store, open_store, remove_store

__all__ = [
    "CHUNK", "ERROR", "MANIFEST", "POINT", "Chunk", "Column", "Manifest", "Store", "check_same", "laid_out",
    "load_store", "open_store", "refuse_foreign", "remove_store", "write",
]  # fmt: skip
