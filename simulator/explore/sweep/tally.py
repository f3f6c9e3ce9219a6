"""Why points are not feasible, counted a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from simulator.errors import ConfigError
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.optimise import infeasibility
from simulator.explore.sweep.problem import FEASIBLE, Problem


class Tally:
    """Of the points so far: how many there are, are feasible and failed, and what each constraint rules out."""

    def __init__(self, asked: Problem) -> None:
        self.asked = asked
        self.points = self.feasible = 0
        self._failures: Counter[str] = Counter()
        texts = [each.text for each in asked.sweep.constraints]
        self._rules_out, self._alone = (dict.fromkeys(texts, 0) for _ in range(2))

    def add(self, columns: Columns, found: Columns) -> None:
        """Points with these axes and metrics."""
        fine = found["error"] == ""
        self.points += len(fine)
        self.feasible += int(np.count_nonzero(found[FEASIBLE].astype(bool)))
        self._failures.update(found["error"][~fine].tolist())
        if masks := {text: holds[fine] for text, holds in self.asked.constraints(columns, found).items()}:
            rows = infeasibility(masks)
            for text, out, alone in zip(*(rows[name].tolist() for name in rows), strict=True):
                self._rules_out[text] += out
                self._alone[text] += alone

    @property
    def failures(self) -> dict[str, int]:
        """The messages of points that failed, and how many have each, the most frequent first."""
        return dict(self._failures.most_common())

    @property
    def ruled_out(self) -> dict[str, int]:
        """By constraint, how many points of those that did not fail it rules out."""
        return self._rules_out

    @property
    def alone(self) -> dict[str, int]:
        """By constraint, how many points would be feasible without it."""
        return self._alone

    def none_feasible(self) -> ConfigError:
        """What to tell where no point is feasible: how many points each constraint rules out."""
        return none_feasible(self.points, self.ruled_out, self.failures)


def none_feasible(points: int, ruled_out: Mapping[str, int], failures: Mapping[str, int]) -> ConfigError:
    """What to tell where none of so many points is feasible: what rules out how many."""
    reasons = [f"'{text}' rules out {count:,}" for text, count in ruled_out.items() if count]
    reasons += [f"{count:,} failed: {text}" for text, count in failures.items()]
    found = f"none of {points:,} points; {'; '.join(reasons[:5])}"
    return ConfigError("no feasible point", found=found, expected="weaker constraints")
