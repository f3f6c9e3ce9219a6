"""Keys of a base, of cases and of axes that change nothing, as no point of a run has a mode that reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import TiersimError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.reads import silent, unread
from simulator.study.sweep import Sweep

TRIED = 16  # points, and values of an axis, at most


class Key(NamedTuple):
    """A key of the base, or of a case of an axis."""

    path: str
    axis: str = ""
    case: str = ""


def unread_by_all(sweep: Sweep) -> dict[Key, str]:
    """The keys of the base, of its cases and its axes that no point tried of a run reads; and of each why.

    Tried are points from the first to the last, and each case and value of an axis by itself.
    """
    if not hasattr(evaluator(sweep.base), "unread"):
        return {}
    base, modes = _with(sweep.base, sweep.settings), list(_modes(sweep))
    keys = {Key(path): why for path, why in _lost(base, [*sweep.axes], modes).items()}
    for axis, cases in sweep.cases.items():
        for place, name in enumerate(cases.names):
            values = _figures({path: column[place] for path, column in cases.columns.items()})
            others = [{**each, **values} for each in modes]
            lost = _lost(_with(base, values), [], others)
            keys |= {Key(path, axis, name): why for path, why in lost.items() if path in values}
    return keys


def _lost(base: Scenario | None, axes: list[str], modes: list[dict[str, Any]]) -> dict[str, str]:
    """What a base gives, or these axes, that it reads under none of these values; nothing of one that is wrong."""
    try:
        lost = {path: why for path, why in unread(base).items() if path in axes} | silent(base) if base else {}
    except TiersimError:  # told with the points
        return {}
    for values in modes if lost else ():
        try:
            case = unread(with_values(base, values)) if base else {}
        except TiersimError:
            continue
        lost = {path: why for path, why in lost.items() if path in case}
        if not lost:
            break
    return lost


def _with(base: Scenario | None, values: Mapping[str, Any]) -> Scenario | None:
    try:
        return with_values(base, values) if base else None
    except TiersimError:
        return None


def _modes(sweep: Sweep) -> Iterator[dict[str, Any]]:
    columns = sweep.scenarios(sweep.space.at(_spread(len(sweep.space))))
    for place in range(len(next(iter(columns.values()), ()))):
        yield _figures({path: values[place] for path, values in columns.items()})
    for path, axis in sweep.axes.items():
        if path in sweep.cases:
            case = sweep.cases[path].columns
            alone = [{key: values[place] for key, values in case.items()} for place in range(len(axis))]
        else:
            alone = [{path: axis.values[place]} for place in _spread(len(axis))]
        yield from (_figures({**each, **sweep.settings}) for each in alone)


def _spread(number: int) -> Any:
    return np.unique(np.linspace(0, number - 1, min(TRIED, number)).astype(np.int64))


def _figures(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {path: value.item() if isinstance(value, np.generic) else value for path, value in values.items()}
    return {path: value for path, value in plain.items() if value is not None and value == value}
