"""Experts cost what the lowering of their layer says: grouped in one launch, or one after another."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.hardware import load_system
from simulator.mapping.kernels.kernels import kernels
from simulator.mapping.lowering import fusion, kernel_activity, one_by_one
from simulator.mapping.target import Target, target
from simulator.mapping.two_engines.expert_costs import across, costs
from simulator.workload import expert_block, load_model

MODELS = ["mixtral-8x7b", "qwen3-30b-a3b", "glam-143b"]


@cache
def engine(how: str, launch: int) -> Target:
    """An H100, whose efficiency grows with the bytes of a kernel."""
    at = "devices.gpu.engines.gpu"
    return target(load_system("dgx-h100", (f"{at}.experts={how}", f"{at}.launch_overhead={launch} us")))


def seconds(runner: Target, model: str, rows: float, experts: float) -> float:
    plan = Plan()
    for kernel in kernels(expert_block(load_model(model), rows, experts), fusion(runner.description)):
        plan.add(kernel_activity(runner, kernel))
    return float(closed_form(plan).time)


engines = st.builds(engine, st.sampled_from(["grouped", "one_by_one"]), st.sampled_from([0, 3, 20]))
tokens = st.lists(st.integers(0, 300), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(engines, st.sampled_from(MODELS), tokens, st.data())
def test_a_set_of_experts_costs_what_its_kernels_do(
    runner: Target, model: str, counts: list[int], data: st.DataObject
) -> None:
    number = np.array(counts)
    here = np.array(data.draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts))))
    of = costs(runner, load_model(model), 512, 1, len(counts))
    own = [float(n) for n in number[here] if n]
    if one_by_one(runner.description):
        expected = sum(seconds(runner, model, n, 1.0) for n in own)
    else:
        expected = seconds(runner, model, sum(own), float(len(own)))
    assert float(of.time(number, here)) == pytest.approx(expected, rel=1e-9)
    block = expert_block(load_model(model), sum(own), float(len(own)))
    flops = sum(float(operator.flops) for operator in block.operators)
    busy = {resource.name: units for resource, units in of.total(number, here).items()}["gpu.gpu"]
    assert busy == pytest.approx(flops / 989.4e12, rel=1e-9)
    many = np.stack([np.stack([number, number[::-1]])] * 3)
    np.testing.assert_allclose(of.time(many), float(of.time(number)), rtol=1e-9)


@given(st.sampled_from([0, 3, 20]), st.sampled_from(MODELS), st.integers(1, 64), st.integers(1, 200))
def test_one_by_one_each_is_launched_and_read_for_itself(launch: int, model: str, experts: int, rows: int) -> None:
    runner = engine("one_by_one", launch)
    together, alone = seconds(runner, model, float(experts * rows), float(experts)), seconds(runner, model, rows, 1.0)
    assert together == pytest.approx(experts * alone, rel=1e-9)
    assert seconds(engine("grouped", launch), model, float(experts * rows), float(experts)) <= together * (1 + 1e-12)


@given(engines, st.sampled_from(MODELS), st.integers(1, 64))
def test_what_each_adds_are_the_shares_of_a_full_group(runner: Target, model: str, rows: int) -> None:
    of = costs(runner, load_model(model), 64, 1, 8)
    launch = float(np.mean(runner.latency)) * len(kernels(expert_block(load_model(model), 1.0), "conventional"))
    whole = float(of.time(np.full(8, rows)))
    assert 8 * of.each[rows] == pytest.approx(whole - launch * (not one_by_one(runner.description)), rel=1e-9)
    assert of.each[0] == 0


@pytest.mark.parametrize("columns", [0, 1, 2, 7, 8, 16, 17])
def test_columns_add_up_as_rows_do(columns: int) -> None:
    counts = np.arange(3 * 5 * columns, dtype=np.int32).reshape(3, 5, columns)
    assert np.array_equal(across(np.add, counts, np.int64), counts.sum(axis=-1, dtype=np.int64))
    seconds = np.sqrt(counts)
    assert across(np.add, seconds) == pytest.approx(seconds.sum(axis=-1), rel=1e-15)
    if columns:
        assert np.array_equal(across(np.maximum, seconds), seconds.max(axis=-1))
