"""What a study shows of a sweep: its names are those of the sweep's axes and metrics, its values are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.baselines.study.form import Crossing, Front, Heat, StudyExperiment
from simulator.config.choose import check_name
from simulator.errors import ConfigError, described, nearest, one_of
from simulator.explore.sweep.load import OURS
from simulator.explore.sweep.problem import Problem

MOST_NAMED = 20  # values that a message names
NO_COLUMN = "no such column"


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
                    check_name(column, columns, (kind, name, key), NO_COLUMN)
            for place, column in enumerate(getattr(figure, "label", ())):
                check_name(column, columns, (kind, name, "label", place), NO_COLUMN)
            for column, wanted in figure.where.items():
                check_name(column, columns, (kind, name, "where", column), NO_COLUMN)
                if column in values:  # what a metric is cannot be known before
                    check_values(wanted, values[column], (kind, name, "where"))
    for name, crossing in experiment.crossings.items():
        for key in ("first", "second") if crossing.between in values else ():
            check_values(getattr(crossing, key), values[crossing.between], ("crossings", name, key))
    if experiment.search and not asked.objectives:
        raise ConfigError(path="search", found="a sweep without objectives", expected="one or more")


def _values(asked: Problem, path: str) -> list[Any]:
    """What an axis may be: its values, and what it is where it does not vary."""
    axis = asked.sweep.axes[path]
    return [*axis.values.tolist(), *([] if axis.when is None else [axis.otherwise])]


def check_values(wanted: Any, known: Sequence[Any], path: Sequence[str | int]) -> None:
    """Nothing where points have a value, or each of a list; else a ConfigError, with the nearest."""
    for value in wanted if isinstance(wanted, list) else [wanted]:
        if value not in known:
            close = nearest(str(value), [each for each in known if isinstance(each, str)])
            expected = one_of(map(str, known[:MOST_NAMED]))
            raise ConfigError("no point has it", path=path, found=described(value), expected=expected, nearest=close)
