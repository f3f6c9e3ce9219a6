"""The symbols of a program hold its weights, caches and activations, and are moved as its kernels move them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.kernels.kernels import kernels
from simulator.mapping.spill.memory_plan import Space, Symbol, memory_plan, space
from simulator.mapping.spill.symbols import INPUT, Pass, distinct, spilled_groups, spilled_traffic, symbols
from simulator.mapping.target import target
from simulator.workload import Batch, Model, decode, kv_bytes, load_model, operator_graph, prefill, weight_bytes
from tests.deployed import kept

MODELS = [
    "llama-2-7b",
    "falcon-40b",
    "opt-6.7b",
    "mistral-7b",
    "glam-143b",
    "qwen2-57b-a14b",
    "mixtral-8x7b",
    "deepseek-v3",
]
FUSIONS = ["unfused", "conventional", "whole"]


def a_pass(model: Model, batch: Batch, fusion: str = "conventional", ways: int = 1, times: float = 1.0) -> Pass:
    graph = operator_graph(model, batch)
    return Pass(graph, [kernels(block, fusion, ways) for block in graph.blocks], times)


def program(model: Model, fusion: str = "conventional", ways: int = 1) -> list[Pass]:
    return [a_pass(model, prefill(2, 300), fusion, ways), a_pass(model, decode(2, 399), fusion, ways, times=100)]


def of_kind(found: list[Symbol], kind: str) -> float:
    return sum(symbol.bytes for symbol in found if symbol.kind == kind)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", MODELS)
def test_symbols_hold_every_weight_once_and_the_caches_at_their_longest(name: str, fusion: str) -> None:
    model = load_model(name)
    found = distinct(symbols(program(model, fusion)))
    assert of_kind(found, "weight") == pytest.approx(weight_bytes(model), rel=1e-12)
    assert of_kind(found, "kv") == pytest.approx(2 * kv_bytes(model, 400.0), rel=1e-12)
    assert len({symbol.name for symbol in found}) == len(found)


@pytest.mark.parametrize("name", ["llama-2-7b", "mixtral-8x7b", "deepseek-v3"])
def test_devices_hold_together_what_placement_counts(name: str) -> None:
    model, system = load_model(name), load_system("sn40l-node", ["devices.socket.tiers.hbm.capacity=1 TiB"])
    node = target(system)
    found = distinct(symbols(program(model, ways=node.ways)))
    placed = kept(system, model, 2, 400).total
    assert node.ways * of_kind(found, "weight") == pytest.approx(placed.weights, rel=1e-12)
    assert node.ways * of_kind(found, "kv") == pytest.approx(placed.kv, rel=1e-12)


def test_a_tied_head_is_the_embedding_table() -> None:
    model = load_model("llama-2-7b").model_copy(update={"tied_embeddings": True})
    uses = symbols([a_pass(model, decode(1, 10))])[0]
    table, head = uses[0][0]["embedding", "weight"], uses[-1][0]["lm_head", "weight"]
    assert table is head
    assert of_kind(distinct([uses]), "weight") == pytest.approx(weight_bytes(model), rel=1e-12)


def test_both_forms_of_latent_attention_share_their_weights() -> None:
    model = load_model("deepseek-v3")
    expanded, absorbed = (uses[1][0] for uses in symbols(program(model)))
    shared = {expanded["attention.kv_b_proj.prefill", "weight"]}
    assert shared == {absorbed["attention.q_absorb.decode", "weight"], absorbed["attention.v_absorb.decode", "weight"]}
    mixed = distinct(symbols([a_pass(model, prefill(1, 300) + decode(1, 399))]))
    assert of_kind(mixed, "weight") == pytest.approx(weight_bytes(model), rel=1e-12)


@pytest.mark.parametrize("ways", [1, 8])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", MODELS)
def test_symbols_are_moved_as_the_kernels_move_them(name: str, fusion: str, ways: int) -> None:
    made = program(load_model(name), fusion, ways)
    moved = sum(symbol.transferred for symbol in distinct(symbols(made)))
    traffic = sum(
        p.times * block.repeat * kernel.traffic
        for p in made
        for block, of_block in zip(p.graph.blocks, p.kernels, strict=True)
        for kernel in of_block
    )
    assert moved == pytest.approx(float(traffic), rel=1e-9)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", ["llama-2-7b", "glam-143b"])
def test_over_many_contexts_symbols_are_moved_as_each_step_moves_them(name: str, fusion: str) -> None:
    """And have the size that the longest needs."""
    contexts = np.array([10.0, 500.0, 3000.0])
    model = load_model(name)
    together, *each = (
        distinct(symbols([replace(a_pass(model, decode(2, context), fusion), times=times)]))
        for context, times in ((contexts, 3.0), *((float(c), 1.0) for c in contexts))
    )
    for number, symbol in enumerate(together):
        assert symbol.transferred == pytest.approx(sum(alone[number].transferred for alone in each), rel=1e-12)
        assert symbol.bytes == each[-1][number].bytes


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", ["llama-2-7b", "falcon-40b", "glam-143b", "deepseek-v3"])
def test_an_activation_lives_from_its_maker_to_its_last_reader(name: str, fusion: str) -> None:
    made = program(load_model(name), fusion)
    step = 0
    for p, of_pass in zip(made, symbols(made), strict=True):
        lives: dict[Symbol, list[int]] = {}
        for block, of_block, layers in zip(p.graph.blocks, p.kernels, of_pass, strict=True):
            for uses in layers:
                step_of = {o.name: step + k for k, kernel in enumerate(of_block) for o in kernel.operators}
                for (operator, operand), symbol in uses.items():
                    if operand == "output":
                        lives[symbol] = [step_of[operator]]
                    elif symbol.kind != "activation":
                        assert (symbol.first, symbol.last) == (
                            0,
                            sum(len(k) * b.repeat for q in made for b, k in zip(q.graph.blocks, q.kernels, strict=True))
                            - 1,
                        )
                for a, b in block.graph.edges:
                    if step_of[a] != step_of[b] and (a, "output") in uses:
                        lives[uses[a, "output"]].append(step_of[b])
                lives.setdefault(uses[INPUT], [step]).extend(step_of[reader] for reader in block.entries)
                step += len(of_block)
        assert {s: (min(at), max(at)) for s, at in lives.items()} == {s: (s.first, s.last) for s in lives}
        assert {*lives} == {s for s in distinct([of_pass]) if s.kind == "activation"}


def test_activations_reuse_addresses() -> None:
    found = distinct(symbols([a_pass(load_model("llama-2-7b"), prefill(1, 1000), "unfused")]))
    activations = [s for s in found if s.kind == "activation"]
    plan = memory_plan(activations, Space("hbm", 1e15), Space("ddr", 0.0))
    assert plan.fast.peak < sum(s.bytes for s in activations) / 30  # 32 layers, one after another
    assert plan.fast.peak == pytest.approx(plan.fast.bound, rel=0.1)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", ["llama-2-7b", "glam-143b", "deepseek-v3"])
def test_spilled_traffic_is_a_part_of_all_traffic(name: str, fusion: str) -> None:
    made = program(load_model(name), fusion, ways=8)
    uses = symbols(made)
    found = distinct(uses)
    total = sum(s.bytes for s in found)
    for share in (0.0, 0.4, 0.9, 2.0):
        plan = memory_plan(found, Space("hbm", share * total), Space("ddr", 1e15))
        moved = 0.0
        for p, of_pass in zip(made, uses, strict=True):
            for block, of_block, layers in zip(p.graph.blocks, p.kernels, of_pass, strict=True):
                groups = spilled_groups(block, layers, plan)
                assert sum(repeat for _, repeat, _ in groups) == block.repeat
                for _, repeat, spilled in groups:
                    for kernel, (read, written) in zip(
                        of_block, spilled_traffic(block, of_block, spilled), strict=True
                    ):
                        assert 0 <= read <= kernel.read * (1 + 1e-12)
                        assert 0 <= written <= kernel.written * (1 + 1e-12)
                        moved += float(p.times * repeat * (read + written))
        assert moved == pytest.approx(sum(s.transferred for s in plan.slow.addresses), rel=1e-9, abs=1e-6)


def test_a_model_larger_than_hbm_runs_with_part_of_its_weights_in_ddr() -> None:
    model, node = load_model("llama-3.1-405b"), target(load_system("sn40l-node"))
    made = a_pass(model, decode(1, 8191), "whole", node.ways)
    (uses,) = symbols([made])
    found = distinct([uses])
    plan = memory_plan(found, space(node, "hbm"), space(node, "ddr"))
    assert plan.fast.space.capacity - plan.fast.peak < max(s.bytes for s in plan.slow.addresses)
    groups = spilled_groups(made.graph.blocks[1], uses[1], plan)
    assert all(earlier[2] < later[2] for earlier, later in pairwise(groups)), "the last layers spill first"
    assert 1 < len(groups) < 10, "layers with the same operands in DDR are together"


def test_a_training_step_is_refused() -> None:
    made = a_pass(load_model("llama-2-7b"), prefill(1, 10), "unfused")
    first = made.kernels[1][0]
    saving = replace(first.operators[0], bytes={**first.operators[0].bytes, "saved_write": 10.0})
    blocks = [list(of_block) for of_block in made.kernels]
    blocks[1][0] = replace(first, operators=(saving,))
    with pytest.raises(ConfigError, match=r"'attention\.norm' has bytes of class 'saved_write'"):
        symbols([replace(made, kernels=blocks)])
