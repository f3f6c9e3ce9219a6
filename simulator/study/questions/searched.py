"""The best trade-offs of a space that is too large to enumerate, and how fast the search came by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.study.problem import FEASIBLE, Problem, read_problem
from simulator.study.questions.metric import with_axes
from simulator.study.questions.tally import Tally
from simulator.study.search import SearchResult
from simulator.study.search import search as search_lattice
from simulator.study.space.columns import Columns, Evaluate
from simulator.study.space.lattice import Lattice
from simulator.study.store import MANIFEST, Manifest, laid_out, open_store, refuse_foreign, remove_store, write

if TYPE_CHECKING:
    import pandas as pd

LOG = "search.jsonl"


@dataclass(frozen=True, eq=False, repr=False)
class Searched(Result):
    """What a search of a sweep found.

    Attributes:
        result: every point that was evaluated, in order.
        tally: how many of them are feasible, and why others are not.
        best: the points on the front of those found, by their first objective: axes by their short names, objectives,
            all metrics. `point` is the number of the point in the sweep.
        progress: the hypervolume after so many evaluations, of the method and of the one beside it; a share of the box
            from the worst to the best feasible values that either has. Columns `method`, `evaluations`, `hypervolume`.
    """

    problem: Problem
    method: str
    result: SearchResult
    tally: Tally
    best: pd.DataFrame
    progress: pd.DataFrame
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        last = self.progress.groupby("method", sort=False)["hypervolume"].last()
        total = {
            "method": self.method,
            "points": self.problem.points,
            "evaluated": self.tally.points,
            "feasible": self.tally.feasible,
            "best": len(self.best),
            **{f"hypervolume_{method}": volume for method, volume in last.items()},
        }
        return {"search": pd.DataFrame([total]), "best": self.best, "progress": self.progress}


def search(
    name_or_path: str | Path,
    output: str | Path | None = None,
    *,
    method: str = "local",
    evaluations: int = 1000,
    batch: int = 32,
    seed: int = 0,
    overrides: Sequence[str] = (),
    run: str | None = None,
    against: str | None = "random",
    progress: Callable[[int, int], None] | None = None,
) -> Searched:
    """Look for the Pareto front of a sweep's objectives in at most so many evaluations, a `batch` in one call.

    The method `against` gets as many evaluations, so that it can be told what the search is worth; None: no other. The
    same arguments give the same points. In the folder `output` every evaluation is kept (`search.jsonl`): a search that
    was ended goes on there, and one with more evaluations takes what is known. In the end it holds the points of the
    method as a store, as `sweep` writes it (`point` is then the order of evaluation).

    Raises:
        ConfigError: what is wrong with the YAML; no objective, no such method; a folder of another sweep. That no point
            is feasible is none: `tally.none_feasible()` tells why.
    """
    problem = read_problem(name_or_path, overrides, run)
    space = Lattice(problem.sweep.space)
    folder = None if output is None else Path(output)
    if folder is not None and (folder / MANIFEST).exists() and not (folder / LOG).exists():
        raise ConfigError("the folder holds the results of a sweep", file=folder, expected="another folder")
    if folder is not None and not (folder / LOG).exists():
        refuse_foreign(folder)
    methods = [method] if against in (None, method) else [method, str(against)]
    storage, identity = None if folder is None else folder / LOG, problem.provenance.hash
    total = len(methods) * min(evaluations, len(space))
    evaluate = counted(with_axes(problem, problem.objectives), total, progress)
    runs = {
        each: search_lattice(
            space, evaluate, problem.objectives, feasible, each, evaluations, batch, seed, storage, identity
        )
        for each in methods
    }
    result = runs[method]
    tally = Tally(problem)
    tally.add(result.columns, result.metrics)
    arguments = {"method": method, "evaluations": evaluations, "batch": batch}
    made_from = Provenance({**problem.provenance.config, "search": arguments}, seed)
    if folder is not None:
        _store(folder, problem, result, made_from)
    return Searched(problem, method, result, tally, _best(problem, space, result), _progress(runs), made_from)


def counted(evaluate: Evaluate, total: int, progress: Callable[[int, int], None] | None) -> Evaluate:
    """The same, that tells how many points are done."""
    done = 0

    def counting(columns: Columns) -> Columns:
        nonlocal done
        result = evaluate(columns)
        done += len(result["error"])
        if progress:
            progress(done, total)
        return result

    return counting


def feasible(metrics: Columns) -> Any:
    """Which points hold every constraint."""
    return metrics[FEASIBLE]


def _best(problem: Problem, space: Lattice, result: SearchResult) -> pd.DataFrame:
    """The front, by its first objective."""
    import pandas as pd

    rows = np.flatnonzero(result.front)
    (first, way), *_ = problem.objectives.items()
    costs = np.asarray(result.metrics[first], dtype=float)[rows] * (-1 if way == "max" else 1)
    rows = rows[np.lexsort((space.points(result.indices[rows]), costs))]
    names, values = problem.sweep.space.aliases, {**result.columns, **result.metrics}
    objectives = [name for name in problem.objectives if name not in names.values()]
    others = [name for name in result.metrics if name not in (*problem.objectives, "error", FEASIBLE)]
    columns = {names.get(key, key): values[key][rows] for key in [*result.columns, *objectives, *others]}
    return pd.DataFrame({"point": space.points(result.indices[rows]), **columns})


def _progress(runs: Mapping[str, SearchResult]) -> pd.DataFrame:
    import pandas as pd

    usable = np.concatenate([run.values[run.feasible] for run in runs.values()])
    senses = [*next(iter(runs.values())).objectives.values()]
    box = {}
    if len(usable):
        most, least = usable.max(axis=0), usable.min(axis=0)
        more = np.array([sense == "max" for sense in senses])
        box = {"best": np.where(more, most, least), "worst": np.where(more, least, most)}
    frames = [
        pd.DataFrame(
            {"method": method, "evaluations": np.arange(len(run.feasible)) + 1, "hypervolume": run.progress(**box)}
        )
        for method, run in runs.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _store(folder: Path, problem: Problem, result: SearchResult, made_from: Provenance) -> None:
    """The points as one chunk of a store, in place of an earlier one."""
    remove_store(folder)
    points = len(result.feasible)
    metrics = {name: v for name, v in result.metrics.items() if name not in problem.sweep.space.aliases.values()}
    with open_store(folder, Manifest.of(made_from, points, points), own=True) as store:
        store.fix(laid_out(result.columns, metrics, problem.units))
        write(store.folder, store.manifest, (0, points), result.columns, metrics)
