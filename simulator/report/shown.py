"""What the charts of a study are drawn from: the results, and published values beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from simulator.config.choose import check_name
from simulator.registry import registered
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.plots import short
from simulator.scenario.table import check_values
from simulator.study.form import ChartForm
from simulator.study.results import StudyResults
from simulator.validation.reproduction import Compared, Reproduction

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Shown:
    """A study and what was published of it."""

    reproduction: Reproduction

    @property
    def results(self) -> StudyResults:
        return self.reproduction.base

    @property
    def rows(self) -> Sequence[Compared]:
        return self.reproduction.rows

    def frame(self, chart: ChartForm) -> pd.DataFrame:
        """The points that a chart shows, with a column for each look-up that it names.

        Raises:
            ConfigError: where it names a value that no point has.
        """
        frame = self.results.named(chart.run)
        for _, name in chart.columns():
            if name in self.results.study.form.metrics:
                frame = frame.assign(**{name: self.results.looked_up(name, chart.run)})
        for name, wanted in chart.where.items():
            check_name(name, list(map(str, frame)), ("where", name), "no such column")
            allowed = wanted if isinstance(wanted, list) else [wanted]
            check_values(allowed, list(frame[name].unique()), ("where", name))
            frame = frame[frame[name].isin(allowed)]
        return frame

    def units(self, chart: ChartForm) -> dict[str, str]:
        return self.results.units(chart.run)

    def label(self, key: str, value: Any) -> str:
        """What a value of a key is called."""
        return self.results.study.label(key, value) or short.value(key, value, self.results.units())

    def heading(self, key: str, value: Any) -> str:
        """What a panel of a value of a key is called: `batch 8`, or a case by its label."""
        return self.results.study.label(key, value) or f"{short.short(key)} {self.label(key, value)}"

    def colours(self, key: str) -> dict[Any, str]:
        """A colour for each value of a key, alike in all charts."""
        values = self.results.study.values(key) or []
        return {value: style.CYCLE[place % len(style.CYCLE)] for place, value in enumerate(values)}

    def name(self, column: str) -> str:
        """What a column is called: a metric by its label, a key by its path."""
        metric = self.results.tables[None].metrics.get(column)
        return metric.label if metric and metric.label else short.short(self.results.study.path(column) or column)

    def scale(self, name: str, values: Any, chart: ChartForm) -> short.Scale:
        """How a column is printed: a metric by its own label, if it has one, a key by its path."""
        metric = self.results.tables[chart.run].metrics.get(name)
        label = metric.label if metric else self.name(name)
        return short.scale(name, values, self.units(chart), label or None)


class Chart(Protocol):
    """Registered (`chart`) under the name of a kind of chart.

    `form` is its section of a study's YAML. `draw` gives the figure and the text below it where the YAML has none; None
    where there is nothing to draw. It is called inside `style.publication()`.
    """

    form: type[ChartForm]

    @staticmethod
    def draw(shown: Shown, chart: Any) -> tuple[Figure, str] | None: ...


def drawn(reproduction: Reproduction) -> Iterator[Drawn]:
    """The charts of a study, in the order of its YAML."""
    from simulator.escape import markdown

    shown = Shown(reproduction)
    for name, chart in shown.results.study.form.charts.items():
        kind: Chart = registered("chart", chart.kind)
        figure = kind.draw(shown, chart)
        if figure is not None:
            yield Drawn(name, markdown(chart.title) if chart.title else figure[1], figure[0])
