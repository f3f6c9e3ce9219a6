"""What is derived from metrics, what must hold, and which points are feasible."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.study.problem import FEASIBLE, read_problem

Yaml = Callable[[str], Path]
BASE = """\
base: {hardware: dgx-h100, model: llama-3-8b, workload: {phase: decode, input: 1024, output: 128}}
axes:
  workload.batch: {values: [1, 16, 100000], name: batch}
"""


def test_a_derived_value_may_read_axes_metrics_and_those_before_it(sweep_file: Yaml) -> None:
    text = "derived: {each_s: tbt_s / batch, doubled: 2 * each_s, large: batch > 8}\n"
    asked = read_problem(sweep_file(BASE + text))
    found = asked(asked.columns(0, 3))
    assert found["each_s"][:2] == pytest.approx(found["tbt_s"][:2] / [1, 16])
    assert found["doubled"][:2] == pytest.approx(2 * found["each_s"][:2])
    assert found["large"].tolist() == [0, 1, 1]


def test_what_is_derived_may_be_a_text(sweep_file: Yaml) -> None:
    asked = read_problem(
        sweep_file(BASE + "derived: {waits: bound_by if batch > 8 else error}\nconstraints: [\"waits != ''\"]\n")
    )
    found = asked(asked.columns(0, 2))
    assert found["waits"].tolist() == ["", found["bound_by"][1]]
    assert found[FEASIBLE].tolist() == [False, True]


def test_feasible_is_what_works_and_meets_every_constraint(sweep_file: Yaml) -> None:
    asked = read_problem(sweep_file(BASE + 'constraints: ["tokens_per_s >= 1000", "batch < 64"]\n'))
    columns = asked.columns(0, 3)
    found = asked(columns)
    masks = asked.constraints(columns, found)
    assert found["error"][2]
    assert found[FEASIBLE].tolist() == (np.all([*masks.values()], axis=0) & (found["error"] == "")).tolist()
    assert found[FEASIBLE].tolist() == [False, True, False]


@pytest.mark.parametrize("text", ["ttft_s <= 1", "ttft_s", "ttft_s and batch", "0 * ttft_s"])
def test_a_constraint_on_a_number_that_is_missing_does_not_hold(sweep_file: Yaml, text: str) -> None:
    """Prefill is not timed in a decode sweep."""
    asked = read_problem(sweep_file(BASE + f'constraints: ["{text}"]\n'))
    found = asked(asked.columns(0, 3))
    assert not found[FEASIBLE].any()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("derived: {twice: 2 * tbt}\n", r"derived\.twice: .*tbt.*did you mean 'tbt_s'"),
        ("derived: {a: b, b: a}\n", r"derived\.a"),
        ("derived: {tbt_s: 2 * batch}\n", "tbt_s"),
        ('constraints: ["tbt_s <"]\n', "constraints"),
        ("constraints: [\"__import__('os')\"]\n", "constraints"),
        ("objectives: {tokens_per_sec: max}\n", "did you mean 'tokens_per_s'"),
        ("objectives: {bound_by: max}\n", "bound_by"),
        ("derived: {which: bound_by}\nobjectives: {which: max}\n", r"objectives\.which: found a text"),
        ("derived: {a: bound_by + 1}\n", r"derived\.a: in 'bound_by \+ 1': found 'bound_by', expected a number"),
        ('constraints: ["bound_by > 3"]\n', r"constraints\.0: .*expected a number"),
        ('constraints: ["bound_by"]\n', r"constraints\.0: .*expected a number"),
        ("derived: {a: feasible * 2}\n", r"derived\.a: .*unknown name: found 'feasible'"),
        ('constraints: ["tbt_s < 50 ms"]\n', r"constraints\.0: no expression: .* expected one such as .* in SI units"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(sweep_file: Yaml, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        read_problem(sweep_file(BASE + text))
    assert "sweep.yaml:" in str(error.value)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("workload: {kind: batc}", r"base\.workload\.kind: found 'batc', .* did you mean 'batch'"),
        ("workload: {kind: null}", r"base\.workload\.kind: found nothing, expected text"),
        ("workload: {kind: [batch]}", r"base\.workload\.kind: found a list, expected one of batch"),
        ("kind: pass", r"base\.kind: no longer a key: found 'pass', expected `workload\.kind`"),
        ("costs: silicn", r"base\.costs: .* did you mean 'silicon'"),
    ],
)
def test_a_base_that_nothing_evaluates_is_told_with_its_line(sweep_file: Yaml, base: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"sweep\.yaml:2: {says}"):
        read_problem(
            sweep_file(f"base: {{hardware: dgx-h100, model: llama-3-8b, {base}}}\naxes: {{workload.batch: [1, 2]}}\n")
        )


@pytest.mark.parametrize(
    ("kind", "axis", "says"),
    [
        ("batch", "workload.experts", "no such figure: found 'experts'"),
        ("expert_models", "workload.share", "no such figure: found 'share'"),
        ("sparse_flash", "workload.batch", "no such figure: found 'batch'"),
        ("requests", "mapping.spill", "a workload of kind 'requests' does not read it"),
    ],
)
def test_an_axis_that_changes_nothing_is_refused(sweep_file: Yaml, kind: str, axis: str, says: str) -> None:
    text = f"base: {{hardware: dgx-h100, model: llama-3-8b, workload: {{kind: {kind}}}}}\naxes: {{{axis}: [1, 2]}}\n"
    with pytest.raises(ConfigError, match=rf'sweep\.yaml:3: axes\."{re.escape(axis)}": {says}'):
        read_problem(sweep_file(text))
