"""What a study gave: its points, the searches of them, and one value where a test asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.explore.sweep.problem import Problem

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class StudyOutcome:
    """Every point (with `front`, whether it is on the front), and searches, where there are some.

    Attributes:
        points: axes by path, metrics, derived values, `feasible`, `front`.
        searches: `method`, `seed`, `evaluations`, and the share of the `hypervolume` of all points.
    """

    points: pd.DataFrame
    searches: pd.DataFrame | None
    problem: Problem
    keep: Literal["all", "front"]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        kept = self.points[self.points["front"]] if self.keep == "front" else self.points
        named = kept.dropna(axis=1, how="all")
        return {"points": named} | ({} if self.searches is None else {"searches": self.searches})

    def named(self) -> pd.DataFrame:
        """All points, with axes by their names."""
        return self.points.rename(columns=dict(self.problem.sweep.space.aliases))

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric of the only point that a condition, by the names of axes, leaves."""
        frame = self.named()
        for name in (metric, *condition):
            check_name(name, list(map(str, frame)), message="no such column")
        for name, value in condition.items():
            frame = frame[frame[name] == value]
        if len(frame) != 1:
            raise ConfigError("no such point", found=dict(condition), expected=f"one that is alone, not {len(frame)}")
        value = frame[metric].iloc[0]
        if isinstance(value, str):
            raise ConfigError(path=metric, found=f"the text '{value}'", expected="a number")
        return float(value)
