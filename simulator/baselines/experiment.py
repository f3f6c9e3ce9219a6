"""Experiments: a YAML that says what to simulate, of a registered kind, and what each kind must give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from simulator.baselines.published import PUBLISHED, Published, read_published
from simulator.config import Config, load, validate
from simulator.config.choose import check_name
from simulator.config.resolve import OPTION
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.registry import names as registered_names
from simulator.registry import registered
from simulator.result import Result
from simulator.study.asked import located, read_study
from simulator.study.form import StudyForm
from simulator.study.load import Study, load_study, load_variant
from simulator.study.renamed import KINDS, refuse_renamed
from simulator.study.results import check_lookup
from simulator.units import Seconds

if TYPE_CHECKING:
    import pandas as pd

    from simulator.provenance import Provenance

Progress = Callable[[int, int], None]
"""Called with the points done and the points in all."""


class Variant(Section):
    """The same experiment under other settings, shown beside it: `set` holds overrides as `--set` takes them."""

    title: str
    set: list[str]

    @property
    def settings(self) -> list[str]:
        return self.set


class Experiment(Section):
    """What every kind of experiment has. `published` of the folder holds what a paper says of it.

    `takes`: about how long it runs, on one core; of many, those that take least run first.
    """

    kind: str
    title: str
    paper: str = ""
    takes: Seconds = 60.0
    variants: dict[str, Variant] = Field(default_factory=dict)


class Outcome(Protocol):
    """What a run of an experiment gives: its tables, and any published metric as simulated.

    `inputs` are the resolved configs that it read beside its own YAML.
    """

    @property
    def inputs(self) -> Mapping[str, Any]: ...

    def frames(self) -> dict[str, pd.DataFrame]: ...

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """The simulated value of a metric under a condition, in SI units; None where the simulation refused it.

        Raises:
            ConfigError: the kind of experiment has no such metric, or no such point.
        """


class Kind(Protocol):
    """A kind of experiment, registered under its name: the form of its YAML, and how it runs.

    A kind of which nothing is published says so with `published = False`.
    """

    form: type[Experiment]

    def check(self, experiment: Any) -> None:
        """Make all that `run` makes before it simulates, so that what is named and is not there is a ConfigError.

        Its path leads on from the experiment's YAML. A kind may leave it out.
        """

    def run(self, experiment: Any, progress: Progress) -> Outcome: ...

    def run_together(self, experiments: Sequence[Any], progress: Progress) -> list[Outcome]:
        """Run an experiment under several settings, what these have in common once. A kind may leave it out."""


def is_study(name: str | Path) -> bool:
    """Whether an experiment is a study: whether it has no `kind`."""
    return "kind" not in load(name, "experiments").data


def load_experiment(name: str | Path, overrides: Sequence[str] = ()) -> tuple[Experiment, Config]:
    """Read an experiment by its name or path, and check it against the form of its kind.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    config = load(name, "experiments", overrides)
    kind = config.data.get("kind")
    if str(kind) in KINDS:
        refuse_renamed(config)
    if not isinstance(kind, str) or kind not in registered_names("experiment"):
        mark = config.marks.get(("kind",), config.marks[()])
        expected = f"one of {', '.join(registered_names('experiment'))}; or no `kind`, of a study"
        raise ConfigError(file=mark.file, line=mark.line, path="kind", found=repr(kind), expected=expected)
    form: type[Experiment] = registered("experiment", kind).form
    return validate(config, form), config


def shortest_first(names: Iterable[str]) -> dict[str, float]:
    """About how long each experiment runs, in s; those that take least come first."""
    takes = {name: (read_study(name) if is_study(name) else load_experiment(name))[0].takes for name in names}
    return dict(sorted(takes.items(), key=lambda item: item[1]))


def check_experiment(name: str | Path, overrides: Sequence[str] = ()) -> Experiment | StudyForm:
    """The form of an experiment, where it and each of its variants names what is there; nothing is simulated.

    Of a study, each published value too.

    Raises:
        ConfigError: what is wrong with the experiment or with a file that it names.
    """
    if is_study(name):
        study = load_study(name, overrides)
        check_published(study, published_of(study))
        for key in study.form.variants:
            load_variant(study, key, name, overrides)
        return study.form
    form, config = load_experiment(name, overrides)
    _check(form, config)
    for key, variant in form.variants.items():
        try:
            _check(*load_experiment(name, [*overrides, *variant.set]))
        except ConfigError as error:
            at = ("variants", key, "set")
            raise ConfigError(str(error), file=config.file, line=config.marks[at].line, path=at) from None
    return form


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
        try:
            check_lookup(study, row.metric, row.condition)
        except ConfigError as error:
            error.file, error.line = study.config.file.parent / PUBLISHED, row.line
            raise


def _check(form: Experiment, config: Config) -> None:
    check: Callable[[Experiment], None] | None = getattr(registered("experiment", form.kind), "check", None)
    if check:
        with located(config, ()):
            check(form)


@contextmanager
def part_of(*path: str) -> Iterator[None]:
    """Lead the path of an error of what stands there from that key; one of an override is told as of its `set`."""
    try:
        yield
    except ConfigError as error:
        on = () if error.path is None else (error.path,) if isinstance(error.path, str) else tuple(error.path)
        if error.file == OPTION:
            error.file, error.line, error.path = None, None, (*path, "set", *on)
        elif error.file is None and on[: len(path)] != path:
            error.path = (*path, *on)
        raise


def run(experiment: Experiment, progress: Progress) -> Outcome:
    """Run an experiment of any kind."""
    return run_each([experiment], [progress])[0]


def run_each(experiments: Sequence[Experiment], progress: Sequence[Progress]) -> list[Outcome]:
    """Run an experiment of any kind under several settings, each with its own progress where they run one by one."""
    kind: Kind = registered("experiment", experiments[0].kind)
    together: Callable[..., list[Outcome]] | None = getattr(kind, "run_together", None)
    if together:
        return together(experiments, progress[0])
    return [kind.run(experiment, each) for experiment, each in zip(experiments, progress, strict=True)]


class Simulation(Result):
    """What an experiment gave, and what it was made from."""

    def __init__(self, experiment: Experiment | StudyForm, outcome: Outcome, provenance: Provenance) -> None:
        self.experiment, self.outcome, self.provenance = experiment, outcome, provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        return self.outcome.frames()
