"""Compare the program with measured data: operators and runs, row by row, beside a plain roofline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator import data
from simulator.config import load
from simulator.errors import ConfigError, unwarned
from simulator.files import forget
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.validation.measured.aliases import aliases, folded, meant
from simulator.validation.measured.errors import by_group, errors
from simulator.validation.measured.flags import copies
from simulator.validation.measured.importers import aiconfigurator
from simulator.validation.measured.reader import Measured, read_measured
from simulator.validation.measured.simulated import POWER, Progress, simulated_operators, simulated_runs

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = "workloads/measured"
MACHINES = "hwconfigs"
WORST = 10
FITTED = "a constant of ours was fitted to it"
"""The flag of a row whose role is `calibration`: it is no evidence."""
OPERATOR_GROUPS = ("device", "engine", "class", "size", "op", "dtype")
RUN_GROUPS = ("device", "engine", "phase", "metric", "model", "batch", "dtype")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Measured values beside simulated ones.

    Attributes:
        name: of the file.
        hardware: the machine that all was simulated on, where one was named.
        is_design: whether that is another machine than those measured: ratios are then speed-ups.
        rows: a measured value each: `line`, `source`, `device`, `machine`, what it is of, `measured`, `simulated` and
            `plain` (of the plain roofline) in seconds (watts of `power_w`), `ratio` (simulated over measured), `ape`,
            `bound_by`, `flag` (why it does not count) and `error` (why it was not simulated).
        groups: the errors of the rows that count, by group.
        unmatched: devices that no machine describes, and how many rows each has.
        flagged: how many rows have each flag, those of devices that no machine describes too.
        failed: how many rows were not simulated, by the reason.
        skipped: how many cells of the file could not be used.
    """

    name: str
    hardware: str | None
    is_design: bool
    rows: pd.DataFrame
    groups: pd.DataFrame
    unmatched: Mapping[str, int]
    flagged: Mapping[str, int]
    failed: Mapping[str, int]
    skipped: int
    provenance: Provenance

    @property
    def counted(self) -> pd.DataFrame:
        """The rows that count: simulated, of one quantity, and without a flag."""
        return _counted(self.rows)

    @property
    def errors(self) -> dict[str, float]:
        """The errors of all rows that count."""
        return errors(self.counted)

    @property
    def worst(self) -> pd.DataFrame:
        """The rows that count and lie furthest off, with what bound them."""
        return self.counted.sort_values("ape", ascending=False, kind="stable").head(WORST)

    def frames(self) -> dict[str, pd.DataFrame]:
        return {"groups": self.groups, "worst": self.worst}

    def as_json(self) -> dict[str, Any]:
        document = {
            "baseline": self.name,
            "hardware": self.hardware,
            **self.errors,
            "plain": errors(self.counted, "plain"),
            "by_group": _nested(self.groups),
            "worst": self.worst.to_dict("records"),
            "unmatched_devices": dict(self.unmatched),
            "flagged": dict(self.flagged),
            "not_simulated": dict(self.failed),
            "skipped_cells": self.skipped,
            "provenance": self.provenance.as_dict(),
        }
        return document | (self._speed_up() if self.is_design else {})

    def _speed_up(self) -> dict[str, Any]:
        """How much faster, and with how much less energy, a design does what was measured: geometric means."""
        energy = self.rows.loc[self.rows["flag"].eq(""), "energy_ratio"].dropna()
        return {"speed_up": _mean(1 / self.counted["ratio"]), "energy_ratio": _mean(energy)}


