"""Fit figures of a scenario to what was measured: the calibrations of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, unwarned
from simulator.study.load import load_study
from simulator.study.results import StudyResults, results_of
from simulator.validation.experiment import check_published, published_of
from simulator.validation.published import PUBLISHED, Published, written
from simulator.validation.reproduction import Progress

Vector: TypeAlias = NDArray[np.float64]

APART = 1e-4  # of the finite differences, downwards: a fraction that is 1 has no room above
SHORT = 1e-6  # a step so short is the last one
ROUNDS = 50


def fit(
    experiment: str | Path,
    parameters: Mapping[str, float],
    most: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, float]:
    """The values of some figures of a study's scenarios for which its calibrations come out.

    Least squares over the rows of `published.csv` whose role is `calibration`:
    `min sum_i (ln simulated_i - ln published_i)^2` over the logarithms of the values, so that all stay positive. No
    more cases are computed than those rows need.

    Args:
        experiment: a study by name or path.
        parameters: paths of a scenario (`hardware.links.a<->b.latency`), with the values to start from, in SI units.
        most: what they must not exceed (of a fraction, 1).
        overrides: of the study, as `--set` takes them.

    Raises:
        ConfigError: a start that is none; fewer calibrations than parameters, or a parameter that changes none of them;
            a calibration that the machine refuses; what `simulate` raises.
    """
    limits = {path: (most or {}).get(path, np.inf) for path in parameters}
    for path, start in parameters.items():
        if not (0 < start <= limits[path] and start < np.inf):
            expected = f"a start above 0, at most {limits[path]:g}"
            raise ConfigError(path=path, found=f"{start:g}", expected=expected)
    study = load_study(experiment, [*overrides, *parameters.items()])
    file = study.config.file.parent / PUBLISHED
    published = published_of(study)
    check_published(study, published)
    rows = [row for row in published if row.role == "calibration"]
    if not 0 < len(parameters) <= len(rows):
        expected = f"1 to {len(rows)}, as many as there are calibrations"
        raise ConfigError("parameters", file=file, found=len(parameters), expected=expected)
    wanted = [(row.metric, row.condition) for row in rows]

    def misfit(logarithms: Vector, title: str) -> Vector:
        fitted = study.under(_values(parameters, logarithms))
        with unwarned() if title != "start" else nullcontext():
            results = results_of(fitted, wanted, progress and (lambda done, total: progress(title, done, total)))
        return np.array([_off(row, results, file) for row in rows])

    logarithms, upper = (np.log(list(each.values())) for each in (parameters, limits))
    optimum, useless = _least_squares(misfit, logarithms, upper)
    if useless is not None:
        path = list(parameters)[useless]
        raise ConfigError("it changes no calibration", path=path, expected="a figure that the times depend on")
    return _values(parameters, optimum)


def _values(parameters: Mapping[str, float], logarithms: Vector) -> dict[str, float]:
    return dict(zip(parameters, np.exp(logarithms).tolist(), strict=True))


def _off(row: Published, outcome: StudyResults, file: Path) -> float:
    """`ln simulated - ln published`."""
    simulated = outcome.measure(row.metric, row.condition)
    if not simulated:
        raise ConfigError("a calibration is refused", file=file, found=f"{row.metric} {written(row.condition)}")
    return float(np.log(row.from_si(simulated) / row.published))


def _least_squares(misfit: Callable[[Vector, str], Vector], x: Vector, upper: Vector) -> tuple[Vector, int | None]:
    """The x up to `upper` with the least sum of squares of `misfit(x, title)`; which of x makes no difference, if any.

    Gauss-Newton with finite differences (Nocedal and Wright, Numerical Optimization, 10.3): a step that fits no better
    is halved, one beyond a bound ends there, and what would only go beyond stays.
    """
    residuals = misfit(x, "start")
    for turn in range(1, ROUNDS + 1):
        title = f"round {turn}"
        slopes = np.column_stack([(residuals - misfit(x - APART * unit, title)) / APART for unit in np.eye(len(x))])
        flat = ~slopes.any(axis=0)
        if turn == 1 and flat.any():
            return x, int(np.argmax(flat))
        free = ~((x >= upper) & (slopes.T @ residuals < 0))
        step = np.zeros_like(x)
        step[free] = np.linalg.lstsq(slopes[:, free], -residuals, rcond=None)[0]
        while np.abs(step).max() > SHORT:
            ahead = np.minimum(x + step, upper)
            nearer = misfit(ahead, title)
            if nearer @ nearer < residuals @ residuals:
                break
            step /= 2
        else:
            break
        x, residuals = ahead, nearer
    return x, None
