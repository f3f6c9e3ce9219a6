"""Run an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.baselines.experiment import Progress, Simulation, is_study, load_experiment, run_each
from simulator.provenance import Provenance
from simulator.study.load import load_study
from simulator.study.results import results_of


def simulate(experiment: str | Path, overrides: Sequence[str] = (), progress: Progress | None = None) -> Simulation:
    """Run an experiment by its name in `experiments/` or by its path.

    `overrides` are `path.to.key=value`; `progress` is called with the points done and the points in all.

    Raises:
        ConfigError: what is wrong with the experiment or with a file that it names.
    """
    if is_study(experiment):
        results = results_of(load_study(experiment, overrides), None, progress)
        return Simulation(results.study.form, results, results.provenance)
    return simulate_each(experiment, [overrides], [progress])[0]


def simulate_each(
    experiment: str | Path, settings: Sequence[Sequence[str]], progress: Sequence[Progress | None]
) -> list[Simulation]:
    """Run an experiment under each of some overrides; what these have in common is computed once."""
    loaded = [load_experiment(experiment, overrides) for overrides in settings]
    outcomes = run_each([form for form, _ in loaded], [each or (lambda done, total: None) for each in progress])
    return [
        Simulation(form, outcome, Provenance({"experiment": config.data, **outcome.inputs}))
        for (form, config), outcome in zip(loaded, outcomes, strict=True)
    ]
