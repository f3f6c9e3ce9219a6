"""Figures of a machine or a model without its name are laid over whichever one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.scenario.cases import alike, with_values
from simulator.scenario.parts import machine, model
from simulator.study.load import load_study

Write = Callable[[str], Path]

SERVED = "workload: {phase: decode, input: 16, output: 16}"
FIGURES = [
    ("hardware", "dgx-h100", "static_power: 1 kW"),
    ("hardware", "dgx-h100", "nodes: 2"),
    ("hardware", "dgx-h100", "devices.gpu.static_power: 1 W, static_power: 1 kW"),
    ("hardware", "dgx-h100", "devices: {gpu: {static_power: 1 W}}"),
    ("model", "llama-3-8b", "layers: 8"),
]


def read(file: Path, part: str) -> Any:
    """The machine or the model of the first point of a study's run."""
    sweep = load_study(file).runs["r"].sweep
    columns = sweep.scenarios(sweep.space.columns(0, 1))
    _, values = next(alike(columns, list(columns), np.array([0])))
    scenario = with_values(sweep.base, values)
    return machine(scenario).machine if part == "hardware" else model(scenario)


@pytest.mark.parametrize(("part", "name", "figures"), FIGURES)
def test_figures_are_of_the_machine_or_model_named_elsewhere(yaml: Write, part: str, name: str, figures: str) -> None:
    other = "model: llama-3-8b" if part == "hardware" else "hardware: dgx-h100"
    run = "axes: {workload.batch: [1, 2]}"

    def of(base: str, case: str, own: str = "label: It") -> Any:
        cases = f"cases: {{it: {{one: {{{case}}}}}}}"
        return read(
            yaml(f"base: {{{other}, {SERVED}{base}}}\n{cases}\nruns: {{r: {{cases: {{it: all}}, {own}, {run}}}}}"), part
        )

    extended, alone, named = f"{part}: {{extends: {name}, {figures}}}", f"{part}: {{{figures}}}", f"{part}: {name}"
    title = "title: one"
    whole = of(f", {extended}", "label: It", title)
    assert whole != of(f", {named}", "label: It", title)
    assert of("", extended, title) == whole
    assert of(f", {alone}", named, title) == whole
    assert of(f", {alone}", f"{part}: {{extends: {name}}}", title) == whole
    assert of(f", {named}", alone, title) == whole
    assert of(f", {alone}", "label: It", named) == whole
    assert of(f", {named}", "label: It", alone) == whole
    assert of("", alone, named) == whole
    assert of("", named, alone) == whole


def test_a_figure_that_the_named_machine_has_not_is_told(yaml: Write) -> None:
    text = f"base: {{model: llama-3-8b, hardware: {{static_powr: 1 kW}}, {SERVED}}}\n"
    with pytest.raises(
        ConfigError, match=r"experiment\.yaml:2: base\.hardware\.static_powr: unknown key.*did you mean 'static_power'"
    ):
        load_study(yaml(text + "cases: {it: {one: {hardware: dgx-h100}}}\naxes: {workload.batch: [1]}"))


@pytest.mark.parametrize("key", ["costs", "hardware", "mapping"])
def test_a_case_takes_nothing_away(yaml: Write, key: str) -> None:
    text = f"base: {{model: llama-3-8b, hardware: dgx-h100, costs: silicon, {SERVED}}}\n"
    with pytest.raises(ConfigError, match=rf"experiment\.yaml:3: cases\.costs\.without\.{key}: found nothing"):
        load_study(
            yaml(f"{text}cases: {{costs: {{with: {{}}, without: {{{key}: null}}}}}}\naxes: {{workload.batch: [1]}}")
        )
