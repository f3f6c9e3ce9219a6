"""Compare with measured data, and write the figures of it."""

from __future__ import annotations

from pathlib import Path

from simulator.validation.compare import Comparison, compare_with_measured
from simulator.validation.measured.simulated import Progress


def compare(
    baseline: str | Path,
    hardware: str | Path | None = None,
    *,
    skip_bad: bool = False,
    output: Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measured values of operators or runs beside simulated ones, on the machines that the `aliases` of ours name.

    With `output`, the rows (`rows.csv`), the errors by group (`groups.csv`) and figures of both (`scatter.svg`,
    `errors.svg`) are written into that folder.

    Args:
        baseline: a CSV or Parquet file in a form of ours or of a source that an importer knows; the name of one of
            ours in `workloads/measured`; or `aiconfigurator/` and what lies in the folder `systems` of that package.
        hardware: one machine for all: of those that measured data know by its aliases, the rows of these; of another,
            a design, which is set beside all.
        skip_bad: count rows with a cell that cannot be used, instead of refusing the file.
        output: a folder for figures and tables.
        progress: called with what runs, how much of it is done and how much there is.

    Raises:
        ConfigError: what is wrong with the file, with its line and column; no device of it is described.
    """
    comparison = compare_with_measured(baseline, hardware, skip_bad=skip_bad, progress=progress)
    if output is not None:
        _write(comparison, Path(output))
    return comparison


def _write(comparison: Comparison, folder: Path) -> None:
    """Tables and figures of a comparison."""
    from simulator.files import whole
    from simulator.report.plots import measured
    from simulator.report.style import save

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("rows", comparison.rows), ("groups", comparison.groups)):
        with whole(folder / f"{name}.csv") as unfinished:
            table.to_csv(unfinished, index=False)
    rows = comparison.counted
    if len(rows):
        by = "class" if "class" in rows else "engine"
        save(measured.scatter(rows, by), folder / "scatter.svg")
        save(measured.spread(rows, by), folder / "errors.svg")
