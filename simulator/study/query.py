"""SQL over the points of a sweep."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from simulator.errors import ConfigError, unknown
from simulator.study.store import load_store

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "4GiB"  # for a query; what does not fit goes to a temporary folder


def query(folder: str | Path, sql: str) -> pd.DataFrame:
    """What a SELECT over the table `points` gives: a row a point that is there, with its axes, metrics and `error`.

    An axis is called as in expressions: by its `name`, or the last key of its path. A metric of a failed point is null,
    and `error` is empty where a point did not fail. Units are those of `sweep.json`. The query can read no other
    file, and write none.

    Raises:
        ConfigError: there is no store, or it is empty or damaged; the SQL is wrong.
    """
    import duckdb

    store = load_store(Path(folder))
    names = store.manifest.config.get("names", {})
    columns = {column.name: names.get(column.name, column.name) for column in store.manifest.columns}
    parts = store.parts()
    if not parts or not columns:
        raise ConfigError("no point of the sweep is here yet", file=folder)
    with TemporaryDirectory() as spill, duckdb.connect(":memory:") as connection:
        called = ", ".join(f"{_called(path)} AS {_called(name)}" for path, name in columns.items())
        patterns = [_escaped(part) for part in parts]
        try:
            connection.read_parquet(patterns).project(called).create_view("points")
        except duckdb.Error as error:
            raise ConfigError(f"cannot read the parts of the store: {_first(error)}", file=folder) from None
        for setting in (
            f"memory_limit = {_quoted(MEMORY)}",
            f"temp_directory = {_quoted(spill)}",
            "python_enable_replacements = false",
            f"allowed_directories = [{_quoted(str(store.folder))}, {_quoted(_escaped(store.folder))}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ConfigError("not a query", path="sql", found=repr(sql), expected="one SELECT over 'points'")
            frame: pd.DataFrame = connection.execute(statements[0]).df()
        except duckdb.Error as error:
            raise _wrong(_first(error), list(columns.values())) from None
    return frame


def _wrong(message: str, columns: list[str]) -> ConfigError:
    """The error of a query in our words: an unknown column by name, and what there is."""
    expected = f"SQL over the table 'points' of {', '.join(columns)}"
    if match := re.search(r'column "([^"]+)" not found|does not have a column named "([^"]+)"', message):
        name = match[1] or match[2]
        return unknown(name, columns, "no such column", path="sql", found=repr(name), expected=expected)
    return ConfigError(message, path="sql", expected=expected)


def _first(error: Exception) -> str:
    """What DuckDB says before it goes into detail."""
    return str(error).split("\n")[0]


def _escaped(path: Path) -> str:
    """The path as a pattern that matches it alone."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _called(name: str) -> str:
    """The name of a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
