"""What a study shows of a sweep: its names are those of the sweep's axes and metrics, its values are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.baselines.study.form import Crossing, Front, Heat, StudyExperiment
from simulator.errors import ConfigError, described, nearest, one_of
from simulator.explore.sweep.load import OURS
from simulator.explore.sweep.problem import Problem

MOST_NAMED = 20  # values that a message names


def check_shown(experiment: StudyExperiment, asked: Problem) -> None:
    """Nothing where the points of the sweep have all that the study shows.

    Raises:
        ConfigError: a figure of a column, or where an axis has a value, that no point has; a search for nothing.
    """
    space = asked.sweep.space
    columns = [*space.aliases.values(), *asked.metrics, *asked.sweep.derived, *OURS]
    values = {axis.name: _values(asked, path) for path, axis in asked.sweep.axes.items()}
    drawn: dict[str, Mapping[str, Front | Heat | Crossing]] = {
        "fronts": experiment.fronts, "heats": experiment.heats, "crossings": experiment.crossings,
    }  # fmt: skip
    for kind, figures in drawn.items():
        for name, figure in figures.items():
            for key in ("x", "y", "value", "colour", "between"):
                if (column := getattr(figure, key, None)) is not None:
                    _check_among(column, columns, (kind, name, key))
            for place, column in enumerate(getattr(figure, "label", ())):
                _check_among(column, columns, (kind, name, "label", place))
            for column, wanted in figure.where.items():
                _check_among(column, columns, (kind, name, "where", column))
                _check_values(wanted if isinstance(wanted, list) else [wanted], column, values, (kind, name, "where"))
    for name, crossing in experiment.crossings.items():
        for key in ("first", "second"):
            _check_values([getattr(crossing, key)], crossing.between, values, ("crossings", name, key))
    if experiment.search and not asked.objectives:
        raise ConfigError(path="search", found="a sweep without objectives", expected="one or more")


def _values(asked: Problem, path: str) -> list[Any]:
    """What an axis may be: its values, and what it is where it does not vary."""
    axis = asked.sweep.axes[path]
    return [*axis.values.tolist(), *([] if axis.when is None else [axis.otherwise])]


def _check_among(name: str, columns: Sequence[str], at: Sequence[str | int]) -> None:
    if name not in columns:
        close, expected = nearest(name, columns), one_of(columns)
        raise ConfigError("no such column", path=at, found=f"'{name}'", expected=expected, nearest=close)


def _check_values(wanted: Sequence[Any], axis: str, values: Mapping[str, Sequence[Any]], at: Sequence[str]) -> None:
    known = values.get(axis)  # what a metric is cannot be known before
    lost = [each for each in wanted if known is not None and each not in known]
    if known is not None and lost:
        expected = one_of(map(str, known[:MOST_NAMED]))
        close = nearest(str(lost[0]), [each for each in known if isinstance(each, str)])
        raise ConfigError("no point has it", path=at, found=described(lost[0]), expected=expected, nearest=close)
