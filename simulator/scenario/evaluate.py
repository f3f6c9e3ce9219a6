"""Evaluate a scenario: the public function behind every command that asks for one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator import data
from simulator.config import Config, load, validate
from simulator.config.choose import check_name
from simulator.config.path import checked
from simulator.config.resolve import OPTION, parsed
from simulator.errors import ConfigError, TiersimError, nearest
from simulator.files import forget
from simulator.hardware import System
from simulator.mapping.runtime.form import runtime_of
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.cases import ROOTS, with_values
from simulator.scenario.evaluator import evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.metric import ERROR, Metric
from simulator.scenario.parts import machine
from simulator.scenario.reads import check_read
from simulator.workload import Model

if TYPE_CHECKING:
    import pandas as pd


STUDY = {"base", "axes", "runs", "cases", "zip"}
"""Keys that a study has, and no scenario."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """A scenario and its metrics.

    Attributes:
        scenario: what was asked.
        metrics: its metrics in SI units; None of what is not known.
    """

    scenario: Scenario
    metrics: Mapping[str, float | str | None]
    provenance: Provenance

    @property
    def declared(self) -> tuple[Metric, ...]:
        """What the metrics are."""
        return evaluator(self.scenario).metrics

    @cached_property
    def detail(self) -> Any:
        """The deployment, its footprint, the plans and the energy behind the metrics.

        Raises:
            ConfigError: the kind of workload has no plans to show.
        """
        return detailed(self.scenario)

    @property
    def runtime(self) -> str | None:
        """The runtime that was assumed, by its name; None where the kind of workload has no use for one."""
        if self.scenario.hardware is None or "runtime" not in evaluator(self.scenario).mapping:
            return None
        return runtime_of(self.scenario.mapping, machine(self.scenario).machine.runtime).name

    def as_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario.written(),
            "runtime": self.runtime,
            "metrics": dict(self.metrics),
            "provenance": self.provenance.as_dict(),
        }

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"metrics": pd.DataFrame([self.metrics])}


def evaluate(scenario: Scenario | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()) -> Evaluation:
    """The metrics of a scenario: of a form, of plain data, or of a YAML; `overrides` are `path.to.key=value` of it.

    Raises:
        TiersimError: what is wrong with the scenario, by its key; what does not fit.
    """
    with located(scenario, [path for path, _ in map(parsed, overrides)]):
        form = read_scenario(scenario, overrides)
        kind = evaluator(form)
        check_read(form)
        values = kind.evaluate(form, {}, 1, {metric.name for metric in kind.metrics})
    if error := _plain(values.get(ERROR.name, "")):
        raise TiersimError(str(error))
    metrics = {metric.name: _plain(values[metric.name]) for metric in kind.metrics if metric.name in values}
    return Evaluation(form, metrics, Provenance({"scenario": form.written()}))


def _plain(value: Any) -> float | str | None:
    """A metric of one case: a number, a text, or None of what is not known."""
    one = value.ravel()[0] if isinstance(value, np.ndarray) else value
    return one if isinstance(one, str) else None if one != one else float(one)


@contextmanager
def located(scenario: object, overridden: Collection[str] = ()) -> Iterator[None]:
    """Tell what is wrong with the YAML of a scenario at its line, unless a path of `overridden` replaces the key."""
    try:
        yield
    except ConfigError as error:
        path = error.path or ()
        keys = tuple(path.split(".") if isinstance(path, str) else path)
        replaced = (tuple(each.split(".")) for each in overridden)
        if error.file or not keys or not isinstance(scenario, str | Path):
            raise
        if any(keys[: len(each)] == each for each in replaced):
            raise
        config = load(scenario, "experiments")
        if keys[:1] not in config.marks:
            raise
        raise config.error(
            keys, error.message, found=error.found, expected=error.expected, nearest=error.nearest
        ) from None


def read_scenario(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
) -> Scenario:
    """A scenario in its form; `values` by their paths, and then overrides, replace what it says.

    Raises:
        ConfigError: what is wrong with it, with the line and the key path.
    """
    forget()
    pairs = dict(map(parsed, overrides))
    for path in pairs:
        check_name(path.partition(".")[0], ROOTS, path, "no such part of a scenario", OPTION)
    if isinstance(scenario, str | Path):
        form = validate(_of_file(scenario), Scenario)
    else:
        form = scenario if isinstance(scenario, Scenario) else checked(Scenario, scenario)
    return with_values(form, {**(values or {}), **pairs})


def _of_file(scenario: str | Path) -> Config:
    """The YAML of a scenario. Raises `ConfigError`: there is no such file, or it is a study's."""
    if not isfile(scenario) and str(scenario) not in data.names("experiments"):
        beside = [str(file) for file in Path(scenario).parent.glob("*.yaml")]
        close = nearest(str(scenario), beside)
        raise ConfigError("no such file", found=f"'{scenario}'", expected="a scenario's YAML", nearest=close)
    config = load(scenario, "experiments")
    if not STUDY.isdisjoint(config.data):
        expected = "a scenario (hardware, model, ...); a study is for tiersim sweep, simulate or show"
        raise ConfigError("this is a study", file=config.file, expected=expected)
    return config


def detailed(scenario: Scenario) -> Any:
    """What stands behind a scenario, as its kind of workload tells it (`Evaluator.detail`).

    Raises:
        TiersimError: what is wrong, by its key; what does not fit; a key that the mode of the scenario does not read.
    """
    check_read(scenario)
    return evaluator(scenario).detail(scenario)


def estimate(
    hardware: System | str | Path,
    model: Model | str | Path,
    batch: int = 1,
    input: int = 512,
    output: int = 128,
    *,
    phase: str = "request",
    overrides: Sequence[str] = (),
    **mapping: Any,
) -> BatchDetail:
    """Times of one static batch in closed form, by default tensor parallel over all devices of the machine.

    `mapping` are the keys of the section `mapping` (`mapping/form.py`): `devices`, `dtype`, `pipeline`, `dispatch`, ...
    `overrides` are `path.to.key=value` of the machine, or of the rest of the scenario behind `model.`, `sized.`,
    `workload.`, ...; figures of a machine or a model only where these are given by name.

    Raises:
        ConfigError: what is wrong, by its key.
        CapacityError: weights and KV caches do not fit.
    """
    work = {"kind": "batch", "phase": phase, "batch": batch, "input": input, "output": output}
    detail = detailed(scenario_of(hardware, model, mapping, work, overrides))
    assert isinstance(detail, BatchDetail)
    return detail


def scenario_of(
    hardware: System | str | Path,
    model: Model | str | Path,
    mapping: Mapping[str, Any],
    workload: Mapping[str, Any],
    overrides: Sequence[str] = (),
) -> Scenario:
    """A scenario from its parts; overrides of figures become an inline machine or model, others are of the scenario.

    Raises:
        ConfigError: what is wrong, by its key; an override of a machine or a model that is loaded already.
    """
    forget()
    parts = {"hardware": hardware, "model": model}
    named = {key: str(part) if isinstance(part, Path) else part for key, part in parts.items()}
    form = checked(Scenario, {**named, "mapping": dict(mapping), "workload": dict(workload)})
    return with_values(form, dict(parsed(with_root(override)) for override in overrides))


def with_root(override: str) -> str:
    """An override of a scenario, of one that may leave the `hardware` of the machine's figures out."""
    path, equals, _ = override.partition("=")
    known = path.partition(".")[0].strip() in ROOTS
    return override if known or not equals else f"hardware.{override.lstrip()}"
