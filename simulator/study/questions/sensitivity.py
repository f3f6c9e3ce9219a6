"""Which choice matters? One axis at a time, and by the share of the variance that each explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, unknown
from simulator.study.space.columns import Columns, Evaluate

if TYPE_CHECKING:
    import pandas as pd

DECADE = 10.0


def tornado(
    evaluate: Evaluate, base: Mapping[str, Any], ranges: Mapping[str, tuple[Any, Any]], metric: str
) -> pd.DataFrame:
    """A metric as each path of `ranges` goes from low to high and all others stay at `base`; one call of `evaluate`.

    Columns: `path`; `low`, `high`, its values; `at_low`, `at_base`, `at_high`, the metric there; `swing`, the
    difference of the metric between the ends; `error`, of a point that failed. The largest swing first, failures last.

    Raises:
        ConfigError: a path that `base` lacks, no range, a metric that the points lack.
    """
    import pandas as pd

    for path in ranges:
        if path not in base:
            raise unknown(path, base, "no such axis", path=path, found="a range")
    _some(ranges)
    points = [dict(base)] + [{**base, path: end} for path, ends in ranges.items() for end in ends]
    metrics = evaluate({path: _column([point[path] for point in points]) for path in base})
    value, error = _metric(metrics, metric), metrics.get("error", np.full(len(points), "", dtype=object))
    rows = [
        {
            "path": path,
            "low": low,
            "high": high,
            "at_low": value[i],
            "at_base": value[0],
            "at_high": value[i + 1],
            "swing": abs(value[i + 1] - value[i]),
            "error": "; ".join(filter(None, dict.fromkeys([error[0], error[i], error[i + 1]]))),
        }
        for i, (path, (low, high)) in zip(range(1, len(points), 2), ranges.items(), strict=True)
    ]
    return pd.DataFrame(rows).sort_values("swing", ascending=False, kind="stable", ignore_index=True)


def sobol(
    evaluate: Evaluate,
    ranges: Mapping[str, tuple[float, float]],
    metric: str,
    samples: int = 1024,
    seed: int = 0,
    log: Iterable[str] | None = None,
    base: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Sobol' indices: the share of a metric's variance that each path explains, alone and with all others.

    First order `S_i = V(E(y | x_i)) / V(y)`, total `1 - V(E(y | x_j, j != i)) / V(y)` (Saltelli et al. 2010, as SALib
    has it), from `samples (paths + 2)` points in one call of `evaluate`; `samples` is a power of two. Each path is
    drawn uniformly from low to high, those of `log` uniformly in their logarithm: unless given, those that span a
    decade or more. All else is as in `base`.

    Columns: `path`, `first`, `total`, and the half-widths of their 95 % confidence intervals, `first_confidence` and
    `total_confidence`. The largest total first.

    Raises:
        ConfigError: no or empty ranges, a range in logarithm that reaches 0, samples that are no power of two, points
            that failed, a metric that the points lack.
    """
    import pandas as pd
    from SALib.sample import sobol

    _some(ranges)
    if samples < 2 or samples & (samples - 1):
        raise ConfigError(path="samples", found=samples, expected="a power of two: 1024, 2048, ...")
    scaled = {path for path, (low, high) in ranges.items() if low > 0 and high >= DECADE * low}
    scaled = scaled if log is None else set(log)
    _check(ranges, scaled)
    bounds = [np.log(ends).tolist() if path in scaled else list(ends) for path, ends in ranges.items()]
    problem = {"num_vars": len(ranges), "names": list(ranges), "bounds": bounds}
    drawn = sobol.sample(problem, samples, calc_second_order=False, seed=seed)
    varied = {path: np.exp(x) if path in scaled else x for path, x in zip(ranges, drawn.T, strict=True)}
    fixed = {path: _column([value] * len(drawn)) for path, value in (base or {}).items()}
    value = _known(evaluate({**fixed, **varied}), metric)
    indices = {"path": list(ranges), **_indices(problem, value, seed + 1)}
    return pd.DataFrame(indices).sort_values("total", ascending=False, kind="stable", ignore_index=True)


def _indices(problem: Mapping[str, Any], value: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """By SALib, which takes no seed of 0; of a metric that is the same everywhere, nothing explains anything."""
    from SALib.analyze import sobol

    if np.ptp(value) == 0:
        zeros = np.zeros(problem["num_vars"])
        return dict.fromkeys(("first", "first_confidence", "total", "total_confidence"), zeros)
    indices = sobol.analyze(problem, value, calc_second_order=False, seed=seed)
    names = {"S1": "first", "S1_conf": "first_confidence", "ST": "total", "ST_conf": "total_confidence"}
    return {name: np.asarray(indices[key]) for key, name in names.items()}


def _some(ranges: Mapping[str, Any]) -> None:
    if not ranges:
        raise ConfigError(path="ranges", found="none", expected="one or more")


def _check(ranges: Mapping[str, tuple[float, float]], scaled: set[str]) -> None:
    for path, (low, high) in ranges.items():
        if not (-np.inf < low < high < np.inf):
            raise ConfigError("range", path=path, found=f"{low} to {high}", expected="finite, and low below high")
        if path in scaled and low <= 0:
            raise ConfigError("range in logarithm", path=path, found=f"{low} to {high}", expected="above 0")
    for path in sorted(scaled - set(ranges)):
        raise unknown(path, ranges, path="log")


def _metric(metrics: Columns, metric: str) -> NDArray[np.float64]:
    if metric not in metrics:
        raise unknown(metric, metrics, "the points have no such metric")
    return np.asarray(metrics[metric], dtype=np.float64)


def _known(metrics: Columns, metric: str) -> NDArray[np.float64]:
    """A metric that every point has."""
    value = _metric(metrics, metric)
    failed = ~np.isfinite(value)
    if failed.any():
        why = f", the first with: {metrics['error'][failed.argmax()]}" if "error" in metrics else ""
        found = f"{failed.sum():,} of {len(value):,} points without it{why}"
        raise ConfigError(f"variance of {metric}", found=found, expected="narrower ranges, in which every point works")
    return value


def _column(values: list[Any]) -> NDArray[Any]:
    """Text and mixtures as objects."""
    numbers = all(isinstance(value, bool | int | float | np.number) for value in values)
    return np.array(values, dtype=None if numbers else object)
