"""Run an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.study.load import load_study
from simulator.study.results import Progress, StudyResults, results_of


def simulate(experiment: str | Path, overrides: Sequence[str] = (), progress: Progress | None = None) -> StudyResults:
    """Run an experiment by its name in `experiments/` or by its path.

    `overrides` are `path.to.key=value`; `progress` is called with the points done and the points in all.

    Raises:
        ConfigError: what is wrong with the experiment or with a file that it names.
    """
    return results_of(load_study(experiment, overrides), None, progress)
