"""The form of a study's YAML: a base scenario, what varies of it, what is looked up in the results, what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json import dumps
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SerializeAsAny
from pydantic_core import PydanticCustomError

from simulator.config import KeyPath
from simulator.config.choose import OfKinds, choose, registered_as
from simulator.config.section import Section, Written
from simulator.mapping.form import MappingForm, Names
from simulator.registry import names, registered
from simulator.scenario.form import Sized
from simulator.scenario.table import Take
from simulator.study.space.form import Scalar, Varied
from simulator.units import Count, Fraction, Seconds

Sense: TypeAlias = Literal["max", "min"]
POINTS = "points"
"""The one run of a study that names none."""
RUN = "run"
"""The key of the table of all cases that says which run a case is of."""


class Partial(Section):
    """Some keys of a scenario, laid over those of another: mappings key by key, all else in the place of the other.

    Of a machine or a model, figures alone are laid over the one that is named elsewhere.
    """

    hardware: str | dict[str, Any] | None = None
    """A machine by its name or path; or inline, with `extends` and figures by their dotted paths."""
    model: str | dict[str, Any] | None = None
    """A model by its name or path (a `config.json` too); or inline, with `extends` and figures by their paths."""
    sized: Annotated[dict[str, Any], Written(Sized)] = Field(default_factory=dict)
    """How many devices the machine has for the model."""
    mapping: Annotated[dict[str, Any], Written(MappingForm)] = Field(default_factory=dict)
    """Who computes, from which memory, in what order and which formats."""
    workload: Annotated[dict[str, Any], OfKinds("evaluator")] = Field(default_factory=dict)
    """What is to be computed; `kind` says of which kind it is."""
    costs: str | None = None
    """A table of costs of silicon, memory and packages, by its name or path."""


class Case(Partial):
    """A named partial scenario: a value of an axis."""

    label: str = ""
    """What charts call it."""


class Varying(Section):
    """What varies, what follows from it, what must hold and what is wanted.

    Points are all combinations of the `axes`, by dotted path, of which the last varies fastest.
    """

    axes: Annotated[dict[str, Varied], Field(default_factory=dict)]
    """The values of figures, by their dotted paths (`workload.batch`)."""
    zip: Annotated[list[Annotated[dict[str, Varied], Field(min_length=1)]], Field(default_factory=list)]
    """Groups of axes that move together; they vary before the others."""
    derived: Annotated[dict[str, str | float], Field(default_factory=dict)]
    """Expressions of axes, metrics and other derived values, by name."""
    constraints: tuple[str, ...] = ()
    """Expressions that must hold at a feasible point."""
    objectives: Annotated[dict[str, Sense], Field(default_factory=dict)]
    """Axes, derived values or metrics of which more (`max`) or less (`min`) is better."""


class Run(Partial, Varying):
    """A cross of cases and axes, over the base and beside what varies in all runs."""

    title: str = ""
    """What the run is called in reports."""
    of: str | None = None
    """The run that it is a part of in look-ups and charts, whose cases are no single cross; unless given, itself."""
    cases: Annotated[dict[str, Literal["all"] | Annotated[list[str], Field(min_length=1)]], Field(default_factory=dict)]
    """Which cases of which axis, in this order; `all` of them. An axis that is not named does not vary."""


class Variant(Section):
    """The same study under other settings, shown beside it."""

    title: str
    """What the variant is called in reports."""
    set: dict[str, Scalar | list[Scalar] | dict[str, Any]]
    """Values by path: of the scenarios of the runs, or of the study's YAML (`runs.NAME.workload.output`)."""
    runs: tuple[str, ...] = ()
    """The runs that it is computed for; all unless given."""

    @property
    def settings(self) -> list[str]:
        return [f"{path}={value if isinstance(value, str) else dumps(value)}" for path, value in self.set.items()]


class Lookup(Section):
    """A figure of the results beside metrics: of some cases, or of each over another."""

    of: str
    """The metric, derived value or key."""
    where: dict[str, Scalar] = Field(default_factory=dict)
    """The cases that count: those that have these values of keys or metrics."""
    over: Literal["max", "min"] | dict[str, Scalar] = Field(default_factory=dict)
    """Divide by the metric of the case that has these values of keys, and all others alike; or by the largest or the
    least of all."""
    by: tuple[str, ...] | None = None
    """With `over`: divide by that of the case that has these keys alike, whatever its others."""
    inverse: bool = False
    """With `over`: divide the other by each, as a speed-up of times."""
    while_: str | None = Field(default=None, alias="while")
    """Keep the cases up to the first for which this metric of yes and no does not hold, in the order of `along`."""
    along: str | None = None
    """The key in whose order the cases of `while` and `take` come."""
    take: Take | None = None
    """Which of several cases counts; unless given, there must be one."""
    run: Names = ()
    """The run whose cases are looked at, or several; those of all runs unless given."""
    reads: dict[str, str] = Field(default_factory=dict)
    """Words of conditions that say `run`, `take` or a key of `over` or `where` (`over.system`) instead of a key of
    cases."""


