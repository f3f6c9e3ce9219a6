"""Why points are not feasible, counted a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from simulator.errors import ConfigError
from simulator.study.problem import FEASIBLE, Problem
from simulator.study.questions.infeasible import infeasibility
from simulator.study.space.columns import Columns

REASONS, OTHERS = 1000, "of other reasons"
"""How many messages are told apart, which bounds their memory; and what all others are called."""


class Tally:
    """Of the points so far: how many there are, are feasible and failed, and what each constraint rules out."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.points = self.feasible = 0
        self._failures, self._undecided = Counter[str](), Counter[str]()
        texts = [each.text for each in problem.sweep.constraints]
        self._lacking = dict.fromkeys(problem.objectives, 0)
        self._rules_out, self._alone = (dict.fromkeys(texts, 0) for _ in range(2))

    def add(self, columns: Columns, metrics: Columns) -> None:
        """Points with these axes and metrics."""
        fine, feasible = metrics["error"] == "", metrics[FEASIBLE].astype(bool)
        self.points += len(fine)
        self.feasible += int(np.count_nonzero(feasible))
        for name, values in zip(self._lacking, self.problem.objective_values(columns, metrics).T, strict=True):
            self._lacking[name] += int(np.count_nonzero(np.isnan(values[feasible])))
        _add(self._failures, metrics["error"][~fine].tolist())
        if masks := {text: holds[fine] for text, holds in self.problem.constraints(columns, metrics).items()}:
            rows = infeasibility(masks)
            for text, out, alone in zip(*(rows[name].tolist() for name in rows), strict=True):
                self._rules_out[text] += out
                self._alone[text] += alone
        reasons = (metrics[column][fine] for column in self.problem.requires.values())
        _add(self._undecided, (text for each in reasons for text in each if text))

    @property
    def failures(self) -> dict[str, int]:
        """The messages of points that failed, and how many have each, the most frequent first."""
        return dict(self._failures.most_common())

    @property
    def ruled_out(self) -> dict[str, int]:
        """By constraint, how many points of those that did not fail it rules out; by why one is not known to hold."""
        return {**self._rules_out, **{f"not known: {text}": points for text, points in self._undecided.items()}}

    @property
    def alone(self) -> dict[str, int]:
        """By constraint, how many points would be feasible without it."""
        return self._alone

    @property
    def lacking(self) -> dict[str, int]:
        """By objective, how many feasible points have no number for it: those are on no front."""
        return {name: points for name, points in self._lacking.items() if points}

    def none_feasible(self) -> ConfigError:
        """What to tell where no point is feasible: how many points each constraint rules out."""
        return none_feasible(self.points, self.ruled_out, self.failures)


def none_feasible(points: int, ruled_out: Mapping[str, int], failures: Mapping[str, int]) -> ConfigError:
    """What to tell where none of so many points is feasible: what rules out how many."""
    reasons = [f"'{text}' rules out {count:,}" for text, count in ruled_out.items() if count]
    reasons += [f"{count:,} failed: {text}" for text, count in failures.items()]
    found = f"none of {points:,} points; {'; '.join(reasons[:5])}"
    return ConfigError("no feasible point", found=found, expected="weaker constraints")


def none_has(lacking: Mapping[str, int], feasible: int) -> ConfigError:
    """What to tell where feasible points are there, and none has every objective."""
    found = "; ".join(f"{points:,} of {feasible:,} feasible points lack '{name}'" for name, points in lacking.items())
    expected = "metrics that the phase and the machine give"
    return ConfigError("no point has every objective", path="objectives", found=found, expected=expected)


def _add(counted: Counter[str], texts: Iterable[str]) -> None:
    """Count texts, of which at most `REASONS` are told apart."""
    for text, points in Counter(texts).items():
        known = text in counted or len(counted) < REASONS
        counted[text if known else OTHERS] += points
