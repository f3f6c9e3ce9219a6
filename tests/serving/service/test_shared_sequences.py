"""Services whose devices share each sequence (context parallel): their iterations, runs, room and energy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.deployment import resolve
from simulator.mapping.footprint.room import most_blocks
from simulator.mapping.form import MappingForm
from simulator.scenario.evaluate import evaluate
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.stages import Stages
from simulator.workload import load_model

MODEL = {"extends": "llama-3.1-8b", "layers": 2}
PARTS: dict[str, Any] = {"hardware": "dgx-h100", "model": MODEL, "workload": {"kind": "requests"}}


def scenario(context: int, devices: int = 4, **mapping: Any) -> Scenario:
    section = {"devices": devices, "context": context, "runtime": "ideal", **mapping}
    return Scenario.model_validate({**PARTS, "mapping": section})


@cache
def iterations(context: int, devices: int = 4, runtime: str = "ideal", kernels: str = "roofline") -> Iterations:
    asked = scenario(context, devices, runtime=runtime, kernels=kernels)
    return Iterations(Stages(deployment(asked, requests=True)))


@pytest.mark.parametrize("kernels", ["roofline", "modelled"])
def test_it_takes_what_its_stage_does(kernels: str) -> None:
    of = iterations(2, 4, "vllm-v1", kernels)
    for chunks, decoding, context in (([(900, 3000), (64, 0)], 20, 500), ([(2048, 100_000)], 0, 0), ([], 7, 90_000)):
        tokens, past = sum(new for new, _ in chunks), sum(done for _, done in chunks)
        pairs = sum(new * done + new * (new + 1) / 2 for new, done in chunks)
        x = np.array([[[len(chunks), tokens, pairs, decoding, decoding * context, past]]], dtype=float)
        expected = of.stages.driven(of.stages.shared(x, bool(chunks)), x, bool(chunks))[0]
        took = (
            of.mixed(len(chunks), tokens, pairs, past, decoding, decoding * context)
            if chunks
            else of.decoding(decoding, decoding * context)
        )
        assert took == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kernels", ["roofline", "modelled"])
@pytest.mark.parametrize(("sequences", "context", "most"), [(1, 100_000, 300), (40, 700, 50)])
def test_a_run_is_its_iterations_one_by_one(kernels: str, sequences: int, context: int, most: int) -> None:
    of, cached = iterations(2, 4, "vllm-v1", kernels), sequences * context
    run = of.run(sequences, cached, most)
    each = [of.decoding(sequences, cached + sequences * i) for i in range(run.number)]
    assert run.number == most
    assert run.seconds == pytest.approx(sum(each), rel=1e-9)


def test_its_iterations_are_the_passes_of_a_static_batch() -> None:
    at = resolve(
        MappingForm(devices=4, context=2, runtime="ideal"),
        load_system("dgx-h100"),
        load_model("llama-3.1-8b", ["layers=2"]),
    )
    passes, of = at.passes(3, 4096, 100), iterations(2)
    pairs = 3 * 4096 * 4097 / 2
    assert of.mixed(3, 3 * 4096, pairs, 0, 0, 0) == pytest.approx(float(closed_form(passes.first).time), rel=1e-9)
    assert of.decoding(3, 3 * 5000) == pytest.approx(float(closed_form(passes.step(5000.0)).time), rel=1e-9)


def test_a_long_prompt_is_computed_sooner_and_its_answer_later() -> None:
    """Four devices that share the sequence read all weights each, and wait for no all-reduces of its rows."""
    pairs = 64_000 * 64_001 / 2
    shared, tensor = (iterations(context) for context in (4, 1))
    assert shared.mixed(1, 64_000, pairs, 0, 0, 0) < tensor.mixed(1, 64_000, pairs, 0, 0, 0)
    assert shared.decoding(1, 1000) > tensor.decoding(1, 1000)


def test_room_is_that_of_all_groups_less_their_weights() -> None:
    blocks = {c: most_blocks(deployment(scenario(c), requests=True), 16, 2048) for c in (1, 2, 4)}
    assert blocks[4] < blocks[2] < blocks[1]
    deployed = {c: deployment(scenario(c), requests=True) for c in (1, 4)}
    room = {c: each.low.system.free(each.low.tier) * c for c, each in deployed.items()}
    assert room[1] == pytest.approx(room[4])
    bytes_of = 16 * 2 * 2 * 8 * 128 * 2
    weights = deployed[1].footprint(1, 16, 0).total.weights
    assert (blocks[1] - blocks[4]) * bytes_of == pytest.approx(3 * weights, rel=0.05)


def test_energy_of_attention_and_products_is_that_of_all_groups() -> None:
    work = {"kind": "requests", "requests": 10, "rate": 1.0, "input": 20_000, "output": 2, "spread": 0}
    spent = []
    for context in (1, 4):
        mapping = {"devices": 4, "context": context, "runtime": "ideal", "scheduler": {"kind": "vllm-v1"}}
        asked = Scenario.model_validate({**PARTS, "mapping": mapping, "workload": work})
        spent.append(float(evaluate(asked).metrics["energy_per_token_j"]))
    assert spent[1] == pytest.approx(spent[0], rel=0.3)


@pytest.mark.parametrize(
    ("mapping", "model", "message"),
    [
        ({}, "mixtral-8x7b", "context: found 2 .*experts"),
        (
            {"kv_store": {"kind": "prefix", "tiers": ["host"]}},
            MODEL,
            "context: found 2 with a kv_store of several tiers",
        ),
    ],
)
def test_what_is_not_served_so_is_refused_by_name(mapping: dict[str, Any], model: Any, message: str) -> None:
    section = {"devices": 4, "context": 2, "runtime": "ideal", "scheduler": {"kind": "vllm-v1"}, **mapping}
    work = {"kind": "requests", "requests": 2, "rate": 1.0, "input": 64, "output": 8}
    with pytest.raises(ConfigError, match=message):
        evaluate(Scenario.model_validate({**PARTS, "model": model, "mapping": section, "workload": work}))
