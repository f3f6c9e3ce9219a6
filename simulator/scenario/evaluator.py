"""What evaluates the scenarios of a kind of workload: its contract, and the table of many of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from simulator.errors import ConfigError, TiersimError, unwarned
from simulator.files import remembered
from simulator.hardware import System
from simulator.registry import registered
from simulator.scenario.cases import ROOTS, Columns, Rows, alike, present, with_values
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.kept import Kept
from simulator.scenario.metric import ERROR, Metric
from simulator.workload import Model


class Evaluator(Protocol):
    """What is registered (`evaluator`) under the name of a kind of workload; a class of static methods.

    Attributes:
        form: the section `workload` of the kind.
        metrics: what it gives of each case.
        needs: the parts of a scenario that it reads beside mapping and workload: `hardware`, `model`.
        optional: of these, what a scenario may lack; a class may leave it out.
        files: paths of the workload whose values are names of files, and what reads each as plain data; likewise.
        mapping: the keys of the mapping that it reads; all others are refused.
        residency: the keys of `mapping.residency` that it reads, where it reads that.
        instead: of keys of the mapping that it does not read, what to do instead; a class may leave it out.
        kinds: paths whose values are names, and the kind for which these are registered.
        vectorised: whether some paths may be arrays in one call; else each case is a run of its own.
        unread: a static method that a class may leave out: the paths that the mode of a scenario does not read, each
            with what the mode is; a value there that is not the default is refused.
        requires: constraints of every design that is compared or offered, unless a sweep's own read the same metric;
            and of each the metric, a text, that says why a case does not tell whether it holds.
    """

    form: ClassVar[type[Workload]]
    metrics: ClassVar[tuple[Metric, ...]]
    needs: ClassVar[Collection[str]]
    mapping: ClassVar[Collection[str]]
    residency: ClassVar[Collection[str]] = ()
    kinds: ClassVar[Mapping[str, str]]
    vectorised: ClassVar[bool]
    requires: ClassVar[Mapping[str, str]]

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        """Of these paths, those that may be arrays in one call; without a scenario, those that may for one of them.

        Raises:
            TiersimError: the scenario cannot be evaluated.
        """

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        """The `wanted` metrics of cases that differ in the batched `columns` alone: an array of all, or one value.

        It may give more metrics than are wanted, `error` among them. What is wrong with all cases is raised.

        Raises:
            TiersimError: the scenario cannot be evaluated.
        """

    @staticmethod
    def detail(scenario: Scenario) -> Any:
        """The deployment, its footprint, the plans and the energy behind the metrics of one scenario.

        Raises:
            TiersimError: the scenario cannot be evaluated, or has no plans to show.
        """


class EachAlone:
    """What evaluators have in common of which each case is a run of its own, without a plan unless they give one."""

    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = False
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return []

    @staticmethod
    def detail(scenario: Scenario) -> Any:
        raise no_plan(scenario)


def no_plan(scenario: Scenario) -> ConfigError:
    """What to tell of a kind of workload whose cases are runs of their own."""
    kind = f"'{scenario.workload.kind}'"
    return ConfigError(path=("workload", "kind"), found=kind, expected="a kind whose cases are one plan")


def evaluator(scenario: Scenario) -> type[Evaluator]:
    """What evaluates a scenario."""
    kind: type[Evaluator] = registered("evaluator", scenario.workload.kind)
    return kind


def required(scenario: Scenario) -> list[str]:
    """The parts that a scenario must have beside mapping and workload."""
    kind = evaluator(scenario)
    return [part for part in kind.needs if part not in getattr(kind, "optional", ())]


def evaluated(
    scenario: Scenario, columns: Columns, wanted: Collection[str] | None = None, kept: Kept | None = None
) -> dict[str, Any]:
    """The metrics of cases, a column each: `wanted` of them (None: all), and `error`, which is never raised.

    Cases are grouped by what cannot be an array in one call. A group that fails is halved, so that what is wrong stays
    with its own cases. What is `kept` is not computed: of a vectorised kind all cases together, else each group.
    """
    if kept and evaluator(scenario).vectorised:
        question = ["cases", scenario.written(), dict(columns), wanted and sorted(wanted)]
        return dict(kept.metrics(question, lambda: evaluated(scenario, columns, wanted)))
    kind = evaluator(scenario)
    cases = len(next(iter(columns.values()))) if columns else 1
    metrics = [each for each in kind.metrics if wanted is None or each.name in wanted]
    table: dict[str, Any] = {
        each.name: np.full(cases, "", dtype=object) if each.is_text else np.full(cases, np.nan)
        for each in (*metrics, ERROR)
    }
    names = {each.name for each in metrics}
    with unwarned():  # what varies is warned of where axes are read
        for rows, values, batched in _groups(kind, scenario, columns, cases):
            _fill(table, kind, scenario, values, {path: columns[path][rows] for path in batched}, rows, names, kept)
    return table


def _groups(
    kind: type[Evaluator], scenario: Scenario, columns: Columns, cases: int
) -> Iterator[tuple[Rows, dict[str, Any], list[str]]]:
    """Rows of a group, the values that its cases have in common, and the columns that are arrays in it."""
    paths = [path for path in columns if path.partition(".")[0] in ROOTS]
    free = kind.batched(None, paths)
    fixed = [path for path in paths if path not in free]
    for rows, values in alike(columns, fixed, np.arange(cases)):
        if not free:
            yield rows, values, []
            continue
        for some, varied in present(columns, free, rows):
            try:
                arrays = kind.batched(with_values(scenario, values), varied)
            except TiersimError:  # told with the case
                arrays = []
            for each, more in alike(columns, [path for path in varied if path not in arrays], some):
                yield each, values | more, arrays


def _fill(
    table: dict[str, Any],
    kind: type[Evaluator],
    scenario: Scenario,
    values: Mapping[str, Any],
    columns: Columns,
    rows: Rows,
    wanted: Collection[str],
    kept: Kept | None,
) -> None:
    """Write the metrics of a group into the table; where it fails, of its halves."""
    try:
        metrics = _metrics(kind, with_values(scenario, values), columns, len(rows), wanted, kept)
    except TiersimError as error:
        if len(rows) == 1 or not columns:
            table[ERROR.name][rows] = str(error)
            return
        for half in np.array_split(np.arange(len(rows)), 2):
            halved = {path: each[half] for path, each in columns.items()}
            _fill(table, kind, scenario, values, halved, rows[half], wanted, kept)
        return
    for name, value in metrics.items():
        if name in table:
            table[name][rows] = value


def _metrics(
    kind: type[Evaluator], scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str], kept: Kept | None
) -> Mapping[str, Any]:
    """The `wanted` metrics of cases; of runs of their own they are remembered, for variants of a study share many."""
    loaded = any(isinstance(part, System | Model) for part in (scenario.hardware, scenario.model))
    if kind.vectorised or loaded:
        return kind.evaluate(scenario, columns, cases, wanted)

    def compute() -> Mapping[str, Any]:
        if columns:
            return kind.evaluate(scenario, columns, cases, wanted)
        return _of_one(json.dumps(scenario.written(), sort_keys=True), tuple(sorted(wanted)))

    question = [scenario.written(), dict(columns), sorted(wanted)] if kept else None
    return kept.metrics(question, compute) if kept else compute()


@remembered(4096)
def _of_one(text: str, wanted: tuple[str, ...]) -> Mapping[str, Any]:
    """The metrics of one scenario, as JSON."""
    scenario = Scenario.model_validate_json(text)
    return evaluator(scenario).evaluate(scenario, {}, 1, wanted)