def compare(
    baseline: str | Path,
    hardware: str | Path | None = None,
    *,
    runtime: str | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Measured values of operators or runs beside simulated ones, on the machines that the `aliases` of ours name.

    Args:
        baseline: a CSV or Parquet file in a form of ours or of a source that an importer knows; the name of one of
            ours in `workloads/measured`; or `aiconfigurator/` and what lies in the folder `systems` of that package.
        hardware: one machine for all: of those that measured data know by its aliases, the rows of these; of another,
            a design, which is set beside all.
        runtime: the software of all; else that of each row's engine, else that which its machine is assumed to have.
        skip_bad: count rows with a cell that cannot be used, instead of refusing the file.
        progress: called with what runs, how much of it is done and how much there is.

    Raises:
        ConfigError: what is wrong with the file, with its line and column; no device of it is described.
    """
    import pandas as pd

    forget()
    measured = read_measured(_file(baseline), skip_bad)
    rows = measured.rows.rename_axis("line").reset_index()
    rows["machine"], unmatched, is_design = _machines(rows["device"], hardware)
    if rows["machine"].isna().all():
        names = ", ".join(sorted(unmatched)[:5])
        expected = f"a device that a machine in {MACHINES} has among its aliases"
        raise ConfigError(
            "no machine describes", file=measured.file, line=int(rows["line"].iloc[0]), path="device", found=names,
            expected=expected,
        )  # fmt: skip
    rows["flag"] = copies(rows)
    known = rows[rows["machine"].notna()].reset_index(drop=True)
    with unwarned():
        compared = (simulated_runs if "model" in known else simulated_operators)(known, progress, runtime)
    if "role" in compared:
        fitted = compared["flag"].eq("") & compared["role"].eq("calibration")
        compared["flag"] = compared["flag"].mask(fitted, FITTED)
    compared["ratio"] = compared["simulated"] / compared["measured"].where(compared["measured"] > 0)
    compared["ape"] = (compared["ratio"] - 1).abs()
    columns = RUN_GROUPS if "model" in known else OPERATOR_GROUPS
    return Comparison(
        name=str(baseline),
        hardware=None if hardware is None else str(hardware),
        is_design=is_design,
        rows=compared,
        groups=by_group(_counted(compared), [column for column in columns if column in compared]),
        unmatched=unmatched,
        flagged=_counts(pd.concat([compared["flag"], rows["flag"][rows["machine"].isna()]])),
        failed=_counts(compared["error"]),
        skipped=len(measured.skipped),
        provenance=_provenance(measured, known["machine"]),
    )


def _counted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["flag"].eq("") & rows["error"].eq("") & rows["metric"].ne(POWER)]


def _file(baseline: str | Path) -> Path:
    """The file that is meant: a path, one of ours by its name, or below `aiconfigurator/` one of that package's."""
    first, *below = Path(baseline).parts
    if first == aiconfigurator.NAME and below and not Path(baseline).is_file():
        return aiconfigurator.systems().joinpath(*below)
    named = data.folder(SHIPPED) / f"{baseline}.csv"
    return named if not Path(baseline).is_file() and named.is_file() else Path(baseline)


def _machines(devices: pd.Series, hardware: str | Path | None) -> tuple[pd.Series, dict[str, int], bool]:
    """The machine of each row, None of those left out; the devices of these, counted; whether it is a design."""
    if hardware is None:
        machines = {device: meant(device, MACHINES) for device in devices.unique()}
    else:
        own = {folded(alias) for alias in (*aliases(hardware, MACHINES), Path(hardware).stem)}
        of_it = {device for device in devices.unique() if folded(device) in own}
        machines = {device: str(hardware) for device in of_it or devices.unique()}
    rows = devices.map(machines.get)
    unmatched = devices[rows.isna()].value_counts()
    is_design = hardware is not None and not of_it
    return rows, {str(device): int(count) for device, count in unmatched.items()}, is_design


def _counts(texts: pd.Series) -> dict[str, int]:
    """How often each text occurs that is not empty, the most frequent first."""
    return {str(text): int(count) for text, count in texts[texts.ne("")].value_counts().items()}


def _nested(groups: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """The errors by group, as plain data: the column, its value, the figures."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for row in groups.to_dict("records"):
        figures = {str(key): each for key, each in row.items() if key not in ("group", "value")}
        nested.setdefault(row["group"], {})[row["value"]] = figures
    return nested


def _mean(ratios: pd.Series) -> float | None:
    """The geometric mean; None of nothing."""
    return float(np.exp(np.log(ratios).mean())) if len(ratios) else None


def _provenance(measured: Measured, machines: pd.Series) -> Provenance:
    hashes = {name: load(name, MACHINES).hash for name in sorted(machines.unique())}
    return Provenance({"baseline": measured.hash, "machines": hashes})
