"""`parallel: auto` finds the split that is fastest of all that can be stated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.config.path import checked
from simulator.errors import CapacityError, ConfigError
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.evaluate import estimate, evaluate
from simulator.scenario.form import Scenario

SMALL = {"extends": "mixtral-8x7b", "layers": 2}


def of(**changes: Any) -> BatchDetail:
    asked: dict[str, Any] = {"hardware": "dgx-h100", "model": SMALL, "batch": 32, "input": 200, "output": 3}
    return estimate(**(asked | changes))


SPLITS = [(t, p, 8 // (t * p * c), c) for t in (1, 2, 4, 8) for p in (1, 2) for c in (1, 2, 4, 8) if t * p * c <= 8]


@pytest.mark.parametrize(("phase", "time"), [("request", "e2e_s"), ("prefill", "ttft_s"), ("decode", "tbt_s")])
def test_it_is_as_fast_as_the_fastest_and_says_which_it_is(phase: str, time: str) -> None:
    auto = of(parallel="auto", phase=phase)
    times = [
        getattr(of(tensor=t, pipeline=p, data=d, context=c, experts=experts, phase=phase), time)
        for t, p, d, c in SPLITS
        for experts in (None, "whole")
        if not (experts and p * c > 1)
    ]
    assert getattr(auto, time) == min(times)
    told = auto.as_json()
    assert getattr(of(**told["parallelism"], experts=told["experts"], phase=phase), time) == min(times)


def test_what_is_stated_stays() -> None:
    parallel = of(parallel="auto", tensor=2).deployment.parallel
    assert parallel.tensor == 2
    assert of(parallel="auto", pipeline=2).deployment.parallel.pipeline == 2
    assert of(parallel="auto", devices=4).deployment.parallel.devices == 4


def test_replicas_that_do_not_fit_are_not_chosen() -> None:
    parallel = of(model="llama-3-70b", parallel="auto", batch=8).deployment.parallel
    assert parallel.tensor * parallel.pipeline > 1
    with pytest.raises(CapacityError):
        of(model="llama-3-70b", parallel="auto", devices=1)


def test_a_long_prompt_is_shared_by_groups_of_devices() -> None:
    """One prompt, which no replicas share: ring attention hides what all-reduces of all its rows wait for."""
    long = {"model": {"extends": "llama-3.1-8b", "layers": 2}, "batch": 1, "input": 100_000, "phase": "prefill"}
    assert of(parallel="auto", **long).deployment.parallel.context > 1
    assert of(parallel="auto", context=1, **long).deployment.parallel.context == 1


def test_no_possible_split_is_told_and_another_kind_of_workload_has_none() -> None:
    with pytest.raises(ConfigError, match="batch: found 3, expected a multiple of the 8 replicas"):
        of(parallel="auto", batch=3, data=8)


PAGE = Path(__file__).parents[2] / "docs" / "parallelism.md"


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_examples_of_the_page_run(text: str) -> None:
    assert evaluate(checked(Scenario, yaml.safe_load(text))).metrics["tokens_per_s"] > 0
