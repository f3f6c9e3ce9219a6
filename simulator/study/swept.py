"""Run a sweep: compute what its folder lacks, and draw the answers from what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.result import Result
from simulator.study.execute import Counts, execute
from simulator.study.problem import FEASIBLE, Problem, read_problem
from simulator.study.questions.pareto import front, merge
from simulator.study.questions.tally import Tally, none_feasible
from simulator.study.store import Manifest, Store, load_store, open_store

if TYPE_CHECKING:
    import pandas as pd

    from simulator.provenance import Provenance


@dataclass(frozen=True, eq=False, repr=False)
class Swept(Result):
    """A sweep and what came of it.

    Attributes:
        folder: the store: `sweep.json` and a Parquet file a chunk.
        counts: what this run computed.
        feasible: points that did not fail and meet all constraints.
        best: the points on the Pareto front of the objectives, by their first one; all columns. Empty without any.
        ruled_out: by constraint, how many points of those that did not fail it rules out.
        lacking: by objective, how many feasible points have no number for it, and so are on no front.
        failures: the messages of points that failed, and how many have each, the most frequent first.
    """

    problem: Problem
    folder: Path
    counts: Counts
    feasible: int
    best: pd.DataFrame
    ruled_out: Mapping[str, int]
    lacking: Mapping[str, int]
    failures: Mapping[str, int]
    provenance: Provenance

    def points(self, limit: int | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The points, or the first `limit` of them."""
        return load_store(self.folder).frame(limit, columns)

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        total = {
            "points": self.problem.points,
            "computed": self.counts.computed,
            "feasible": self.feasible,
            "failed": sum(self.failures.values()),
            "seconds": self.counts.seconds,
        }
        frames = {"sweep": pd.DataFrame([total])}
        reasons = {"ruled out": self.ruled_out, "lacking": self.lacking, "failures": self.failures}
        for name, counted in reasons.items():
            if counted:
                rows = [{"reason": text, "points": count} for text, count in counted.items()]
                frames[name] = pd.DataFrame(rows)
        if len(self.best):
            frames["best"] = self.best
        return frames


def sweep(
    name_or_path: str | Path,
    output: str | Path,
    overrides: Sequence[str] = (),
    *,
    run: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    fail_fast: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Swept:
    """Compute all points of a sweep into the folder `output`, or those that it lacks; then find the best.

    `run`: of a study that has several. `workers`: processes, as many as cores unless given; `cluster`: a Dask
    scheduler's address, `local` or `slurm`. With `fail_fast` the first point that fails ends the run; else it is a row
    with its error.

    Raises:
        ConfigError: what is wrong with the YAML; a folder that holds another sweep; no feasible point is none: it is
            told with what rules them out.
    """
    problem, folder = read_problem(name_or_path, overrides, run), Path(output)
    with open_store(folder, Manifest.of(problem.provenance, problem.points, problem.chunk)) as store:
        counts = execute(problem, store, workers, cluster, fail_fast, progress)
    return summed_up(problem, load_store(folder), counts)


def summed_up(problem: Problem, store: Store, counts: Counts) -> Swept:
    """The answers that one pass over a store gives, a batch at a time."""
    import pandas as pd

    senses = list(problem.objectives.values())
    best, costs = pd.DataFrame(), np.empty((0, len(senses)))
    tally = Tally(problem)
    for batch in store.read():
        frame: pd.DataFrame = batch.to_pandas()
        columns = columns_of(frame)
        tally.add(columns, columns)
        good = columns[FEASIBLE].astype(bool)
        if senses and good.any():
            rows, values = frame[good], problem.objective_values(columns, columns)[good]
            leading = front(values, senses)
            rows, values = rows[leading], values[leading]
            kept, new = merge(costs, values, senses)
            best = pd.concat([best[kept], rows[new]], ignore_index=True) if len(best) else rows
            costs = np.concatenate([costs[kept], values[new]])
    if len(best):
        first = -costs[:, 0] if senses[0] == "max" else costs[:, 0]
        best = best.reset_index(drop=True).iloc[np.argsort(first, kind="stable")]
    counted = (tally.feasible, best, tally.ruled_out, tally.lacking, tally.failures)
    return Swept(problem, store.folder, counts, *counted, problem.provenance)


def columns_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Points that a store gave, as columns."""
    columns: dict[str, Any] = {str(name): frame[name].to_numpy() for name in frame}
    return {**columns, "error": frame["error"].astype(object).to_numpy()}


def no_feasible(swept: Swept) -> ConfigError:
    """What to tell where no point is feasible: how many points each constraint rules out."""
    return none_feasible(swept.problem.points, swept.ruled_out, swept.failures)
