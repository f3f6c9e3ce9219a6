"""What training keeps in each tier: all of it and nothing twice, and what fits of published models."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import CapacityError
from simulator.mapping.footprint.held import Held
from simulator.mapping.training.held import check_held, held_of_training
from simulator.mapping.training.step import TrainingStep
from tests.mapping.training.cases import CPU, GRADIENTS, step

WEIGHTS = ["ffn", "attention", "embedding", "head"]


def tiers(of: TrainingStep) -> dict[str, Held]:
    return {each.tier: each for each in held_of_training(of)}


def test_without_rules_main_memory_holds_all_of_it() -> None:
    of = step()
    (only,) = held_of_training(of)
    assert only.used == pytest.approx(sum(of.kept.parts.values()) + of.kept.working, rel=1e-12)
    assert only.states == of.kept.parts["gradients"] + of.kept.parts["optimizer"]


@given(share=st.integers(1, 100), part=st.sampled_from(["optimizer", "gradients", "activations", *WEIGHTS]))
@settings(max_examples=10, deadline=None)
def test_what_leaves_main_memory_lies_where_the_rule_says_and_its_copies_have_room(share: int, part: str) -> None:
    whole, of = step(), step({"of": part, "in": "cpu.dram", "amount": f"{share} %"})
    held, moved = tiers(of), share / 100 * of.kept.parts[part]
    assert held["cpu.dram"].used == pytest.approx(moved, rel=1e-9)
    buffers = held["gpu.vram"].used - (tiers(whole)["gpu.vram"].used - moved)
    layers = 3 if part == "optimizer" else 2  # of an update one comes, one is at hand and one goes
    largest = moved * (1 if part in ("embedding", "head") else layers / 4)
    assert 0 < buffers <= largest * (1 + 1e-9)


def test_bytes_of_an_amount_are_those_that_lie_there() -> None:
    held = tiers(step({"of": ["gradients", "optimizer"], "in": "cpu.dram", "amount": "3 GB"}))
    assert held["cpu.dram"].states == pytest.approx(3e9, rel=1e-12)


V100: dict[str, Any] = {
    "extends": "v100-sxm",
    "devices": {
        "gpu": {"count": 1},
        "cpu": {
            "count": 1, "tiers": {"dram": {"kind": "ddr", "capacity": "1.5 TB", "bandwidth": "256 GB/s"}},
            "engines": {"cpu": {"kind": "cpu", "peak": {"fp32": "5 TFLOP/s"}, "reads": {"dram": {}}}},
        },
    },
    "links": {"cpu.dram<->gpu.hbm": {"bandwidth": "16 GB/s"}},
}  # fmt: skip


def gpt(layers: int, hidden: int) -> dict[str, Any]:
    """A model of the form of GPT-2, in fp16."""
    heads = hidden // 128
    return {
        "extends": "opt-6.7b", "layers": layers, "hidden": hidden, "ffn": {"intermediate": 4 * hidden},
        "attention": {"heads": heads, "kv_heads": heads},
        "dtypes": {"weights": "fp16", "activations": "fp16", "kv": "fp16"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "hidden", "rules", "fits"),
    [(28, 2048, [], True), (40, 2048, [], False), (64, 4096, [CPU, GRADIENTS], True), (64, 4096, [], False)],
)
def test_a_v100_of_32_gb_trains_1_4_billion_parameters_alone_and_13_with_the_host(
    layers: int, hidden: int, rules: list[dict[str, Any]], fits: bool
) -> None:
    """1.4 billion are the most that PyTorch trains without running out of memory, and over 13 billion what ZeRO-Offload
    trains (arXiv 2101.06840, abstract); 2.1 billion do not fit alone."""
    rules = [{**rule, "in": "cpu.dram"} for rule in rules]
    engine = {"hardware": V100, "batch": 4, "tokens": 1024, "recompute": "layer"}
    of = step(*rules, model=gpt(layers, hidden), **engine)
    assert of.engine.name == "gpu.gpu"
    if fits:
        check_held(of, "it")
        return
    with pytest.raises(CapacityError, match=r"gpu\.hbm.*`gradients` and `optimizer` in another tier"):
        check_held(of, "it")
