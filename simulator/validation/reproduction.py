"""An experiment beside what was published: value by value, under the settings of the paper and under others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.result import Result
from simulator.study.form import StudyForm
from simulator.study.load import load_study, load_variant
from simulator.study.results import StudyResults, results_of
from simulator.validation.experiment import check_published, of_row, published_of
from simulator.validation.published import Published, written

if TYPE_CHECKING:
    import pandas as pd

    from simulator.provenance import Provenance

Progress = Callable[[str, int, int], None]
"""Called with what is running, the points done and the points in all."""


@dataclass(frozen=True)
class Compared:
    """A published value and the simulated one in the same unit; None where the simulation refused the point."""

    published: Published
    simulated: float | None

    @property
    def ratio(self) -> float | None:
        """Simulated over published."""
        if self.simulated is None or not self.published.published:
            return None
        return self.simulated / self.published.published

    @property
    def agrees(self) -> bool:
        """Whether they are as close as the published value can be read, or within 3 %."""
        return self.simulated is not None and self.published.agrees(self.simulated)


@dataclass(frozen=True, eq=False, repr=False)
class Reproduction(Result):
    """All published values of an experiment with the simulated ones, and the runs behind them.

    Attributes:
        name: of the experiment.
        experiment: its YAML.
        overrides: what was set otherwise than in the YAML.
        rows: one a published value.
        base: the run under the paper's settings.
        variants: the runs under other settings, by name.
    """

    name: str
    experiment: StudyForm
    overrides: tuple[str, ...]
    rows: list[Compared]
    base: StudyResults
    variants: Mapping[str, StudyResults]
    provenance: Provenance

    def predictions(self) -> list[Compared]:
        """The rows that the model was not fitted to."""
        return [row for row in self.rows if row.published.role == "prediction"]

    def is_under(self, variant: str, row: Compared) -> bool:
        """Whether a variant is computed for a row."""
        return self.variants[variant].holds(row.published.metric, row.published.condition)

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "paper": self.experiment.paper,
                "figure": row.published.figure,
                "metric": row.published.metric,
                "condition": dict(row.published.condition),
                "role": row.published.role,
                "published": row.published.published,
                "simulated": row.simulated,
                "ratio": row.ratio,
                "tolerance": row.published.tolerance,
                "unit": row.published.unit,
                "source": row.published.source,
            }
            for row in self.rows
        ]

    def frames(self) -> dict[str, pd.DataFrame]:
        """`rows`, with a column of simulated values a variant, and the tables of the base run."""
        return {"rows": self._rows, **self.base.frames()}

    @cached_property
    def _rows(self) -> pd.DataFrame:
        import pandas as pd

        rows = pd.DataFrame(self.as_json(), columns=None if self.rows else _COLUMNS).drop(columns="paper")
        rows["condition"] = [written(row.published.condition) for row in self.rows]
        rows["agrees"] = [row.agrees for row in self.rows]
        for name, results in self.variants.items():
            rows[f"simulated_{name}"] = [
                _compare(row.published, results).simulated if self.is_under(name, row) else None for row in self.rows
            ]
        return rows


_COLUMNS = [
    "paper", "figure", "metric", "condition", "role", "published", "simulated", "ratio", "tolerance", "unit", "source",
]  # fmt: skip


def compare_with_published(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    store: Path | None = None,
) -> Reproduction:
    """Run an experiment and its variants, and set each value of its `published.csv` beside the simulated one.

    Of a variant, no more is computed than published values need. Points are kept in the folder `store`, if any.

    Raises:
        ConfigError: what is wrong with the experiment, its published values, or a file that it names.
    """
    study = load_study(experiment, overrides)
    published = published_of(study)
    check_published(study, published)
    others = {name: load_variant(study, name, experiment, overrides) for name in study.form.variants}

    def progress_of(title: str) -> Callable[[int, int], None] | None:
        return progress and (lambda done, total: progress(title, done, total))

    base = results_of(study, None, progress_of(study.form.title), store=store)
    wanted = [(row.metric, row.condition) for row in published]
    titles = {name: variant.title for name, variant in study.form.variants.items()}
    variants = {
        name: results_of(other, wanted, progress_of(titles[name]), only=True, store=store)
        for name, other in others.items()
    }
    rows = [_compare(row, base) for row in published]
    name = study.config.file.resolve().parent.name
    return Reproduction(name, study.form, tuple(overrides), rows, base, variants, base.provenance)


def _compare(row: Published, results: StudyResults) -> Compared:
    with of_row(results.study, row):
        value = results.measure(row.metric, row.condition)
    return Compared(row, None if value is None else row.from_si(value))
