"""Scenarios from files and options, and scenarios as YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.scenario.form import Scenario


@contextmanager
def options_scenario(
    file: str | None,
    hardware: str | None,
    model: str | None,
    mapping: Mapping[str, Any],
    workload: Mapping[str, Any],
    overrides: Sequence[str],
) -> Iterator[Scenario]:
    """The scenario of a file with what options replace, or of options alone; of a scheduler, only the keys they have.

    Until the end of the block, what is wrong with what the file says is told at its line.

    Raises:
        ConfigError: what is wrong, by its key or option; no machine or model.
    """
    from simulator.scenario.evaluate import located, read_scenario, scenario_of, with_root

    work = {key: value for key, value in workload.items() if value is not None}
    if file is not None:
        parts = {"hardware": hardware, "model": model}
        replaced = {key: value for key, value in parts.items() if value is not None}
        replaced |= {f"mapping.{key}": value for key, value in mapping.items() if key != "scheduler"}
        replaced |= {f"mapping.scheduler.{key}": value for key, value in mapping.get("scheduler", {}).items()}
        replaced |= {f"workload.{key}": value for key, value in work.items()}
        figures = [*map(with_root, overrides)]
        with located(file, [*replaced, *(figure.partition("=")[0] for figure in figures)]):
            yield read_scenario(file, figures, replaced)
        return
    for option, name in (("--hardware", hardware), ("--model", model)):
        if name is None:
            raise ConfigError(path=option, found="nothing", expected="a name, or a scenario's file")
    yield scenario_of(str(hardware), str(model), mapping, {"kind": "batch", **work}, overrides)


def with_fusion(scenario: Scenario, fusion: str | None) -> Scenario:
    """The scenario whose engine is lowered with this fusion mode.

    Raises:
        ConfigError: an ideal, which no engine has.
    """
    from simulator.scenario.cases import with_values

    return with_values(scenario, {"mapping.fusion": fusion}) if fusion else scenario


def print_scenario(scenario: Scenario) -> None:
    """Print a scenario as the YAML that gives it again, to the bit."""
    import yaml

    typer.echo(yaml.safe_dump({"schema": 1, **scenario.written()}, sort_keys=False, allow_unicode=True), nl=False)
