"""The figures of a study: fronts, heat maps, crossings, and how fast searches find the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.baselines.study import StudyExperiment, StudyOutcome
from simulator.errors import ConfigError, nearest, one_of
from simulator.registry import register
from simulator.report import style
from simulator.report.explore.convergence import convergence
from simulator.report.explore.crossing import crossing
from simulator.report.explore.heat import heat
from simulator.report.explore.pareto import pareto
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    import pandas as pd


@register("figures", "study")
class StudyFigures:
    """What the YAML of the study asks for, in its order."""

    headline = ()

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        form, outcome = reproduction.experiment, reproduction.base.outcome
        assert isinstance(form, StudyExperiment)
        assert isinstance(outcome, StudyOutcome)
        frame, units = outcome.named(), _units(outcome)
        senses = dict(outcome.problem.objectives)
        for name, front in form.fronts.items():
            rows = _where(frame, front.where)
            drawn = pareto(rows, front.x, front.y, senses, front.colour, front.label, "front", units, style.PAGE)
            yield Drawn(name, front.title or f"{front.y} against {front.x}", drawn)
        for name, each in form.heats.items():
            shown = heat(_where(frame, each.where), each.x, each.y, each.value, each.best, units, style.PAGE * 0.7)
            yield Drawn(name, each.title or f"{each.value} over {each.x} and {each.y}", shown)
        for name, cross in form.crossings.items():
            rows = _where(frame, cross.where).sort_values(cross.x)
            one, other = (_where(rows, {cross.between: value}) for value in (cross.first, cross.second))
            figure = crossing(
                one[cross.x], one[cross.value], other[cross.value], (cross.first, cross.second), cross.x, cross.value,
                units=units, width=style.PAGE * 0.6,
            )  # fmt: skip
            yield Drawn(name, cross.title or f"{cross.value} over {cross.x}", figure)
        if outcome.searches is not None:
            text = "Share of the hypervolume of all points that searches reach: medians over seeds, bands of all."
            yield Drawn("searches", text, convergence(outcome.searches, best=1.0, width=style.PAGE * 0.7))


def _where(frame: pd.DataFrame, condition: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in condition.items():
        if name not in frame:
            there = list(map(str, frame))
            raise ConfigError(path="where", found=f"'{name}'", expected=one_of(there), nearest=nearest(name, there))
        frame = frame[frame[name].isin(value if isinstance(value, list) else [value])]
    return frame


def _units(outcome: StudyOutcome) -> dict[str, str]:
    """By the names of axes."""
    names = outcome.problem.sweep.space.aliases
    return {names.get(path, path): unit for path, unit in outcome.problem.units.items()}
