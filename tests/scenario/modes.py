"""Small scenarios, one a mode of each kind of workload, and values of each key that are not the one it has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from simulator.config.path import checked
from simulator.mapping.spill.memory_plan import ORDERS
from simulator.registry import names, registered
from simulator.scenario.evaluators.operators import Operators
from simulator.scenario.evaluators.replay import Replay
from simulator.scenario.form import Scenario
from simulator.scenario.parts import machine
from simulator.scenario.reads import value_at
from simulator.scenario.requests.form import Requests
from simulator.workload.routing.routers import ROUTERS

SPARE = {
    "kind": "gpu", "efficiency": 0.6, "reads": {"sram": {}, "hbm": {"efficiency": 0.5}}, "energy_per_flop": "1 pJ/FLOP",
    "peak": {
        "bf16": "100 TFLOP/s", "fp32": "40 TFLOP/s", "fp8": "200 TFLOP/s", "int8": "200 TOP/s"},
}  # fmt: skip
NODES = {"node<->node": {"bandwidth": "50 GB/s", "latency": "5 us", "energy": "10 pJ/bit"}}
GPUS = {
    "hardware": {
        "extends": "dgx-h100", "devices": {"gpu": {"count": 4, "engines": {"spare": SPARE}}}, "links": NODES},
    "model": {"extends": "llama-3-8b", "layers": 4}, "mapping": {"engines": ["gpu.gpu"], "memory": "hbm"},
}  # fmt: skip
DUPLEX = {
    "hardware": "duplex-node", "model": {"extends": "mixtral-8x7b", "layers": 2}, "mapping": {"memory": "hbm"},
}  # fmt: skip
SOCKETS = {
    "hardware": {"extends": "sn40l-node", "links": NODES, "devices": {"socket": {"tiers": {
        "hbm": {"capacity": "100 MB"}}}}}, "model": {"extends": "llama-3-8b", "layers": 1, "vocab": 32000},
    "mapping": {"memory": "hbm", "engines": ["socket.rdu"]},
}  # fmt: skip
LAYERED = {**SOCKETS, "hardware": "sn40l-node"}
BATCH = {"kind": "batch", "batch": 8, "input": 64, "output": 4}
OPEN = {"kind": "requests", "requests": 30, "rate": 200, "output": 8, "input": 64}
CLOSED = {"kind": "requests", "loop": "closed", "batch": 4, "rounds": 2, "output": 8, "input": 64}
EXPERTS = {"kind": "expert_models", "experts": 20000}
SERVED = {**EXPERTS, "experts": 8, "input": 64, "output": 4, "batch": 6, "trace": {"kind": "uniform", "rounds": 4}}
COMPOSED = {
    "hardware": {"extends": "sn40l-node", "links": NODES}, "model": {"extends": "llama-2-7b", "layers": 2},
    "mapping": {"residency": {"home": "socket.ddr", "cache": "socket.hbm"}},
}  # fmt: skip
PHONE = {
    "hardware": "phone-ufs4", "model": {"extends": "opt-6.7b", "layers": 2},
    "mapping": {"engines": ["soc.cpu"], "residency": {
        "home": "soc.flash", "cache": "soc.dram", "manager": "soc.cpu", "room": 0.3,
    }}, "workload": {"kind": "sparse_flash", "warm_up": 8, "tokens": 4, "input": 64},
}  # fmt: skip
OPERATORS = {
    "hardware": "sn40l-node", "mapping": {"memory": "hbm", "engines": ["socket.rdu"]},
    "workload": {"kind": "kernels", "graph": {"kind": "monarch", "outer": 64, "inner": 16}},
}  # fmt: skip
H100 = {"extends": "h100-sxm", "devices": {"gpu": {"engines": {"spare": SPARE}}}}
USAGE = {
    "model": {"extends": "opt-6.7b", "layers": 2}, "workload": {"kind": "neuron_usage", "tokens": 12, "span": 2}
}  # fmt: skip
HOT_COLD = {"kind": "hot_cold", "hot": 0.2, "hot_rate": 0.5, "cold_rate": 0.05}
LAW = {"kind": "law", "window": 5, "share": 0.2, "increment": 0.01}


def _with(base: dict[str, Any], workload: dict[str, Any] | None = None, **mapping: Any) -> dict[str, Any]:
    """A scenario with more keys of workload and mapping; of `residency` too, key by key."""
    own = base.get("mapping", {})
    residency = {**own.get("residency", {}), **mapping.pop("residency", {})}
    mapping = {**own, **mapping, **({"residency": residency} if residency else {})}
    return {**base, "mapping": mapping, "workload": {**base.get("workload", {}), **(workload or {})}}


MODES: dict[str, dict[str, Any]] = {
    "batch": _with(GPUS, BATCH),
    "batch, prefill": _with(GPUS, {**BATCH, "phase": "prefill"}),
    "batch, decode": _with(GPUS, {**BATCH, "phase": "decode"}),
    "batch, staged": _with(GPUS, BATCH, pipeline=2, data=2),
    "batch, spread": {
        **_with(GPUS, BATCH, data=2, experts="whole"), "model": {"extends": "mixtral-8x7b", "layers": 2},
        "hardware": {"extends": "dgx-h100", "devices": {"gpu": {"engines": {"spare": SPARE}}}, "links": NODES}},
    "batch, drafted": _with(GPUS, BATCH, draft={"model": "llama-3-8b", "acceptance": 0.7}),
    "batch, dispatched": _with(DUPLEX, BATCH, dispatch="by_op_per_byte"),
    "batch, modelled": _with(GPUS, {**BATCH, "phase": "decode"}, kernels="modelled"),
    "batch, placed": _with(
        GPUS, BATCH, placement=[{"of": "ffn", "in": "host", "amount": "50 %"}], block={"batch": 4, "batches": 2}
    ),
    "batch, spilled": _with(SOCKETS, {**BATCH, "output": 2}, spill="ddr"),
    "open": _with(GPUS, OPEN),
    "open, program": _with(GPUS, OPEN, scheduler={"kind": "vllm-v1"}),
    "open, ranks": {
        **_with(GPUS, {**OPEN, "rate": 2000}, data=2, experts="whole", scheduler={"kind": "vllm-v1"}),
        "model": {"extends": "mixtral-8x7b", "layers": 2},
        "hardware": {"extends": "dgx-h100", "devices": {"gpu": {"engines": {"spare": SPARE}}}, "links": NODES}},
    "closed, program": _with(GPUS, CLOSED, scheduler={"kind": "vllm-v1"}),
    "open, moe": _with(DUPLEX, OPEN),
    "open, dispatched": _with(DUPLEX, OPEN, dispatch="by_op_per_byte", split="greedy"),
    "closed": _with(GPUS, CLOSED),
    "closed, moe": _with(DUPLEX, CLOSED),
    "closed, nodes": {**_with(DUPLEX, CLOSED), "sized": {"nodes": 2}},
    "closed, dispatched": _with(DUPLEX, CLOSED, dispatch="by_op_per_byte", split="greedy"),
    "closed, split": {
        **_with(DUPLEX, CLOSED, engines=["prompts"], answers=["answers"], dispatch="by_op_per_byte", split="greedy"),
        "hardware": {"extends": "duplex-split", "devices.prompts.count": 4, "devices.answers.count": 4}},
    "closed, spread": _with(GPUS, {**CLOSED, "spread": 0.5}),
    "closed, whole layers": _with(LAYERED, {**CLOSED, "output": 3}),
    "experts": _with(COMPOSED, SERVED, memory="hbm", engines=["socket.rdu"], residency={"bytes": "6 GB"}),
    "experts over links": {**_with(GPUS, SERVED, residency={"home": "host", "cache": "gpu.hbm", "bytes": "6 GB"}),
                           "model": COMPOSED["model"]},
    "experts, footprint": {
        **COMPOSED, "workload": {**EXPERTS, "phase": "footprint"}, "mapping": {"residency": {"home": "socket.ddr"}}},
    "experts, footprint of the cache": {
        **COMPOSED, "workload": {**EXPERTS, "phase": "footprint"},
        "mapping": {"residency": {"nodes_by": "cache", "cache": "socket.hbm"}}},
    "lru": _with(PHONE),
    "window": _with(PHONE, {"window": 4}, residency={"policy": "dynamic_window"}),
    "none": _with(PHONE, residency={"policy": "none"}),
    "bytes": _with(PHONE, residency={"room": None, "bytes": "0.8 GB"}),
    "drafted": _with(PHONE, {"drafted": 2, "acceptance": 0.5}),
    "hot and cold": _with(PHONE, {"activity": HOT_COLD, "errors": {"false_positives": 0.02}}),
    "overlapped": _with(PHONE, {"ranks": [[64, 2]]}, residency={"overlap": "layer", "pinned": 0.1}),
    "dense": {**_with(PHONE, {"warm_up": 192, "tokens": 24}), "mapping": {"engines": ["soc.cpu"], "residency": {
        "home": "soc.flash", "cache": "soc.dram", "sparse": False, "resident": 0.2}}},
    "prefill": _with(GPUS, {"kind": "kernels", "graph": {"kind": "pass", "batch": 512, "tokens": 32}}),
    "decode": _with(GPUS, {"kind": "kernels", "graph": {"kind": "pass", "phase": "decode", "batch": 512}}),
    "train": _with(GPUS, {"kind": "kernels", "graph": {"kind": "pass", "phase": "train"}}),
    "training": _with(GPUS, {"kind": "training", "batch": 4, "tokens": 64}),
    "training, placed": _with(
        GPUS, {"kind": "training", "batch": 4, "tokens": 64},
        placement=[{"of": ["optimizer", "gradients"], "in": "host", "amount": "50 %"}]),
    "training, sharded": _with(GPUS, {"kind": "training", "batch": 16, "tokens": 64, "micro_batches": 2}, data=4,
                               sharded="gradients"),
    "monarch": OPERATORS,
    "convolution": {
        "hardware": GPUS["hardware"], "mapping": GPUS["mapping"],
        "workload": {"kind": "kernels", "graph": {"kind": "long_convolution", "factors": [32, 32]}}},
    "counted": {"workload": {"kind": "kernels", "graph": {"kind": "monarch"},
                             "groups": [["gemm0"], ["scale", "transpose"], ["gemm1"]]}},
    "flash reads": {
        "hardware": "m1-max", "mapping": {"residency": {"home": "soc.flash", "cache": "soc.dram"}},
        "workload": {"kind": "flash_reads", "chunk": 5000}},
    "units of banks": {
        "hardware": "duplex-bank-pim", "mapping": {"engines": ["xpu.pim"]}, "workload": {"kind": "engine_figures"}},
    "units of the logic die": {
        "hardware": "duplex-node", "mapping": {"engines": ["xpu.pim"]}, "workload": {"kind": "engine_figures"}},
    "gemm": {"hardware": H100, "workload": {"kind": "operators", "m": 300, "n": 1000, "k": 2000}},
    "attention": {"hardware": H100, "workload": {
        "kind": "operators", "op": "attention_decode", "batch": 3, "heads": 8, "kv_heads": 4, "head_dim": 128,
        "seq_kv": 6400}},
    "moe": {"hardware": H100, "workload": {
        "kind": "operators", "op": "moe_ffn", "m": 300, "n": 1024, "k": 2048, "experts": 16, "top_k": 2,
        "distribution": "power_law_1.2"}},
    "collective": {"hardware": H100, "workload": {
        "kind": "operators", "op": "all_reduce", "bytes": 1e6, "n_devices": 2}},
    "usage": USAGE,
    "usage, hot and cold": _with(USAGE, {"activity": HOT_COLD}),
    "usage, law": _with(USAGE, {"activity": LAW}),
    "routing": {"workload": {
        "kind": "routing", "router": {"kind": "zipf", "experts": 8, "top_k": 2}, "tokens": 16, "draws": 3}},
    "replay": _with(GPUS, {"kind": "replay", "trace": str(Path(__file__).with_name("replay.csv"))},
                    scheduler={"kind": "vllm-v1"}),
}  # fmt: skip
MODES["routing, shared"] = {
    **_with(DUPLEX, MODES["routing"]["workload"], split="greedy", engines=["xpu"]),
}
MODES["routing, shared"]["mapping"].pop("memory")

VALUES: dict[str, list[Any]] = {
    "hardware": ["dgx-a100"],
    "model": ["qwen2-7b"],
    "sized": [{"devices": 2}, {"devices": 4}, {"nodes": 2}, {"scale": 2}],
    "sized.devices": [2],
    "costs": ["silicon"],
    "mapping.dtype": ["fp8", "w4a16", "q6_k", "fp32", "int4"],
    "mapping.compute": ["fp32", "int8"],
    "mapping.activations": ["fp32", "fp8"],
    "mapping.kv": ["fp8", "fp32"],
    "mapping.expert": [2, 4],
    "mapping.placement": [[{"of": "attention", "in": "host"}]],
    "mapping.block": [{"batches": 4}],
    "mapping.block.batch": [2, None],
    "mapping.block.batches": [4],
    "mapping.tensor": [3],
    "mapping.draft": [{"model": "llama-3-8b", "acceptance": 0.5}],
    "mapping.draft.model": ["llama-3-70b"],
    "mapping.draft.accepted_length": [2.5],
    "mapping.calibration": ["h100-sxm.vllm"],
    "mapping.runtime": ["ideal", "gpu-libraries", "flash-neurons", "vllm-2023"],
    "mapping.scheduler.max_sequences": [1, 3],
    "mapping.scheduler.tokens": [16, 64],
    "mapping.scheduler.watermark": [0.5],
    "mapping.kv_store.block": [7],
    "mapping.kv_store.blocks": [160, 80, 12],
    "mapping.scheduler.prompts": [1],
    "mapping.kv_store.link": ["1 GB/s"],
    "mapping.kv_store.link_energy": ["5 pJ/bit"],
    "mapping.kv_store.swap": ["host"],
    "mapping.scheduler.home": ["host"],
    "mapping.kv_store.tiers": [["host"]],
    "mapping.residency.links": [1],
    "mapping.residency.threads": [2],
    "mapping.residency.bytes": ["4.5 GB", "200 GB", "0.75 GB", "3 GB"],
    "mapping.residency.home_bytes": ["4 GB", "4 TB"],
    "mapping.residency.share": [0.9],
    "mapping.residency.room": [0.2, 0.05],
    "mapping.residency.resident": [0.5],
    "mapping.residency.matrix_dtype": ["fp32"],
    "mapping.residency.window": [2],
    "mapping.residency.pinned": [0.25],
    "mapping.residency.split": [3],
    "workload.ttft": ["1 ms", "1 us"],
    "workload.tpot": ["1 us"],
    "workload.trace": [{"kind": "zipf", "exponent": 1.2}],
    "workload.expert_bytes": ["1 GB"],
    "workload.kv_tokens": [100000],
    "workload.bundle": [1],
    "workload.scales": [0.5],
    "workload.ranks": [[[64, 2]], [[32, 1], [64, 1]]],
    "workload.share_by_layer": [[0.1, 0.3]],
    "workload.activity": [HOT_COLD, LAW],
    "workload.errors": [{"false_positives": 0.1}, {"false_positives": 0.01}],
    "workload.groups": [[["gemm0"], ["scale"], ["transpose"], ["gemm1"]]],
    "workload.scale": [4, 1],
    "workload.op": ["softmax", "attention_decode"],
    "workload.window": [2],
    "workload.chunk": ["10000 B"],
    "workload.rounds": [3],
    "workload.spread": [0.6],
    "workload.part": ["tsvs"],
    "workload.dtype": ["int8", "bf16"],
    "workload.in_dram": [{"energy_per_flop": "1 pJ/FLOP", "area": 0.5, "beside": "duplex-node"}],
    "workload.graph": [{"kind": "long_convolution"}],
    "workload.graph.factors": [[16, 16]],
    "workload.router": [{"kind": "dirichlet", "experts": 8, "top_k": 2}],
    "workload.drafted": [3],
    "workload.optimizer": ["sgd"],
    "workload.acceptance": [0.9],
    "workload.calibration": [{"model": "llama-2-7b", "expert_time": {"sn40l-node": {1: "1 ms", 4: "2 ms"}}}],
}  # fmt: skip
"""Of keys whose type does not say another value."""

OF_OPERATORS: dict[str, list[Any]] = {
    "mapping.engines": [["gpu.spare"]], "workload.dtype": ["fp8"], "workload.m": [16, 5000], "workload.n": [64, 9000],
    "workload.k": [128, 9000], "workload.batch": [7], "workload.heads": [64], "workload.kv_heads": [2],
    "workload.head_dim": [64], "workload.seq_q": [9], "workload.seq_kv": [99000], "workload.window": [64],
    "workload.kv_dtype": ["fp8"], "workload.experts": [64], "workload.top_k": [1], "workload.tp": [2],
    "workload.ep": [2], "workload.distribution": ["power_law_1.2", "balanced"], "workload.seed": [5],
    "workload.bytes": ["2 MB"],
    "workload.n_devices": [4], "workload.nodes": [2], "mapping.calibration": ["nowhere"],
}  # fmt: skip
"""Of the keys of one operator."""

BESIDE: dict[str, dict[str, Any]] = {
    "workload.shared": {"mapping.kv_store.kind": "prefix", "workload.input": 64, "workload.spread": 0.1},
    "mapping.scheduler.order": {"mapping.scheduler.max_sequences": 1, "workload.spread": 0.5, "workload.rate": 4000.0},
    "mapping.scheduler.ahead": {"workload.spread": 0.5},
    "workload.rounds": {"workload.spread": 0.5},
    "mapping.scheduler.replicas": {"workload.rate": 400.0},
    "mapping.kv_store.block": {"mapping.kv_store.blocks": 80},
    "mapping.residency.group": {"mapping.residency.bytes": "3 GB"},
    "mapping.residency.nodes_by": {"mapping.residency.bytes": "3 GB"},
    "workload.phase": {"mapping.residency.home": "socket.ddr", "mapping.residency.cache": "socket.hbm"},
    "mapping.residency.inclusive": {"mapping.residency.home_bytes": "4 GB"},
    "mapping.residency.packed": {"mapping.dtype": "q6_k"},
    "mapping.spill_order": {"hardware.devices.socket.tiers.sram.capacity": "100 MB"},
}  # fmt: skip
"""What else a scenario must have for a key to matter: how much there is, no other key that it needs."""


def keys(base: Scenario) -> Iterator[str]:
    """The paths of all keys of a scenario: parts, and keys of all its sections, but for what chooses a form."""
    for key in type(base).model_fields:
        if key in ("sized", "costs"):
            yield key
        elif key in ("mapping", "workload"):
            yield from _inside(key, getattr(base, key))


def _inside(at: str, section: BaseModel) -> Iterator[str]:
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield from _inside(f"{at}.{key}", value)
        if key != "kind" and not (isinstance(value, BaseModel) and f"{at}.{key}" not in VALUES):
            yield f"{at}.{key}"


def others(base: Scenario, path: str) -> list[Any]:
    """Values of a key that are not the one it has: from the table, by the names that are known, by its type."""
    at, _, key = path.rpartition(".")
    section = value_at(base, at) if at else base
    has = getattr(section, key)
    if isinstance(base.workload, Operators) and path in OF_OPERATORS:
        return OF_OPERATORS[path]
    if isinstance(base.workload, Requests | Replay) and path == "workload.trace":
        return ["nowhere.csv"]
    if path in VALUES:
        return VALUES[path]
    known = _names(base).get(path)
    if known is not None:
        own = has[0] if isinstance(has, tuple) and has else has
        return [name for name in dict.fromkeys(known) if name not in (own, _all(base, path))]
    types = list(_parts(type(section).model_fields[key].rebuild_annotation()))
    literals = [name for each in types if get_origin(each) is Literal for name in get_args(each)]
    if literals:
        return [name for name in literals if name != has]
    if bool in types:
        return [not has]
    if int in types:
        return [2 * has if has else 1, *([has // 2] if has and has > 1 else [])]
    if float in types:
        return [has / 2, 1.5 * has] if has else [0.1]
    raise AssertionError(f"{path}: no other value than {has} is known")


def _all(base: Scenario, path: str) -> int | None:
    """The devices that a machine has, which it takes where a mapping says none."""
    system = machine(base) if path == "mapping.devices" and base.hardware else None
    return system.count(system.device()[0]) if system else None


def _names(base: Scenario) -> dict[str, list[Any]]:
    kind = registered("evaluator", base.workload.kind)
    registry = {path: names(each) for path, each in kind.kinds.items()}
    system = machine(base) if base.hardware else None
    tiers = list(system.tiers) if system else ["soc.flash"]
    engines = list(system.engines) if system else ["soc.cpu"]
    inside = list(dict.fromkeys(name.rpartition(".")[2] for name in tiers))
    return {
        "mapping.devices": [1, 2, 4], "mapping.dispatch": ["static_by_layer", *names("dispatch")],
        "mapping.split": names("split"), "mapping.spill_order": list(ORDERS),
        "mapping.residency.policy": ["lfu"], "mapping.engines": engines, "mapping.answers": engines,
        "mapping.residency.manager": engines, "mapping.residency.home": tiers, "mapping.residency.cache": tiers,
        "mapping.memory": inside, "mapping.spill": inside, "workload.router": list(ROUTERS), **registry,
    }  # fmt: skip


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    if get_origin(annotation) is not Literal:
        for each in get_args(annotation):
            yield from _parts(each)


@cache
def scenario(mode: str) -> Scenario:
    """The scenario of a mode."""
    return checked(Scenario, MODES[mode])
