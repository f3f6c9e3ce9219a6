"""How much of what all designs offer a search finds: nothing is computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.scenario.kept import Kept, sources
from simulator.study.form import RUN, Searches
from simulator.study.load import Study
from simulator.study.problem import FEASIBLE, Problem
from simulator.study.questions.pareto import hypervolume, normalised
from simulator.study.search import search
from simulator.study.space.columns import Columns
from simulator.study.space.lattice import Lattice

if TYPE_CHECKING:
    import pandas as pd

NOTED = 40  # places along a search at which its hypervolume is noted


def searched(study: Study, points: Mapping[str, pd.DataFrame], kept: Kept | None = None) -> pd.DataFrame:
    """The share of the hypervolume of all points that searches reach, by `method`, `seed` and `evaluations`."""
    import pandas as pd

    wanted = study.form.search
    assert wanted is not None
    if kept:
        hashed = {name: pd.util.hash_pandas_object(frame, index=False).to_numpy() for name, frame in points.items()}
        senses = {name: dict(each.objectives) for name, each in study.runs.items()}
        question = ["searches", sources("study"), wanted.model_dump(), senses, hashed]
        shares = kept.metrics(question, lambda: {str(n): c.to_numpy() for n, c in searched(study, points).items()})
        return pd.DataFrame(dict(shares))
    parts = []
    for name, problem in study.runs.items():
        if problem.objectives:
            result = _searched(problem, points[name], wanted)
            parts.append(result.assign(**{RUN: name}) if study.form.runs else result)
    return pd.concat(parts, ignore_index=True)


def _searched(problem: Problem, frame: pd.DataFrame, wanted: Searches) -> pd.DataFrame:
    import pandas as pd

    lattice = Lattice(problem.sweep.space)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    values = problem.objective_values(columns, columns)
    good = frame[FEASIBLE].to_numpy(dtype=bool) & np.isfinite(values).all(axis=1)
    if not good.any():
        expected = "feasible points that have every objective"
        raise ConfigError("nothing to search for", path="search", found="none", expected=expected)
    metrics = {name: each for name, each in columns.items() if name not in problem.sweep.axes} | {FEASIBLE: good}
    senses = np.array([-1.0 if sense == "max" else 1.0 for sense in problem.objectives.values()])
    costs = values[good] * senses
    best, worst = costs.min(axis=0) * senses, costs.max(axis=0) * senses

    def evaluate(columns: Columns) -> Columns:
        rows = columns["point"].astype(np.int64)
        objectives = {name: values[rows, place] for place, name in enumerate(problem.objectives)}
        return {**{name: each[rows] for name, each in metrics.items()}, **objectives}

    class Numbered:
        """The lattice, whose points are known by their number."""

        sizes = lattice.sizes

        @staticmethod
        def at(indices: Any) -> Columns:
            return {"point": np.asarray(lattice.points(indices))}

    rows: list[dict[str, Any]] = []
    largest = _volume(costs, senses, best, worst, problem)
    most = max(1, int(wanted.share * int(good.sum())))
    for method in wanted.methods:
        for seed in range(wanted.seeds):
            result = search(
                Numbered(), evaluate, problem.objectives, lambda result: result[FEASIBLE].astype(bool), method, most,
                wanted.batch, seed,
            )  # fmt: skip
            volumes = result.progress(best, worst) / largest
            for place in np.unique(np.linspace(1, len(volumes), NOTED).round().astype(int)):
                rows.append({"method": method, "seed": seed, "evaluations": place, "hypervolume": volumes[place - 1]})
    return pd.DataFrame(rows)


def _volume(costs: Any, senses: Any, best: Any, worst: Any, problem: Problem) -> float:
    """The hypervolume of all feasible points, as a search measures its own."""
    kinds = list(problem.objectives.values())
    scaled = normalised(costs * senses, kinds, best, worst)
    return hypervolume(scaled, ["min"] * len(kinds), np.ones(len(kinds)))
