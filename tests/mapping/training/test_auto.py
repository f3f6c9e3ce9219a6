"""Rules that are found: none where all fits, else some that fit and take no longer than others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.errors import CapacityError
from simulator.mapping.training.auto import fits
from simulator.mapping.training.step import TrainingStep
from simulator.scenario.evaluate import evaluate, read_scenario
from simulator.scenario.evaluators.training import TrainingEvaluator
from tests.mapping.training.cases import CPU, GRADIENTS, MACHINE, scenario

WEIGHTS = ["ffn", "attention", "embedding", "head"]


def asked(memory: str, placement: Any) -> dict[str, Any]:
    machine = {**MACHINE, "devices": {"gpu": {"tiers": {"vram": {"capacity": memory, "reserved": "0 B"}}}}}
    of = scenario(hardware=machine, batch=4, tokens=512)
    of["mapping"] = {"engines": ["gpu.gpu"], "placement": placement}
    return of


def step(memory: str, placement: Any = "auto") -> TrainingStep:
    return TrainingEvaluator.detail(read_scenario(asked(memory, placement)))


def seconds(of: TrainingStep) -> float:
    return float(closed_form(of.plan).time)


def test_where_all_fits_nothing_leaves() -> None:
    assert all(len(shares) == 1 for shares in step("24 GB").places.values())
    assert evaluate(asked("24 GB", "auto")).metrics["placed"] == ""


@pytest.mark.parametrize("memory", ["16 GB", "12 GB", "7 GB", "4.5 GB"])
def test_what_is_found_fits_and_takes_no_longer_than_what_an_architect_would_write(memory: str) -> None:
    found = step(memory)
    assert fits(found)
    for rules in (
        [CPU], [CPU, GRADIENTS], [{"of": ["optimizer", "gradients"], "in": "cpu.dram"}],
        [CPU, GRADIENTS, {"of": "activations", "in": "cpu.dram"}],
        [CPU, {"of": ["gradients", "activations", *WEIGHTS], "in": "cpu.dram"}],
        [{"of": "optimizer", "in": "nvme", "by": "cpu.cpu"}, GRADIENTS],
    ):  # fmt: skip
        other = step(memory, rules)
        assert not fits(other) or seconds(found) <= seconds(other) * (1 + 1e-9)


@given(memory=st.floats(4.5, 20.0), more=st.floats(0.5, 8.0))
@settings(max_examples=2, deadline=None)
def test_more_memory_is_never_slower(memory: float, more: float) -> None:
    less, larger = (step(f"{size:.2f} GB") for size in (memory, memory + more))
    assert seconds(larger) <= seconds(less) * (1 + 1e-9)


def test_where_nothing_fits_the_full_tier_is_told() -> None:
    with pytest.raises(CapacityError, match=r"gpu\.vram"):
        evaluate(asked("1 GB", "auto"))
