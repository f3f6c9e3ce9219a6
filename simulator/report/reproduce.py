"""Reproduce a published experiment: run it, and write its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.validation.reproduction import Progress, Reproduction, compare_with_published

POINTS = ".points"
"""The folder beside the pages in which points are kept."""


def reproduce(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> Reproduction:
    """Run an experiment and compare it with what was published.

    With `output`, the figures, tables and page are written to `output/<name>/`: all of them, or on an error none.
    Points are kept in `output/.points`, and computed again only where what they are made from has changed, or `fresh`.

    Raises:
        ConfigError: what is wrong with the experiment or with a file that it names.
    """
    store = None if output is None or fresh else Path(output) / POINTS
    reproduction = compare_with_published(experiment, overrides, progress, store)
    if output is not None:
        from simulator.report.page import write_page

        write_page(reproduction, Path(output))
    return reproduction
