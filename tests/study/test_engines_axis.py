"""Engines as an axis, and what is told of a key that a kind of workload does not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.config.path import checked
from simulator.errors import ConfigError
from simulator.scenario.form import Scenario
from simulator.study.load import load_study
from simulator.study.results import results_of

Write = Callable[[str], Path]
SERVED = "hardware: duplex-node, model: mixtral-8x7b, workload: {phase: decode, batch: 8, input: 512, output: 1}"


@pytest.mark.parametrize("base", ["", ", mapping: {engines: pim}"])
def test_engines_by_name_are_an_axis_as_they_are_cases(yaml: Write, base: str) -> None:
    axes = yaml(f"base: {{{SERVED}{base}}}\naxes: {{mapping.engines: [xpu, pim]}}")
    varied = results_of(load_study(axes)).points["points"]
    of = "{xpu: {mapping: {engines: xpu}}, pim: {mapping: {engines: [pim]}}}"
    cases = yaml(f"base: {{{SERVED}{base}}}\ncases: {{on: {of}}}")
    named = results_of(load_study(cases)).points["points"]
    assert varied["tbt_s"].tolist() == named["tbt_s"].tolist()
    assert varied["tbt_s"].nunique() == 2


def test_an_engine_that_no_machine_has_is_told(yaml: Write) -> None:
    with pytest.raises(ConfigError, match=r"mapping\.engines.*1: found 'pin', .*did you mean 'pim'"):
        load_study(yaml(f"base: {{{SERVED}}}\naxes: {{mapping.engines: [xpu, pin]}}"))


DRAFT = {"model": "llama-3-8b", "tokens": 3, "acceptance": 0.7}


@pytest.mark.parametrize(
    ("kind", "mapping", "told"),
    [
        ("batch", {"residency": {"home": "hbm"}}, "mapping.residency: a workload of kind 'batch' .*found {home: hbm}"),
        ("writes", {"draft": DRAFT}, "found {model: llama-3-8b, tokens: 3, acceptance: 0.7}"),
    ],
)
def test_of_a_section_that_is_not_read_its_own_keys_are_told(kind: str, mapping: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        checked(Scenario, {"mapping": mapping, "workload": {"kind": kind}})
