"""Experiments: the studies of `experiments/`, each with what was published of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.study.form import StudyForm
from simulator.study.load import Study, load_study, load_variant
from simulator.study.results import check_lookup
from simulator.study.run_section import located, read_study
from simulator.validation.published import PUBLISHED, Published, read_published


def shortest_first(names: Iterable[str]) -> dict[str, float]:
    """About how long each experiment runs, in s; those that take least come first."""
    takes = {name: read_study(name)[0].takes for name in names}
    return dict(sorted(takes.items(), key=lambda item: item[1]))


def check_experiment(name: str | Path, overrides: Sequence[str] = ()) -> StudyForm:
    """The form of an experiment, where it, its variants and its published values name what exists; nothing is computed.

    Raises:
        ConfigError: what is wrong with the experiment or with a file that it names.
    """
    study = load_study(name, overrides)
    check_published(study, published_of(study))
    for key in study.form.variants:
        load_variant(study, key, name, overrides)
    return study.form


def published_of(study: Study) -> list[Published]:
    """What was published of a study; nothing where there is no such file."""
    file = study.config.file.parent / PUBLISHED
    return read_published(file) if file.is_file() else []


def check_published(study: Study, rows: Sequence[Published]) -> None:
    """Nothing where a study has the metric and the case of each published value, and its charts those that they name.

    Raises:
        ConfigError: it has not; at the line of the value or of the chart.
    """
    for name, chart in study.form.charts.items():
        for key, column, value in chart.published_names():
            with located(study.config, ("charts", name, *key)):
                known = list(dict.fromkeys(getattr(row, column) for row in rows))
                check_name(value, known, message=f"no such {column} is published")
    for row in rows:
        with of_row(study, row):
            check_lookup(study, row.metric, row.condition)


@contextmanager
def of_row(study: Study, row: Published) -> Iterator[None]:
    """Tell an error at the line of a published value, and of which metric this is."""
    try:
        yield
    except ConfigError as error:
        error.file, error.line = study.config.file.parent / PUBLISHED, row.line
        error.path = error.path or row.metric
        raise
