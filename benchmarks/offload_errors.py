"""Errors of models that lie in several tiers on measured token rates, none of which any figure is fitted to.

Needs `offload.csv` (`--data`); `offload.yaml` beside this file has the scenario of each of its rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from simulator import evaluate
from simulator.config import load

SCENARIOS = Path(__file__).with_suffix("").with_name("offload.yaml")
TARGET = 0.25
"""The median error that is asked for."""
FAR = 1.5
"""A ratio from which on a row needs a mechanism that explains it."""


def row_of(measured: pd.DataFrame, row: dict[str, str]) -> pd.Series[Any]:
    """The measured row whose columns begin with these texts; `the same` machine is that of the row before."""
    filled = measured.assign(machine=measured["machine"].replace("the same", "GCP T4"))
    some = filled
    for column, text in row.items():
        some = some[some[column].str.startswith(text)]
    if len(some) != 1:
        raise SystemExit(f"{row}: {len(some)} rows of the data are so, expected one")
    return some.iloc[0]


def errors(data: Path) -> pd.DataFrame:
    """Measured and simulated token rates of each scenario, and their ratio."""
    measured, rows = pd.read_csv(data, dtype=str), _scenarios("rows")
    return pd.DataFrame([compared(row_of(measured, each["row"]).to_dict(), each["scenario"]) for each in rows])


def context() -> pd.DataFrame:
    """The same of published rates under conditions that are not known, which do not count."""
    return pd.DataFrame([compared(each["published"], each["scenario"]) for each in _scenarios("context")])


def compared(row: Mapping[Hashable, Any], scenario: dict[str, Any]) -> dict[str, Any]:
    """A measured rate beside that of a scenario."""
    rate, value = evaluate(scenario).metrics["tokens_per_s"], float(row["value"])
    assert isinstance(rate, float)
    named = {column: row[column] for column in ("model", "placement", "batch")}
    return {**named, "measured": value, "simulated": rate, "ratio": rate / value}


def _scenarios(section: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = load(SCENARIOS, str(SCENARIOS.parent)).data[section]
    return rows


def show(table: pd.DataFrame) -> None:
    print(table.assign(placement=table["placement"].str[:50]).to_string(index=False, float_format="%.3g".__mod__))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    table = errors(parser.parse_args().data)
    error = (table["ratio"] - 1).abs()
    far = (table["ratio"] > FAR) | (table["ratio"] < 1 / FAR)
    show(table)
    print(f"median error {error.median():.1%} of {len(table)} rows, {far.sum()} of them beyond {FAR} times")
    print("not counted, as context:")
    show(context())
    return int(error.median() > TARGET)


if __name__ == "__main__":
    sys.exit(main())
