"""Search a space for the best trade-offs, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError, unknown
from simulator.registry import registered
from simulator.study.questions.pareto import Sense, front, hypervolume, normalised
from simulator.study.search.log import Log
from simulator.study.search.seen import Indices, Method, Numbered, Seen, Space
from simulator.study.space.columns import Columns, Evaluate

Feasible: TypeAlias = Callable[[Columns], NDArray[np.bool_]]
"""Which points hold every constraint, from their metrics."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Every point that a search evaluated, in order.

    Attributes:
        objectives: each metric that matters, and whether less or more of it is better.
        indices: levels of the axes, of shape (points, axes).
        columns: values of the axes, one row a point.
        metrics: what evaluation gave, one row a point.
        feasible: the points that hold the constraints and have every objective.
    """

    objectives: Mapping[str, Sense]
    indices: Indices
    columns: Columns
    metrics: Columns
    feasible: NDArray[np.bool_]

    @property
    def values(self) -> NDArray[np.float64]:
        """Of shape (points, objectives)."""
        return _values(self.metrics, self.objectives)

    @cached_property
    def front(self) -> NDArray[np.bool_]:
        """The feasible points that no other feasible point dominates."""
        return front(self._usable, list(self.objectives.values()))

    @property
    def _usable(self) -> NDArray[np.float64]:
        """The values of feasible points, and NaN elsewhere."""
        return np.where(self.feasible[:, None], self.values, np.nan)

    def progress(self, best: ArrayLike | None = None, worst: ArrayLike | None = None) -> NDArray[np.float64]:
        """Hypervolume after each evaluation, of shape (points,): the share of the box from `worst` to `best`.

        `best` and `worst`, of shape (objectives,), are in the units of the metrics; those of the feasible points found,
        unless given. To compare searches, give all of them the same.
        """
        senses = list(self.objectives.values())
        volumes = np.zeros(len(self.feasible))
        if not self.feasible.any():
            return volumes
        costs = normalised(self._usable, senses, best, worst)
        kept, volume = np.empty((0, len(senses))), 0.0
        for i, cost in enumerate(costs):
            if np.all(cost < 1) and not np.any(np.all(kept <= cost, axis=1)):
                kept = np.vstack([kept[~np.all(cost <= kept, axis=1)], cost])
                volume = hypervolume(kept, ["min"] * len(senses), np.ones(len(senses)))
            volumes[i] = volume
        return volumes


def search(
    space: Space,
    evaluate: Evaluate,
    objectives: Mapping[str, Sense],
    feasible: Feasible | None = None,
    method: str = "local",
    evaluations: int = 1000,
    batch: int = 32,
    seed: int = 0,
    storage: Path | None = None,
    identity: str = "",
) -> SearchResult:
    """The points that a method asks for, evaluated a batch in one call, none twice; the same seed gives the same.

    Methods: `local`, `tpe`, `nsga2`, `nsga3`, `gp`, `random`, `sobol`, `latin`, and what others register under the kind
    `search`. Ends after `evaluations` points, or once every point of the space is seen. `storage` is a file of what was
    evaluated (`Log`): the same search goes on from there, and another of the same `identity` takes what it can.

    Raises:
        ConfigError: no such method, an objective that the points lack, numbers below 1, a `storage` of other points, a
            library of the method that is not installed.
    """
    for name, count in {"evaluations": evaluations, "batch": batch}.items():
        if count < 1:
            raise ConfigError(path=name, found=count, expected="1 or more")
    if not objectives:
        raise ConfigError(path="objectives", found="none", expected="one or more")
    ask: Method = registered("search", method)
    log = None if storage is None else Log(storage, space.sizes, identity)
    numbered = space if isinstance(space, Numbered) else None
    seen, rng = Seen(space.sizes, len(objectives), numbered), np.random.default_rng([seed, 2])
    evaluations = min(evaluations, seen.left)
    asks, parts = ask(seen, evaluations, batch, seed), []
    while len(seen) < evaluations:
        most = min(batch, evaluations - len(seen))
        indices = seen.fresh(next(asks, np.empty((0, len(space.sizes)), dtype=np.int64)), most)
        indices = indices if len(indices) else seen.drawn(rng, most)
        metrics = log.evaluated(space, evaluate, indices) if log else evaluate(space.at(indices))
        values = _values(metrics, objectives)
        holds = np.ones(len(indices), dtype=np.bool_) if feasible is None else np.asarray(feasible(metrics), np.bool_)
        usable = holds & np.isfinite(values).all(axis=1)
        seen.add(indices, values * np.where([s == "max" for s in objectives.values()], -1.0, 1.0), usable)
        parts.append((space.at(indices), metrics))
    columns, metrics = (_joined(each) for each in zip(*parts, strict=True))
    return SearchResult(objectives, seen.indices, columns, metrics, seen.usable)


def _values(metrics: Columns, objectives: Mapping[str, Sense]) -> NDArray[np.float64]:
    """Of shape (points, objectives)."""
    for name in objectives:
        if name not in metrics:
            raise unknown(name, metrics, "the points have no such metric", path="objectives")
    return np.stack([np.asarray(metrics[name], dtype=np.float64) for name in objectives], axis=1)


def _joined(parts: tuple[Columns, ...]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
