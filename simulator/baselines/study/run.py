"""How a study runs: every point of its sweep, the front, and searches of the same space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.study.form import Searches, StudyExperiment
from simulator.baselines.study.outcome import StudyOutcome
from simulator.baselines.study.shown import check_shown
from simulator.errors import ConfigError
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.lattice import Lattice
from simulator.explore.sweep.pareto import front
from simulator.explore.sweep.problem import FEASIBLE, Problem, problem
from simulator.explore.sweep.search import search
from simulator.registry import register

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1024
CHECKED = 40  # places along a search at which its hypervolume is noted


@register("experiment", "study")
class StudyKind:
    """Computes the points of a sweep, in this process."""

    form = StudyExperiment
    published = False

    @staticmethod
    def check(experiment: StudyExperiment) -> None:
        with part_of("sweep"):
            asked = problem(experiment.sweep, experiment.set)
        check_shown(experiment, asked)

    @staticmethod
    def run(experiment: StudyExperiment, progress: Progress) -> StudyOutcome:
        asked = problem(experiment.sweep, experiment.set)
        frame = _points(asked, progress)
        senses = list(asked.objectives.values())
        names = {path: alias for path, alias in asked.sweep.space.aliases.items()}
        frame["front"] = False
        if senses and frame[FEASIBLE].any():
            wanted = frame.rename(columns=names)[list(asked.objectives)].to_numpy(dtype=float, copy=True)
            wanted[~frame[FEASIBLE].to_numpy(dtype=bool)] = np.nan
            frame["front"] = front(wanted, senses)
        searches = _searches(asked, frame, experiment.search, names) if experiment.search else None
        return StudyOutcome(frame, searches, asked, experiment.keep, {"sweep": asked.provenance.config["sweep"]})


def _points(asked: Problem, progress: Progress) -> pd.DataFrame:
    """A row a point: its axes, by path, and its metrics."""
    import pandas as pd

    parts = []
    for start in range(0, asked.points, CHUNK):
        columns = asked.columns(start, start + CHUNK)
        parts.append(pd.DataFrame({**columns, **asked(columns)}))
        progress(min(start + CHUNK, asked.points), asked.points)
    return pd.concat(parts, ignore_index=True)


def _searches(asked: Problem, frame: pd.DataFrame, wanted: Searches, names: dict[str, str]) -> pd.DataFrame:
    """The share of the hypervolume of all points that searches reach: nothing is computed anew."""
    import pandas as pd

    lattice = Lattice(asked.sweep.space)
    by_name = frame.rename(columns=names)
    values = by_name[list(asked.objectives)].to_numpy(dtype=float)
    good = frame[FEASIBLE].to_numpy(dtype=bool) & np.isfinite(values).all(axis=1)
    if not good.any():
        expected = "feasible points that have every objective"
        raise ConfigError("nothing to search for", path="search", found="none", expected=expected)
    metrics = {str(name): frame[name].to_numpy() for name in frame if name not in names} | {FEASIBLE: good}
    senses = np.array([-1.0 if sense == "max" else 1.0 for sense in asked.objectives.values()])
    costs = values[good] * senses
    best, worst = costs.min(axis=0) * senses, costs.max(axis=0) * senses

    def evaluate(columns: Columns) -> Columns:
        rows = columns["point"].astype(np.int64)
        return {**{name: each[rows] for name, each in metrics.items()}, **_objectives(asked, values, rows)}

    class Numbered:
        """The lattice, whose points are known by their number."""

        sizes = lattice.sizes

        @staticmethod
        def at(indices: Any) -> Columns:
            return {"point": np.asarray(lattice.points(indices))}

    rows: list[dict[str, Any]] = []
    whole = _volume(costs, senses, best, worst, asked)
    most = max(1, int(wanted.share * int(good.sum())))
    for method in wanted.methods:
        for seed in range(wanted.seeds):
            found = search(
                Numbered(), evaluate, asked.objectives, lambda found: found[FEASIBLE].astype(bool), method, most,
                wanted.batch, seed,
            )  # fmt: skip
            volumes = found.progress(best, worst) / whole
            for place in np.unique(np.linspace(1, len(volumes), CHECKED).round().astype(int)):
                rows.append({"method": method, "seed": seed, "evaluations": place, "hypervolume": volumes[place - 1]})
    return pd.DataFrame(rows)


def _objectives(asked: Problem, values: Any, rows: Any) -> dict[str, Any]:
    return {name: values[rows, place] for place, name in enumerate(asked.objectives)}


def _volume(costs: Any, senses: Any, best: Any, worst: Any, asked: Problem) -> float:
    """The hypervolume of all feasible points, as a search measures its own."""
    from simulator.explore.sweep.pareto import hypervolume, normalised

    kinds = list(asked.objectives.values())
    scaled = normalised(costs * senses, kinds, best, worst)
    return hypervolume(scaled, ["min"] * len(kinds), np.ones(len(kinds)))
