"""Metrics of a step of training: its parts add up, its FLOPs are those of the model, and mistakes are told by key."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ({"use": "read"}, "optimizer 1 in cpu.dram, read from there"),
        ({"use": "copy"}, "optimizer 1 in cpu.dram, copied before use"),
        ({"by": "cpu.cpu"}, "optimizer 1 in cpu.dram, computed by cpu.cpu"),
    ],
)
def test_what_lies_elsewhere_is_told_with_how_it_is_used(use: dict[str, str], told: str) -> None:
    assert metrics({"of": "optimizer", "in": "cpu.dram", **use})["placed"] == told


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


SIZES = {"7b": (32, 4096, 32), "13b": (40, 5120, 40), "30b": (48, 7168, 56), "3b": (32, 2560, 20), "1b": (24, 2048, 16),
         "760m": (24, 1536, 12)}  # fmt: skip
"""Layers, hidden width and heads of MPT."""


def measured(hardware: str, sizes: Collection[str]) -> pd.DataFrame:
    rows = pd.read_csv(Path(__file__).with_name("training.csv"), comment="#")
    return rows[(rows["hardware"] == hardware) & rows["size"].isin(sizes)]


def simulated(row: Any) -> float:
    """Tokens a second of a row: MPT with ALiBi, no biases and a shared table; FlashAttention keeps no scores."""
    layers, hidden, heads = SIZES[row.size]
    model = {
        "extends": "bloom-7b1", "layers": layers, "hidden": hidden, "vocab": 50368, "max_context": row.tokens,
        "norm": {"kind": "layer", "bias": False, "embedding": False},
        "ffn": {"intermediate": 4 * hidden, "bias": False},
        "attention": {"heads": heads, "kv_heads": heads, "head_dim": hidden // heads, "qkv_bias": False,
                      "output_bias": False},
        "dtypes": {"weights": "bf16", "activations": "bf16", "kv": "bf16"},
    }  # fmt: skip
    work = {
        "kind": "training", "tokens": int(row.tokens), "batch": int(8 * row.micro_batch * row.micro_batches),
        "micro_batches": int(row.micro_batches), "recompute": "layer" if row.recomputed else "attention",
    }  # fmt: skip
    mapping = {"data": 8, "sharded": "weights"}
    asked = {"hardware": row.hardware, "model": model, "mapping": mapping, "workload": work}
    return float(evaluate(asked).metrics["tokens_per_s"] or 0.0)


@pytest.mark.parametrize(
    ("hardware", "sizes", "median"),
    [
        ("a100-sxm-80gb", ["7b"], 1.25),
        pytest.param("a100-sxm-80gb", list(SIZES), 1.25, marks=pytest.mark.slow),
        pytest.param("a100-sxm-40gb", list(SIZES), 1.35, marks=pytest.mark.slow),
        pytest.param("dgx-h100", list(SIZES), 1.6, marks=pytest.mark.slow),
    ],
)
def test_measured_steps_fit_where_they_ran_and_take_little_longer(
    hardware: str, sizes: list[str], median: float
) -> None:
    """MPT by FSDP on 8 GPUs, nothing fitted to it: rooflines are optimistic, most of all of attention over long
    sequences and of an H100."""
    rows = measured(hardware, sizes)
    ratios = [simulated(row) / row.tokens_per_s for row in rows.itertuples()]
    assert min(ratios) > 0.9
    assert np.median(ratios) < median
