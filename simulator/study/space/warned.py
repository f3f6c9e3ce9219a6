"""Warnings of a sweep: told when it is read, of the ends of its axes, and not again with its points."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from simulator.config import Config, KeyPath
from simulator.config.resolve import OPTION, Override
from simulator.errors import ConfigError, TiersimWarning, warn
from simulator.study.space.axis import Axis

Load = Callable[[Any, Sequence[Override]], Any]


def warn_of(axis: Axis, at: KeyPath, part: Any, load: Load, config: Config) -> None:
    """Warn of what a machine or a model has at the least and the greatest value of an axis.

    `at` is the key of the axis, which takes the place of that of the figure. A value that cannot be is no warning: it
    is an error of the points that have it.
    """
    path = axis.path.partition(".")[2]
    values = [value for value in axis.values.tolist() if value == value and value is not None]
    if axis.values.dtype.kind in "if" and values:
        values = list(dict.fromkeys((min(values), max(values))))
    for value in values:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TiersimWarning)
            try:
                load(part, [(path, value)])
            except ConfigError:
                continue
        problems = [each.message.problem for each in caught if isinstance(each.message, TiersimWarning)]
        for problem in problems:
            keys = ".".join(map(str, problem.path or ()))
            if problem.file == OPTION and keys.startswith(path):
                mark = config.mark(at)
                problem.file, problem.line, problem.path = mark.file, mark.line, at
                warn(problem)
