"""The samplers of Optuna: NSGA-II, NSGA-III and Gaussian processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.registry import register
from simulator.study.search.seen import Indices, Seen

PATIENCE = 8  # asks for each point of a batch, after which those that are still missing are drawn at random
VIOLATION = "violation"


@register("search", "nsga2")
def nsga2(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """A genetic algorithm: non-dominated sorting and crowding (Deb et al. 2002)."""
    return _asks("NSGAIISampler", seen, batch, seed, again=False)


@register("search", "nsga3")
def nsga3(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """A genetic algorithm: non-dominated sorting and reference points (Deb and Jain 2014)."""
    return _asks("NSGAIIISampler", seen, batch, seed, again=False)


@register("search", "gp")
def gp(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """Gaussian processes and expected hypervolume improvement; needs torch, and is slow beyond a few hundred points."""
    if find_spec("torch") is None:
        raise ConfigError("the method gp needs torch", expected="pip install torch")
    return _asks("GPSampler", seen, batch, seed, again=True, deterministic_objective=True)


def _asks(name: str, seen: Seen, batch: int, seed: int, again: bool, **options: Any) -> Iterator[Indices]:
    """Asks for a batch, and tells the results at the next turn; a point seen before is told at once.

    The levels of each axis are integers. Whether a point is usable is the one constraint; a point without objectives
    failed.
    """
    import optuna

    axes = {str(i): optuna.distributions.IntDistribution(0, size - 1) for i, size in enumerate(seen.sizes)}
    study = _study(optuna, name, seed, seen.costs.shape[1], options)
    rng = np.random.default_rng([seed, 1])
    while True:
        waiting: list[tuple[Any, tuple[int, ...]]] = []
        proposed: dict[tuple[int, ...], None] = {}
        for _ in range(PATIENCE * batch):
            if len(proposed) == batch:
                break
            trial = study.ask(axes)
            levels = trial.params  # a copy each time
            point = tuple(levels[axis] for axis in axes)
            if not again and (point in proposed or seen.place(point) is not None):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif not _tell(optuna, study, trial, seen, point):
                waiting.append((trial, point))
                proposed[point] = None
        for point in map(tuple, seen.drawn(rng, batch - len(proposed)).tolist()):
            study.enqueue_trial({str(i): level for i, level in enumerate(point)})
            waiting.append((study.ask(axes), point))
            proposed[point] = None
        yield np.array(list(proposed), dtype=np.int64).reshape(-1, len(axes))
        for trial, point in waiting:
            _tell(optuna, study, trial, seen, point)


def _study(optuna: Any, name: str, seed: int, objectives: int, options: dict[str, Any]) -> Any:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a sampler is experimental
            sampler = getattr(optuna.samplers, name)(seed=seed, constraints_func=_violation, **options)
        return optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _tell(optuna: Any, study: Any, trial: Any, seen: Seen, point: tuple[int, ...]) -> bool:
    """Tells the result of a point; False where there is none yet."""
    place = seen.place(point)
    if place is None:
        return False
    costs = seen.costs[place]
    trial.set_user_attr(VIOLATION, 0.0 if seen.usable[place] else 1.0)
    if np.isfinite(costs).all():
        study.tell(trial, costs.tolist())
    else:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return True


def _violation(trial: Any) -> tuple[float]:
    return (trial.user_attrs[VIOLATION],)
