"""A batch that does not fit runs in turns where its runtime says so, and its times are those of the turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator import estimate, evaluate
from simulator.errors import CapacityError, ConfigError, TiersimError
from simulator.report.explain import explain
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.cases import with_values
from simulator.scenario.evaluate import read_scenario
from simulator.scenario.evaluator import evaluated

HARDWARE = {"extends": "dgx-a100", "devices.gpu.tiers.hbm.capacity": "40 GiB"}
LENGTHS = {"input": 1024, "output": 16}


def scenario(batch: int, runtime: str, **work: Any) -> dict[str, Any]:
    mapping = {"devices": 1, "runtime": runtime}
    return {
        "hardware": HARDWARE,
        "model": "llama-2-7b",
        "mapping": mapping,
        "workload": {**LENGTHS, **work, "batch": batch},
    }


def detail(batch: int) -> BatchDetail:
    memory = "devices.gpu.tiers.hbm.capacity=40 GiB"
    return estimate("dgx-a100", "llama-2-7b", batch, **LENGTHS, devices=1, runtime="vllm", overrides=[memory])


def metrics(batch: int, runtime: str = "vllm") -> dict[str, Any]:
    return dict(evaluate(scenario(batch, runtime)).metrics)


MOST = 46
"""Sequences that fit."""


def test_the_turns_add_up() -> None:
    assert detail(1).max_batch == MOST
    fits, rest, both = metrics(MOST), metrics(5), metrics(2 * MOST + 5)
    assert (fits["batches"], both["batches"]) == (1, 3)
    assert both["e2e_s"] == pytest.approx(2 * fits["e2e_s"] + rest["e2e_s"], rel=1e-12)
    assert (both["ttft_s"], both["tbt_s"]) == (fits["ttft_s"], fits["tbt_s"])
    joules = {n: m["energy_per_token_j"] * n * 16 for n, m in ((MOST, fits), (5, rest), (2 * MOST + 5, both))}
    assert joules[2 * MOST + 5] == pytest.approx(2 * joules[MOST] + joules[5], rel=1e-12)
    assert both["needed_bytes"] > both["capacity_bytes"]


def test_an_estimate_and_many_cases_say_the_same() -> None:
    batches = [5, MOST, 2 * MOST, 2 * MOST + 5]
    table = evaluated(read_scenario(scenario(1, "vllm")), {"workload.batch": np.array(batches, float)})
    for row, batch in enumerate(batches):
        one = detail(batch)
        assert one.batches == table["batches"][row]
        for name in ("ttft_s", "tbt_s", "e2e_s", "tokens_per_s", "energy_per_token_j", "power_w"):
            assert getattr(one, name) == pytest.approx(table[name][row], rel=1e-6), name


def test_without_turns_it_is_refused_by_what_would_fit() -> None:
    with pytest.raises(CapacityError, match=r"fits with batch \d+"):
        estimate("dgx-a100", "llama-2-7b", 500, devices=1, runtime="gpu-libraries")
    with pytest.raises(TiersimError, match="do not fit"):
        evaluate(scenario(2 * MOST, "gpu-libraries"))
    with pytest.raises(TiersimError, match="do not fit"):
        evaluate(scenario(2 * MOST, "vllm", phase="decode"))  # one step has no turns


def test_a_model_of_which_not_one_sequence_fits_has_no_turns() -> None:
    asked = with_values(read_scenario(scenario(1, "vllm")), {"model": "llama-2-70b"})
    assert evaluated(asked, {})["error"][0]


def test_equations_are_of_a_batch_that_fits() -> None:
    with pytest.raises(ConfigError, match="2 batches in turn"):
        explain(detail(2 * MOST))
