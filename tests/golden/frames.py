"""Every table of every experiment at full precision, to be compared with those of other code.

    python tests/golden/frames.py dump FOLDER [EXPERIMENT ...]    writes FOLDER/EXPERIMENT/TABLE.csv
    python tests/golden/frames.py compare OLD NEW                 says what differs, and fails if anything does

Committed reports are rounded to six digits and leave out what a page does not show; these do neither.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

AGREES = 1e-9  # relative
RENAMED = {
    "mapping.memory_bytes": "mapping.residency.bytes",
    "devices": "mapping.devices",
    "batch": "workload.batch",
    "input": "workload.input",
    "output": "workload.output",
    "latency_s": "e2e_s",
    "refused": "error",
}
"""Columns of older dumps, and what they are called now, where the newer dump has that one and not the older."""


def dump(folder: Path, experiments: Sequence[str] = ()) -> None:
    from simulator import data
    from simulator.validation.reproduction import compare_with_published

    for name in experiments or data.names("experiments"):
        print(name, flush=True)
        reproduction = compare_with_published(name)
        tables = reproduction.frames()
        for variant, simulation in reproduction.variants.items():
            tables |= {f"{table}@{variant}": frame for table, frame in simulation.frames().items()}
        tables["points"] = pd.concat(list(reproduction.base.points.values()))
        (folder / name).mkdir(parents=True, exist_ok=True)
        for table, frame in tables.items():
            frame.to_csv(folder / name / f"{table}.csv", index=False, float_format=lambda value: repr(float(value)))


def differences(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    """What differs between two tables, whatever the order of their rows and columns.

    A column of a variant that is blank for a row was not computed for it.
    """
    old = old.rename(columns={name: now for name, now in RENAMED.items() if now in new and name not in new})
    for one, other, verb in ((old, new, "gone"), (new, old, "new")):
        if columns := [str(c) for c in one if c not in other]:
            yield f"{verb}: the columns {', '.join(columns)}"
    columns = [c for c in old if c in new]
    keys = _keys(old, new, columns)
    if keys is None:
        yield "rows that the columns do not tell apart"
        return
    both = old[columns].merge(new[columns], on=keys, how="outer", suffixes=("", "@new"), indicator=True)
    for side, verb in (("left_only", "gone"), ("right_only", "new")):
        if number := int((both["_merge"] == side).sum()):
            yield f"{verb}: {number} rows, the first {dict(both.loc[both['_merge'] == side, keys].iloc[0])}"
    both = both[both["_merge"] == "both"]
    for column in (c for c in columns if c not in keys):
        one, other = both[column], both[f"{column}@new"]
        if str(column).startswith("simulated_"):
            one = one.where(other.astype(str) != "", "")
        apart = _apart(one, other)
        if apart.any():
            worst = int(np.argmax(apart))
            yield (
                f"{column}: {int((apart > 0).sum())} of {len(both)} rows, at most {apart.max():.3g} apart, "
                f"{one.iloc[worst]!r} -> {other.iloc[worst]!r} at {dict(both[keys].iloc[worst])}"
            )


def _keys(old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[str]) -> list[str] | None:
    """The first columns, as few as tell the rows of both tables apart."""
    for number in range(1, len(columns) + 1):
        keys = list(columns[:number])
        if not (old.duplicated(keys).any() or new.duplicated(keys).any()):
            return keys
    return None


def _apart(one: pd.Series, other: pd.Series) -> np.ndarray:
    """Of each row the relative difference, 0 where the values agree; infinity between texts, and beside a blank."""
    a, b = (pd.to_numeric(values, errors="coerce").to_numpy(float) for values in (one, other))
    same = (one.astype(str) == other.astype(str)).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(b - a) / np.maximum(np.abs(a), np.abs(b))
    relative = np.where(np.isnan(relative), np.inf, relative)
    return np.where(same | (relative <= AGREES), 0.0, relative)


def compare(old: Path, new: Path) -> int:
    """Print what differs; the number of tables that do."""
    tables = sorted({file.relative_to(folder) for folder in (old, new) for file in folder.rglob("*.csv")})
    different = 0
    for table in tables:
        if lines := list(_compared(old / table, new / table)):
            different += 1
            print(f"{table.with_suffix('')}", *lines, sep="\n    ")
    print(f"{len(tables) - different} of {len(tables)} tables agree to {AGREES:g}")
    return different


def _compared(old: Path, new: Path) -> Iterator[str]:
    absent = [str(file) for file in (old, new) if not file.exists()]
    if absent:
        yield f"absent: {absent[0]}"
    else:
        yield from differences(_read(old), _read(new))


def _read(file: Path) -> pd.DataFrame:
    """A dump; numbers as such, also where they were written as numpy shows them."""
    frame = pd.read_csv(file, keep_default_na=False, low_memory=False)
    for column in frame.select_dtypes(exclude="number"):
        plain = frame[column].astype(str).str.replace(r"^np\.float64\((.*)\)$", r"\1", regex=True)
        numbers = pd.to_numeric(plain, errors="coerce")
        frame[column] = plain if numbers.isna().any() else numbers
    return frame


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["dump", folder, *experiments]:
            dump(Path(folder), experiments)
            return 0
        case ["compare", old, new]:
            return int(compare(Path(old), Path(new)) > 0)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
