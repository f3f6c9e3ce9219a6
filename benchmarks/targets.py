"""Errors beside what they should be at most: a line each, and whether it holds."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from simulator.errors import ConfigError


class Row(NamedTuple):
    """What is measured, its error and the target, both in percent, and what else is said of it."""

    what: str
    error: float
    target: float | None = None
    note: str = ""

    def line(self) -> str:
        holds = "" if self.target is None else "holds" if self.error <= self.target else "MISSED"
        target = "" if self.target is None else f"  target {self.target:4.1f}  {holds}"
        return f"{self.what:75s} {self.error:5.1f} %{self.note and f'  {self.note}'}{target}"


Sets = Mapping[str, Callable[[Path | None, Path | None], Iterator[Row]]]
"""Rows by the name of a set, each of the folder of tables and of that of published data."""


def show(description: str | None, sets: Sets) -> int:
    """Print the rows of the sets that the command line chooses; a set whose files are missing says so."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", choices=sets, action="append")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in chosen.only or sets:
        try:
            for row in sets[name](chosen.root, chosen.data):
                print(row.line(), flush=True)
        except ConfigError as error:
            print(f"{name}: not measured: {error}")
    return 0
