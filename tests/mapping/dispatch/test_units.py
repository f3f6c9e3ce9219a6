"""The steps of a block hold every operator once, in an order in which it can run."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.dispatch.units import Step, is_routed, steps
from simulator.workload import Block, decode, load_model, operator_graph, prefill

MODELS = ["llama-2-7b", "falcon-40b", "bloom-176b", "mixtral-8x7b", "glam-143b", "qwen2-57b-a14b", "deepseek-v3"]
BATCHES = {"prefill": prefill(2, 300), "decode": decode(4, 1000), "mixed": prefill(1, 100) + decode(3, 500)}


def check(block: Block, found: tuple[Step, ...]) -> None:
    names = [name for step in found for unit in step for name in unit.operators]
    assert sorted(names) == sorted(block.graph), "each operator once"
    place = {name: (i, unit) for i, step in enumerate(found) for unit in step for name in unit.operators}
    for a, b in block.graph.edges:
        assert place[a][0] <= place[b][0], f"{b} runs before {a}, which it reads"
        assert place[a][0] < place[b][0] or place[a][1] == place[b][1], f"{b} does not wait for {a} beside it"
    for step in found:
        for unit in step:
            inside = block.graph.subgraph(unit.operators)
            order = {name: i for i, group in enumerate(unit.groups) for name in group}
            assert all(order[a] <= order[b] for a, b in inside.edges), "kernels of a unit run in order"


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("model", MODELS)
def test_every_operator_runs_once_and_after_what_it_reads(model: str, batch: str) -> None:
    for block in operator_graph(load_model(model), BATCHES[batch]).blocks:
        check(block, steps(block))


@settings(max_examples=100)
@given(st.data())
def test_so_it_does_in_any_block(random_blocks: Any, data: st.DataObject) -> None:
    block = data.draw(random_blocks(most=7, partial=True))
    check(block, steps(block))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("model", MODELS)
def test_each_layer_of_experts_is_one_unit(model: str, batch: str) -> None:
    """Whole: their products and what is between these; their rows are gathered with the choice of experts."""
    for block in operator_graph(load_model(model), BATCHES[batch]).blocks:
        routed = [unit for step in steps(block) for unit in step if unit.routed]
        layers = block.name.split("+").count("moe")
        assert len(routed) == layers
        for unit in routed:
            kinds = [block.graph.nodes[name]["operator"] for name in unit.operators]
            matrices = 2 if model == "glam-143b" else 3
            assert sum("expert" in operator.bytes for operator in kinds) == matrices
            assert all(operator.groups is not None for operator in kinds)
            assert unit.phase is None
    for name in ("moe.router", "0.moe.route", "moe.dispatch", "moe.combine", "moe.shared.up_proj", "ffn.up_proj"):
        assert not is_routed(name)


@pytest.mark.parametrize("model", MODELS)
def test_attention_of_prompts_and_of_answers_runs_beside_each_other(model: str) -> None:
    block = next(b for b in operator_graph(load_model(model), BATCHES["mixed"]).blocks[1:] if b.name != "head")
    layers = 1 + block.name.count("+")
    beside = [step for step in steps(block) if len(step) > 1]
    assert len(beside) >= layers
    for step in beside:
        assert [unit.phase for unit in step] == ["prefill", "decode"]
        first, second = ({*unit.operators} for unit in step)
        assert not any(nx.has_path(block.graph, a, b) for a in first for b in second)
    for batch in ("prefill", "decode"):
        for alone in operator_graph(load_model(model), BATCHES[batch]).blocks:
            assert all(len(step) == 1 for step in steps(alone))


def test_what_serves_both_phases_has_none() -> None:
    block = operator_graph(load_model("llama-2-7b"), BATCHES["mixed"]).blocks[1]
    shared = [unit for step in steps(block) for unit in step if not unit.phase]
    assert {"attention.q_proj", "attention.o_proj", "ffn.down_proj"} <= {unit.operators[0] for unit in shared}
