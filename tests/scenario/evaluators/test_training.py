"""Metrics of a step of training: its parts add up, its FLOPs are those of the model, and mistakes are told by key."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import CapacityError, ConfigError
from simulator.scenario.evaluate import evaluate
from simulator.workload import load_model, parameters
from tests.mapping.training.cases import CPU, scenario


def metrics(*rules: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return dict(evaluate(scenario(*rules, **keys)).metrics)


def test_forward_backward_and_update_are_the_step() -> None:
    told = metrics()
    assert told["step_s"] == pytest.approx(told["forward_s"] + told["backward_s"] + told["update_s"], rel=1e-12)
    assert told["tokens_per_s"] == pytest.approx(2 * 256 / told["step_s"], rel=1e-12)
    assert told["copied_bytes"] == 0.0


def test_the_flops_of_the_model_are_six_a_parameter_and_token_whatever_is_made_again() -> None:
    """`6 N D` and causal attention, `6 L H T` a token (arXiv 2204.02311, appendix B)."""
    model, hardware, tokens = load_model("llama-2-7b"), "dgx-h100", 4 * 1024
    count = parameters(model).total - model.vocab * model.hidden
    expected = tokens * (6 * count + 6 * model.layers * model.hidden * 1024)
    for recompute in ("none", "layer"):
        told = metrics(hardware=hardware, model="llama-2-7b", batch=4, tokens=1024, recompute=recompute)
        assert told["flops_per_s"] * 8 * told["step_s"] == pytest.approx(expected, rel=0.02)
        assert 0 < told["utilisation"] < 1


def test_energy_is_of_the_devices_and_of_what_is_copied() -> None:
    one, two = metrics(hardware="dgx-h100"), metrics({"of": "optimizer", "in": "host"}, hardware="dgx-h100")
    assert 0 < one["energy_per_token_j"] < two["energy_per_token_j"]
    assert one["power_w"] == pytest.approx(one["energy_per_token_j"] * one["tokens_per_s"], rel=1e-12)


def test_making_activations_again_takes_time_and_frees_memory() -> None:
    kept, again = (metrics(recompute=recompute, tokens=1024) for recompute in ("none", "layer"))
    assert again["needed_bytes"] < kept["needed_bytes"]
    assert again["backward_s"] > kept["backward_s"]


@pytest.mark.parametrize(
    ("keys", "path", "text"),
    [
        ({"tokens": 1}, "workload.tokens", "2 to 4,096"),
        ({"tokens": 5000}, "workload.tokens", "2 to 4,096"),
        ({"batch": 4, "micro_batches": 3}, "workload.micro_batches", "divide the batch of 4"),
        ({"model": {"extends": "deepseek-v3", "layers": 4}}, "mapping.dtype", "no quantised weights"),
        ({"optimizer": "adamw"}, "workload.optimizer", "did you mean 'adam'"),
    ],
)
def test_a_mistake_is_told_by_its_key(keys: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        metrics(**keys)
    at = error.value.path or ""
    assert (at if isinstance(at, str) else ".".join(map(str, at))) == path


def test_a_step_that_does_not_fit_says_which_tier_is_full_and_fits_with_its_state_elsewhere() -> None:
    keys: dict[str, Any] = {"model": "llama-2-7b", "recompute": "layer"}
    with pytest.raises(CapacityError, match=r"gpu\.vram.*`optimizer` in another tier"):
        metrics(**keys)
    told = metrics(CPU, {"of": "gradients", "in": "cpu.dram"}, **keys)
    assert told["needed_bytes"] < told["capacity_bytes"]
