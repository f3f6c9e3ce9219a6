"""What training keeps: 16 bytes a parameter with Adam (ZeRO), activations as Korthikanti et al. count them."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.workload import load_model, parameters
from tests.mapping.training.cases import MODEL, step

MODELS = ["llama-2-7b", "opt-6.7b", "mixtral-8x7b", "falcon-7b"]


@pytest.mark.parametrize("name", MODELS)
def test_adam_in_mixed_precision_keeps_16_bytes_a_parameter(name: str) -> None:
    """2 the weight, 2 its gradient, 12 the optimizer's numbers (arXiv 1910.02054, section 3.1)."""
    parts, count = step(model=name).kept.parts, parameters(load_model(name)).total
    states = sum(size for part, size in parts.items() if part != "activations")
    assert states == pytest.approx(16 * count, rel=1e-9)
    assert (parts["gradients"], parts["optimizer"]) == (2 * count, 12 * count)


@pytest.mark.parametrize(("optimizer", "numbers"), [("sgd", 1), ("momentum", 2), ("adam", 3)])
def test_the_optimizer_keeps_numbers_in_fp32(optimizer: str, numbers: int) -> None:
    parts = step(optimizer=optimizer).kept.parts
    assert parts["optimizer"] == 2 * numbers * parts["gradients"]


@pytest.mark.parametrize(("recompute", "linear", "quadratic"), [("none", 32, 1), ("attention", 32, 0), ("layer", 2, 0)])
def test_a_layer_keeps_the_activations_that_the_literature_counts(recompute: str, linear: int, quadratic: int) -> None:
    """`34 s b h + 5 a s^2 b` bytes of a layer of GPT, 34 with selective recomputation, 2 with full (arXiv 2205.05198,
    equations 1, 5 and section 5); without two masks of dropout there are 32, without that of softmax and its output 2,
    of which a causal mask leaves half."""
    batch, tokens = 2, 1024
    model = load_model("bloom-7b1")
    of = step(model={"extends": "bloom-7b1", "layers": 2}, batch=batch, tokens=tokens, recompute=recompute)
    (layer,) = (sizes["activations"] for name, sizes in of.kept.layers.items() if name not in ("embedding", "head"))
    assert model.attention
    expected = linear * tokens * batch * model.hidden + quadratic * model.attention.heads * tokens**2 * batch
    assert layer == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_and_weights_by_block_are_those_of_all_parameters(name: str) -> None:
    of = step(model=name)
    sizes, repeats = of.kept.layers, {block.name: block.repeat for block in of.graph.blocks}
    assert sum(each["gradients"] * repeats[block] for block, each in sizes.items()) == of.kept.parts["gradients"]
    model = load_model(name)
    table = model.vocab * model.hidden + (model.positions.count or 0) * model.hidden
    assert sizes["embedding"]["gradients"] == pytest.approx(2 * table, rel=1e-3)
    for part in ("experts", "ffn", "attention", "head", "embedding"):
        total = sum(each.get(part, 0.0) * repeats[block] for block, each in sizes.items())
        shared = model.tied_embeddings and part == "embedding"  # which the head reads too
        assert total == pytest.approx(of.kept.parts[part] * (2 if shared else 1), rel=1e-9)


@pytest.mark.parametrize("recompute", ["none", "attention", "layer"])
def test_devices_that_share_a_model_keep_what_one_does_and_copies_of_what_is_whole(recompute: str) -> None:
    def kept(devices: int) -> Any:
        machine = {"extends": "dgx-h100", "devices": {"gpu": {"count": devices}}}
        return step(hardware=machine, model=MODEL, recompute=recompute).kept.parts

    one, four = kept(1), kept(4)
    assert one["activations"] <= four["activations"] <= 4 * one["activations"]
    assert one["optimizer"] == four["optimizer"]
