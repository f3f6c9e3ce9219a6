"""Importers, each of which brings the tables of one source into a form of `schema`; one file a source.

An importer is registered by its kind `importer`. What it adds that the table does not say, it names in the column
`inferred` of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import ConfigError
from simulator.registry import names, registered

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Importer:
    """What brings a table of a source into a form of `schema`.

    Attributes:
        columns: the columns that tell such a table; of several importers whose columns it has, that with most counts.
        tidy: makes of the table and its file one in a form of `schema`. A row may become several, with its index.
        numbers: the columns that must be numbers for that.
    """

    columns: Collection[str]
    tidy: Callable[[pd.DataFrame, Path], pd.DataFrame]
    numbers: Collection[str] = ()


def importer(header: Collection[str], file: Path) -> Importer:
    """The importer of a table by its header.

    Raises:
        ConfigError: none knows it; with a column that it lacks for the form that it is closest to.
    """
    known: list[Importer] = [registered("importer", name) for name in names("importer")]
    matches = [each for each in known if set(each.columns) <= set(header)]
    if not matches:
        closest = max(known, key=lambda each: len(set(each.columns) & set(header)) / len(each.columns))
        lacks = next(column for column in closest.columns if column not in header)
        raise ConfigError("header", file=file, line=1, path=lacks, found="no such column", expected="this one too")
    return max(matches, key=lambda each: len(each.columns))