class Searches(Section):
    """Searches of the same space beside the whole: each with so many seeds, and as many evaluations as a `share` of
    the feasible points that have all objectives.
    """

    methods: Annotated[list[Annotated[str, registered_as("search")]], Field(min_length=1)]
    """Methods, by their names."""
    share: Fraction = 0.05
    """Evaluations of a search, as a share of the feasible points."""
    seeds: Count = 5
    """How often each method searches, with another seed each time."""
    batch: Count = 32
    """Points that a method asks for at once."""


class ChartForm(Section):
    """A chart. Each kind, registered as `chart`, has a form of its own.

    A field whose name is in `COLUMNS` names a column of the results, or several.
    """

    kind: str
    run: str | None = None
    """The run whose cases are drawn; those of all runs unless given."""
    where: Annotated[dict[str, Scalar | list[Scalar]], Field(default_factory=dict)]
    """The cases that are drawn: of each of these keys, one value or some."""
    title: str = ""
    """The text below the chart."""

    @classmethod
    def read_as(cls, data: Any) -> type[ChartForm]:
        """The form of the kind of a chart; this, of no such kind."""
        kind = data.get("kind") if isinstance(data, Mapping) else None
        form: type[ChartForm] = (
            registered("chart", kind).form if isinstance(kind, str) and kind in names("chart") else cls
        )
        return form

    def columns(self) -> Iterator[tuple[KeyPath, str]]:
        """The columns that the chart names, each at its key."""
        for key in COLUMNS:
            value = getattr(self, key, None)
            if isinstance(value, str):
                yield (key,), value
            for place, name in enumerate(value if isinstance(value, tuple) else ()):
                yield (key, place), name

    def values(self) -> Iterator[tuple[KeyPath, str, Any]]:
        """The columns of which the chart names values, and those, each at its key."""
        for column, wanted in self.where.items():
            yield ("where", column), column, wanted

    def expressions(self) -> Iterator[tuple[KeyPath, str]]:
        """The expressions of columns and published metrics that the chart has, each at its key."""
        yield from ()

    def published_names(self) -> Iterator[tuple[KeyPath, Literal["figure", "metric"], str]]:
        """The names in `published.csv` that the chart has, each at its key, and of which column."""
        yield from ()


COLUMNS = ("x", "y", "of", "log", "series", "panels", "colour", "label", "between", "beside", "ends")


def _of_its_kind(value: Any) -> Any:
    """A chart, read in the form of its kind."""
    if isinstance(value, ChartForm) or not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    known = names("chart")
    if not isinstance(kind, str):
        context = {"at": ("kind",), "found": "nothing" if kind is None else repr(kind), "expected": ", ".join(known)}
        raise PydanticCustomError("name", "no such name", context)
    return registered("chart", choose(kind, known, "kind")).form.model_validate(value)


Chart = Annotated[SerializeAsAny[ChartForm], BeforeValidator(_of_its_kind), OfKinds("chart")]


class StudyForm(Varying):
    """The YAML of a study. A study without `runs` is one run over all cases: what `tiersim sweep` takes."""

    title: str = ""
    """What the study is called in reports."""
    paper: str = ""
    """Whose published values stand in `published.csv`."""
    takes: Seconds = 10.0
    """About how long all of it runs, on one core; of many studies, those that take least run first."""
    base: Partial = Partial()
    """What all points have in common: a scenario, or some keys of one."""
    cases: Annotated[dict[str, Annotated[dict[str, Case], Field(min_length=1)]], Field(default_factory=dict)]
    """Axes whose values are named partial scenarios."""
    runs: Annotated[dict[str, Run], Field(default_factory=dict)]
    """Crosses of cases and axes, by name; none: one cross of all that varies."""
    variants: Annotated[dict[str, Variant], Field(default_factory=dict)]
    """The same study under other settings, by name."""
    metrics: Annotated[dict[str, Lookup], Field(default_factory=dict)]
    """Look-ups in the results, by the name that published values have."""
    charts: Annotated[dict[str, Chart], Field(default_factory=dict)]
    """What is drawn, by the names of files."""
    search: Searches | None = None
    """Searches of the space, whose results are set beside all of it."""
    keep: Literal["all", "front"] = "all"
    """Whether the table has all points, or those alone that are on the front of the objectives."""

    @property
    def groups(self) -> list[str]:
        """The runs that look-ups and charts may name."""
        return list(dict.fromkeys(run.of or name for name, run in self.runs.items())) or [POINTS]
