"""Tables and figures of a comparison with measured data."""

from __future__ import annotations

from pathlib import Path

from simulator.files import replacement
from simulator.validation.compare import Comparison


def write_comparison(comparison: Comparison, folder: str | Path) -> None:
    """Write rows (`rows.csv`), errors by group (`groups.csv`) and figures of both (`scatter.svg`, `errors.svg`).

    Raises:
        OSError: the folder cannot be written.
    """
    from simulator.report.plots import measured
    from simulator.report.style import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("rows", comparison.rows), ("groups", comparison.groups)):
        with replacement(folder / f"{name}.csv") as unfinished:
            table.to_csv(unfinished, index=False)
    rows = comparison.counted
    if len(rows):
        by = "class" if "class" in rows else "engine"
        save(measured.scatter(rows, by), folder / "scatter.svg")
        save(measured.spread(rows, by), folder / "errors.svg")
