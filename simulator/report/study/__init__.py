"""The figures of a study: fronts, heat maps, crossings, and how fast searches find the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.baselines.study import StudyExperiment, StudyOutcome
from simulator.baselines.study.form import Crossing
from simulator.baselines.study.shown import check_values
from simulator.errors import ConfigError
from simulator.escape import markdown
from simulator.explore.sweep.problem import FEASIBLE
from simulator.registry import register
from simulator.report import style
from simulator.report.explore.convergence import convergence
from simulator.report.explore.crossing import crossing
from simulator.report.explore.heat import heat
from simulator.report.explore.pareto import pareto
from simulator.report.explore.points import column
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
            yield Drawn(name, markdown(front.title or f"{front.y} against {front.x}"), drawn)
        for name, each in form.heats.items():
            shown = heat(_where(frame, each.where), each.x, each.y, each.value, each.best, units, style.PAGE * 0.7)
            yield Drawn(name, markdown(each.title or f"{each.value} over {each.x} and {each.y}"), shown)
        for name, cross in form.crossings.items():
            x, one, other = _lines(_where(frame, cross.where), cross)
            names = (cross.first, cross.second)
            figure = crossing(x, one, other, names, cross.x, cross.value, units=units, width=style.PAGE * 0.6)
            yield Drawn(name, markdown(cross.title or f"{cross.value} over {cross.x}"), figure)
        if outcome.searches is not None:
            text = "Share of the hypervolume of all points that searches reach: medians over seeds, bands of all."
            yield Drawn("searches", text, convergence(outcome.searches, best=1.0, width=style.PAGE * 0.7))


def _lines(frame: pd.DataFrame, cross: Crossing) -> tuple[Any, Any, Any]:
    """Values of the axis, and at each the value of both designs, NaN where one is not feasible or not there."""
    import pandas as pd

    lines = []
    for name in (cross.x, cross.value):
        column(frame, name)
    for value in (cross.first, cross.second):
        rows = _where(frame, {cross.between: value})
        if rows[cross.x].duplicated().any():
            found = f"several points of {cross.between} {value} at one {cross.x}"
            raise ConfigError("two designs over an axis", found=found, expected="one, by `where`")
        lines.append(rows[cross.value].where(rows[FEASIBLE]).set_axis(rows[cross.x]))
    both = pd.concat(lines, axis=1).sort_index()
    return both.index, both.iloc[:, 0], both.iloc[:, 1]


def _where(frame: pd.DataFrame, condition: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in condition.items():
        column(frame, name)
        check_values(value, list(frame[name].unique()), ("where", name))
        frame = frame[frame[name].isin(value if isinstance(value, list) else [value])]
    return frame


def _units(outcome: StudyOutcome) -> dict[str, str]:
    """By the names of axes."""
    names = outcome.problem.sweep.space.aliases
    return {names.get(path, path): unit for path, unit in outcome.problem.units.items()}
