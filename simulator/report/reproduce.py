"""Reproduce a published experiment: run it, and write its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.validation.reproduction import Progress, Reproduction, compare_with_published


def reproduce(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Run an experiment and compare it with what was published.

    With `output`, the figures, tables and page are written to `output/<name>/`: all of them, or on an error none.

    Raises:
        ConfigError: what is wrong with the experiment or with a file that it names.
    """
    reproduction = compare_with_published(experiment, overrides, progress)
    if output is not None:
        from simulator.report.page import write_page

        write_page(reproduction, Path(output))
    return reproduction
