"""No key of a mapping is silent: of a static batch it changes a result, or is refused by its name."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import pytest

from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.deployment import resolve
from simulator.mapping.form import Draft, KvStore, MappingForm, Residency, Scheduler
from simulator.mapping.placement.rule import BlockOfBatches, Rule
from simulator.workload import Model, load_model

BATCH, INPUT, OUTPUT = 8, 200, 5
REFUSED = {  # of a static batch, whatever the machine
    "answers": ("gpu.gpu",), "parallel": "auto", "expert": 2, "experts": "whole", "expert_reduces": 2,
    "split": "greedy", "sharded": "weights",
    "split_by": "peak", "migrate": True, "residency": Residency(cache="host"), "scheduler": Scheduler(max_sequences=2),
}  # fmt: skip
HOST = (Rule.model_validate({"of": "ffn", "amount": "50 %", "in": "host"}),)
CASES: dict[str, dict[str, Any]] = {
    "gpus": {
        "devices": 4, "engines": ("spare",), "tensor": 4, "pipeline": 2, "context": 2, "data": 2, "memory": "sram",
        "dtype": "w4a16",
        "kv": "fp8", "activations": "fp32", "compute": "int8", "fusion": "unfused", "runtime": "ideal",
        "kernels": "modelled", "calibration": "h100-sxm.vllm", "kv_store": KvStore(block=16),
        "draft": Draft(model="llama-3-8b", acceptance=0.5), "placement": HOST, "block": BlockOfBatches(batches=2),
        **REFUSED,
    },
    "duplex": {
        "devices": 2, "engines": ("pim",), "pipeline": 2, "context": 2, "data": 2, "dispatch": "by_op_per_byte",
        "together": True, "dtype": "w4a16", "kv": "fp8", "block": BlockOfBatches(batches=2), **REFUSED,
        "answers": ("xpu.pim",),
    },
    "sockets": {
        "devices": 4, "pipeline": 2, "context": 2, "data": 2, "memory": "ddr", "spill": "ddr",
        "spill_order": "weights_last", "kv": "fp8", "fusion": "conventional", "placement": "auto", **REFUSED,
        "answers": ("socket.rdu",),
    },
}  # fmt: skip
SPARE = "{kind: gpu, peak: {bf16: 100 TFLOP/s, fp32: 40 TFLOP/s, int8: 160 TOP/s}, reads: {sram: {}, hbm: {}}}"
PARTS = {
    "gpus": ("dgx-h100", [f"devices.gpu.engines.spare={SPARE}"], "llama-3-8b"),
    "duplex": ("duplex-node", [], "mixtral-8x7b"),
    "sockets": ("sn40l-node", ["devices.socket.tiers.hbm.capacity=400 MB"], "llama-3-8b"),
}  # fmt: skip


@cache
def parts(case: str) -> tuple[System, Model]:
    hardware, overrides, model = PARTS[case]
    return load_system(hardware, overrides), load_model(model, ["layers=4"])


@cache
def result(case: str, keys: tuple[str, ...]) -> Any:
    """What a mapping gives: times, demands and bytes by tier; or the key that is refused."""
    form = MappingForm(**{key: CASES[case][key] for key in keys})
    try:
        deployed = resolve(form, *parts(case))
        passes = deployed.passes(BATCH, INPUT, OUTPUT)
        plans = passes.first, passes.step(float(INPUT))
        times = [float(closed_form(plan).time) for plan in plans]
        demands = [sorted((r.name, r.count, float(units)) for r, units in plan.demand().items()) for plan in plans]
        tiers = deployed.footprint(BATCH, INPUT, OUTPUT).tiers
    except ConfigError as error:
        return error.path if isinstance(error.path, str) else str((error.path or ("no key",))[0])
    held = {tier: (each.capacity, each.weights, each.kv, each.activations) for tier, each in tiers.items()}
    return times, demands, held, passes.tokens, deployed.parallel


def test_every_key_of_the_form_is_tried() -> None:
    assert set().union(*CASES.values()) == set(MappingForm.model_fields)


@pytest.mark.parametrize(("case", "key"), [(case, key) for case, keys in CASES.items() for key in keys])
def test_a_key_changes_a_result_or_is_refused_by_its_name(case: str, key: str) -> None:
    plain, changed = result(case, ()), result(case, (key,))
    assert not isinstance(plain, str)
    if isinstance(changed, str):
        assert changed == key
    else:
        assert changed != plain


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_key_beside_another_changes_a_result_or_one_is_refused_by_its_name(case: str) -> None:
    silent = []
    for pair in combinations(CASES[case], 2):
        if "tensor" in pair and {*pair} & {"devices", "pipeline", "context", "data"}:
            continue  # from these it follows: it may state the same
        both, alone = result(case, pair), [result(case, (key,)) for key in pair]
        if both in alone if not isinstance(both, str) else both not in pair:
            silent.append((pair, both if isinstance(both, str) else "as one of them"))
    assert not silent, silent
