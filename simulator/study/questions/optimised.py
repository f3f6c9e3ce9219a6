"""The cheapest design that meets every constraint; and where there is none, what stands in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, one_of
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.study.execute import execute
from simulator.study.problem import FEASIBLE, Problem, read_problem
from simulator.study.questions.design import shown_value, varying
from simulator.study.questions.infeasible import nearest_miss
from simulator.study.questions.margin import margins
from simulator.study.questions.metric import Sense, metric_named, numbers, with_axes
from simulator.study.questions.searched import counted, feasible
from simulator.study.questions.tally import Tally
from simulator.study.search import search
from simulator.study.space.axes import texts_of
from simulator.study.space.columns import Columns
from simulator.study.space.expression import parse
from simulator.study.space.lattice import Lattice
from simulator.study.store import Manifest, load_store, open_store
from simulator.study.swept import columns_of

if TYPE_CHECKING:
    import pandas as pd

NEXT = 4  # designs behind the cheapest that are kept
CHUNKS = 16  # of a space, at least, so that slow points are shared out
MOST = 65_536  # points of a chunk
LIMIT = 1_000_000


@dataclass(frozen=True, eq=False, repr=False)
class Optimised(Result):
    """The cheapest design of a sweep.

    Attributes:
        cost: what is the least, or the most where `way` is max.
        enumerated: whether every point was looked at; else the design is the best that a search found.
        tally: how many points there are, and why some are not feasible.
        best: the cheapest design and the next ones, a row each: axes by their short names, all metrics.
        slack: of the design, for each constraint: `value`, `limit`, and the `slack` between them, all in its own unit;
            `slack_percent` of the limit. NaN of a constraint that is no inequality of numbers.
    """

    problem: Problem
    cost: str
    way: Sense
    enumerated: bool
    tally: Tally
    best: pd.DataFrame
    slack: pd.DataFrame
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        total = {
            "cost": self.cost,
            "way": self.way,
            "enumerated": self.enumerated,
            "points": self.problem.points,
            "evaluated": self.tally.points,
            "feasible": self.tally.feasible,
            "failed": sum(self.tally.failures.values()),
        }
        frames = {"optimise": pd.DataFrame([total]), "design": self.best.head(1), "slack": self.slack}
        frames["next"] = self.best.iloc[1:].reset_index(drop=True)
        return {name: frame for name, frame in frames.items() if len(frame)}


def optimise(
    name_or_path: str | Path,
    cost: str | None = None,
    *,
    where: Sequence[str] = (),
    limit: int = LIMIT,
    evaluations: int = 10_000,
    seed: int = 0,
    overrides: Sequence[str] = (),
    run: str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Optimised:
    """The design of a sweep with the least `cost` that meets its constraints, and those of `where` too.

    `cost` is a metric, a derived value or an axis: the first objective of which less is better, unless given. One that
    the objectives want the most of is maximised. Of designs that cost the same (to nine digits), the other objectives
    decide, in their order, and then the order of the points. Up to `limit` points, all are computed; of a larger space,
    the search `local` looks at so many `evaluations`, and what it finds may not be the cheapest (`enumerated`).

    Raises:
        ConfigError: what is wrong with the YAML; no such cost, or none; no feasible design, with how many points each
            constraint rules out (alone: points that meet all others), and the design that misses least.
    """
    problem = _with(read_problem(name_or_path, overrides, run), where)
    cost = _cost(problem, cost)
    way = problem.objectives.get(cost, "min")
    enumerated = problem.points <= limit
    kept = _Kept(problem, {cost: way, **problem.objectives})
    if enumerated:
        with _computed(problem, workers, progress) as batches:
            for columns in batches:
                kept.add(columns, columns)
    else:
        evaluate = counted(with_axes(problem, [cost]), evaluations, progress)
        space = Lattice(problem.sweep.space)
        result = search(space, evaluate, {cost: way}, feasible, evaluations=evaluations, seed=seed)
        kept.add(result.columns, {name: v for name, v in result.metrics.items() if name not in kept.names.values()})
    if not len(kept.best):
        raise kept.none()
    arguments = {"where": list(where), "cost": cost}
    made_from = Provenance({**problem.provenance.config, "optimise": arguments}, None if enumerated else seed)
    best = kept.best.drop(columns=["error", FEASIBLE, "point"], errors="ignore").rename(columns=kept.names)
    return Optimised(problem, cost, way, enumerated, kept.tally, best, _slack(problem, kept.known(0)), made_from)


def _with(problem: Problem, where: Sequence[str]) -> Problem:
    """The problem with more constraints."""
    known = {*problem.metrics, *problem.sweep.derived, *problem.sweep.space.aliases.values()}
    more = []
    for text in where:
        try:
            more.append(parse(text))
            more[-1].check(known)
            more[-1].check_texts(texts_of(problem.sweep.axes.values()))
        except ConfigError as error:
            error.path = "--where"
            raise
    return replace(problem, sweep=replace(problem.sweep, constraints=(*problem.sweep.constraints, *more)))


def _cost(problem: Problem, cost: str | None) -> str:
    least = next((name for name, way in problem.objectives.items() if way == "min"), None)
    if cost is None and least is None:
        known = [*(name for name, unit in problem.metrics.items() if unit), *problem.sweep.derived]
        raise ConfigError("no objective is to be small", path="--for", found="nothing", expected=one_of(known))
    return metric_named(problem, cost or least, "--for")


@contextmanager
def _computed(
    problem: Problem, workers: int | None, progress: Callable[[int, int], None] | None
) -> Iterator[Iterator[Columns]]:
    """Every point, a batch at a time, by way of a store that is gone afterwards."""
    chunk = min(MOST, -(-problem.points // CHUNKS))
    with TemporaryDirectory() as folder:
        with open_store(Path(folder), Manifest.of(problem.provenance, problem.points, chunk)) as store:
            execute(problem, store, 1 if problem.stored else workers, progress=progress)
        yield (columns_of(batch.to_pandas()) for batch in load_store(Path(folder)).read())


class _Kept:
    """The best rows so far, and the one that misses least as long as there is none; `keys` decide, in their order."""

    def __init__(self, problem: Problem, keys: Mapping[str, Sense]) -> None:
        self.problem, self.keys, self.tally = problem, keys, Tally(problem)
        self.names = problem.sweep.space.aliases
        self.best: pd.DataFrame = _frame({}, [])
        self.missed: tuple[tuple[float, float], dict[str, float], pd.DataFrame] | None = None

    def add(self, columns: Columns, metrics: Columns) -> None:
        """Points with these axes and metrics."""
        import pandas as pd

        self.tally.add(columns, metrics)
        known = self.problem.named(columns, metrics)
        cost = numbers(known, next(iter(self.keys)))
        good = np.flatnonzero(metrics[FEASIBLE].astype(bool) & ~np.isnan(cost))
        every = {**columns, **metrics}
        if len(good):
            designs = {name: values[good] for name, values in every.items()}
            both = _frame(designs, self._order(designs)[: NEXT + 1])
            both = pd.concat([self.best, both], ignore_index=True) if len(self.best) else both
            self.best = both.iloc[self._order({str(name): both[name].to_numpy() for name in both})[: NEXT + 1]]
        elif not len(self.best):
            self._miss(every, known)

    def _order(self, columns: Columns) -> NDArray[np.int64]:
        known = self.problem.named(columns, columns)
        ways = [_rounded(numbers(known, name)) * (-1 if way == "max" else 1) for name, way in self.keys.items()]
        return np.lexsort(ways[::-1])

    def _miss(self, every: Columns, known: Columns) -> None:
        """The point that misses least among these, where it misses less than the one before."""
        beyond: dict[str, Any] = {}
        for each in self.problem.sweep.constraints:
            parts = margins(each)
            beyond |= {part.text: part.excess(known) for part in parts}
            if not parts:
                beyond[each.text] = np.where(np.asarray(each.at(known) != 0), 0.0, np.inf)
        points = len(every["error"])
        beyond = {
            text: np.where(every["error"] == "", np.broadcast_to(each, points), np.inf) for text, each in beyond.items()
        }
        try:
            point, misses = nearest_miss(beyond)
        except ConfigError:
            return  # none has numbers for every constraint
        if not misses:
            return  # it is feasible, but has no cost
        far = max(misses.values()), sum(misses.values())
        if self.missed is None or far < self.missed[0]:
            self.missed = far, misses, _frame(every, [point])

    def known(self, row: int) -> dict[str, Any]:
        """One of the best, by the names that expressions use."""
        columns = {str(name): self.best[name].to_numpy()[row : row + 1] for name in self.best}
        return self.problem.named(columns, columns)

    def none(self) -> ConfigError:
        """What to tell where there is no feasible design."""
        cost = next(iter(self.keys))
        if self.tally.feasible:
            found = f"{self.tally.feasible:,} feasible designs, none of which has it"
            return ConfigError(
                "no design to choose", path=cost, found=found, expected="a metric that the machines have"
            )
        error = self.tally.none_feasible()
        if len(self.tally.alone) > 1:
            alone = [f"{count:,} but for '{text}'" for text, count in self.tally.alone.items() if count]
            error.found = "; ".join([str(error.found), *([f"feasible: {', '.join(alone)}"] if alone else [])])
        if self.missed is not None:
            _, misses, row = self.missed
            design = _called(self.problem, {str(name): row[name].to_numpy() for name in row})
            by = " and ".join(f"'{text}' by {100 * share:.3g} %" for text, share in misses.items())
            error.expected = f"{error.expected}: the nearest design ({design}) misses {by}"
        return error


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To nine digits, so that the last bits of a sum decide nothing."""
    return np.array([float(f"{value:.9g}") for value in values.tolist()])


def _called(problem: Problem, columns: Columns) -> str:
    """A design by the axes that vary in it."""
    shown = [
        f"{axis.name} {shown_value(columns[axis.path][0], axis.unit or '')}"
        for axis in varying(problem.sweep.space, columns)
    ]
    return ", ".join(shown)


def _slack(problem: Problem, known: Columns) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for constraint in problem.sweep.constraints:
        parts = margins(constraint)
        for part in parts:
            value, limit, slack = (float(np.ravel(each)[0]) for each in part.slack(known))
            percent = 100 * slack / abs(limit) if limit else float("nan")
            rows.append((part.text, value, limit, slack, percent))
        if not parts:
            rows.append((constraint.text, *4 * (float("nan"),)))
    return pd.DataFrame(rows, columns=["constraint", "value", "limit", "slack", "slack_percent"])


def _frame(columns: Columns, rows: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: np.asarray(values)[rows] for name, values in columns.items()})
