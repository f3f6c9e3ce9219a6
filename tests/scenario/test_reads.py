"""What the mode of a kind of workload does not read is refused by its name, in a scenario and in a study."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from simulator.config.path import checked
from simulator.errors import ConfigError
from simulator.mapping.form import MappingForm, Residency
from simulator.registry import names, registered
from simulator.scenario.cases import with_values
from simulator.scenario.form import Scenario
from simulator.scenario.reads import check_read, silent, unread
from simulator.study.problem import problem

PHONE = {
    "hardware": "phone-ufs4", "model": {"extends": "opt-6.7b", "layers": 2},
    "mapping": {"engines": ["soc.cpu"], "residency": {
        "home": "soc.flash", "cache": "soc.dram", "manager": "soc.cpu", "room": 0.3,
    }}, "workload": {"kind": "sparse_flash", "warm_up": 8, "tokens": 4},
}  # fmt: skip
SN40L = {
    "hardware": "sn40l-node", "model": "llama-2-7b",
    "mapping": {"residency": {"home": "socket.ddr", "cache": "socket.hbm"}},
    "workload": {"kind": "expert_models", "output": 4, "batch": 4},
}  # fmt: skip
H100 = {"hardware": "dgx-h100", "model": {"extends": "llama-3-8b", "layers": 4}, "mapping": {}}
MOE = {"hardware": "duplex-node", "model": {"extends": "mixtral-8x7b", "layers": 2}, "mapping": {}}
SERVED = {"kind": "requests", "requests": 40, "rounds": 2, "batch": 4, "output": 8, "input": 64}
OPEN = {key: value for key, value in SERVED.items() if key not in ("batch", "rounds")} | {"rate": 20}
CLOSED = {key: value for key, value in SERVED.items() if key != "requests"} | {"loop": "closed"}


def _sparse(**more: Any) -> dict[str, Any]:
    keeps = {**PHONE["mapping"]["residency"], **more.pop("residency", {})}
    return {
        **PHONE,
        "mapping": {**PHONE["mapping"], "residency": keeps},
        "workload": {**PHONE["workload"], **more},
    }


DENSE = {**PHONE, "mapping": {"engines": ["soc.cpu"], "residency": {
    "home": "soc.flash", "cache": "soc.dram", "sparse": False, "resident": 0.2}}, "workload": {
    "kind": "sparse_flash", "tokens": 4}}  # fmt: skip
MODES: dict[str, dict[str, Any]] = {
    "batch": {**H100, "workload": {"kind": "batch"}},
    "open": {**H100, "workload": OPEN},
    "open-moe": {**MOE, "workload": OPEN},
    "closed": {**H100, "workload": CLOSED},
    "closed-moe": {**MOE, "workload": CLOSED},
    "service": SN40L,
    "footprint": {**SN40L, "workload": {"kind": "expert_models", "phase": "footprint"}},
    "lru": _sparse(),
    "window": _sparse(residency={"policy": "dynamic_window"}),
    "dense": DENSE,
    "prefill": {**H100, "workload": {"kind": "kernels", "graph": {"kind": "pass"}}},
    "monarch": {"hardware": "sn40l-node", "workload": {"kind": "kernels", "graph": {"kind": "monarch"}}},
    "counted": {"workload": {"kind": "kernels", "graph": {"kind": "monarch"}, "groups": [["gemm0"], ["gemm1"]]}},
    "flash_reads": {"hardware": "m1-max", "mapping": {"residency": {"home": "soc.flash", "cache": "soc.dram"}},
                    "workload": {"kind": "flash_reads"}},
    "engine_figures": {"hardware": "duplex-bank-pim", "workload": {"kind": "engine_figures"}},
    "gemm": {"hardware": "h100-sxm", "workload": {"kind": "operators", "m": 8, "n": 8, "k": 8}},
    "decode": {"hardware": "h100-sxm", "workload": {
        "kind": "operators", "op": "attention_decode", "batch": 1, "heads": 8, "head_dim": 128, "seq_kv": 64}},
    "collective": {"hardware": "h100-sxm", "workload": {
        "kind": "operators", "op": "all_reduce", "bytes": 1e6, "n_devices": 2}},
    "neuron_usage": {"model": {"extends": "opt-6.7b", "layers": 2},
                     "workload": {"kind": "neuron_usage", "tokens": 8, "span": 2}},
    "hot_cold": {"model": {"extends": "opt-6.7b", "layers": 2}, "workload": {
        "kind": "neuron_usage", "tokens": 8, "span": 2,
        "activity": {"kind": "hot_cold", "hot": 0.2, "hot_rate": 0.5, "cold_rate": 0.05}}},
    "routing": {"workload": {"kind": "routing", "router": {"kind": "uniform", "experts": 8, "top_k": 2}, "tokens": 16}},
}  # fmt: skip
MAPPING: dict[str, Any] = {
    "devices": 1, "engines": ["gpu"], "answers": ["xpu.pim"], "tensor": 2, "pipeline": 2, "data": 2, "expert": 2,
    "experts": "tensor", "expert_reduces": 2, "split": "greedy", "split_by": "peak", "migrate": True,
    "dispatch": "oracle", "together": True, "memory": "sram", "spill": "host", "spill_order": "weights_last",
    "dtype": "fp8", "kv": "fp8", "activations": "fp32", "compute": "fp32", "fusion": "unfused",
    "draft": {"model": "llama-3-8b", "acceptance": 0.7}, "scheduler": {"max_sequences": 1},
}  # fmt: skip
RESIDENCY: dict[str, Any] = {
    "home": "nowhere.tier", "cache": "nowhere.tier", "policy": "lfu", "links": 1, "manager": "nowhere.engine",
    "threads": 1, "overlap": "layer", "bytes": "3 GB", "home_bytes": "200 GB", "inclusive": False,
    "router_in_cache": False, "prefetch": "trace", "group": True, "nodes_by": "cache", "share": 0.9, "room": 0.2,
    "sparse": False, "resident": 0.5, "matrix_dtype": "fp32", "window": 2, "pinned": 0.05, "bundled": False,
    "split": 3, "together": "friends", "packed": True, "gathered": False,
}  # fmt: skip
WORK: dict[str, Any] = {
    "batch": 3, "input": 100, "output": 5, "loop": "closed", "requests": 30, "rate": 50, "process": "even",
    "rounds": 3, "spread": 0.5, "scale": 32, "router": "skewed", "seed": 5, "experts": 150, "router_tokens": 3,
    "trace": {"kind": "zipf", "exponent": 1.2}, "expert_bytes": "1 GB", "kv_tokens": 100000, "grows": True, "tokens": 6,
    "warm_up": 6, "traced": "all", "window": 3, "bundle": 1, "scales": 0.5, "ranks": [[64, 2]], "drafted": 2,
    "acceptance": 0.5, "share": 0.2, "exponent": 0.7, "share_by_layer": [0.1, 0.3], "eager": True,
    "activity": {"kind": "hot_cold", "hot": 0.1, "hot_rate": 0.5, "cold_rate": 0.05},
    "errors": {"false_positives": 0.1}, "groups": [["gemm0", "scale"], ["gemm1"]], "chunk": "8 KiB", "k": 128,
    "n": 128, "rows": 4, "dtype": "int8", "part": "nothing", "span": 3, "fitted_to": 10, "draws": 5, "layers": 2,
    "graph": {"kind": "long_convolution"}, "phase": "decode",
    "in_dram": {"energy_per_flop": "1 pJ/FLOP", "area": 0.5, "beside": "duplex-node"},
    "calibration": None, "op": "softmax", "runtime": "vllm", "m": 16, "heads": 8, "kv_heads": 4, "head_dim": 64,
    "seq_q": 9, "seq_kv": 99, "kv_dtype": "fp8", "top_k": 2, "tp": 2, "ep": 2, "matrices": 2,
    "distribution": "power_law_1.2", "bytes": "2 MB", "n_devices": 4, "nodes": 2,
}  # fmt: skip
"""A value of each key that is no mode's own; `calibration` has tests of its own, with what it refuses beside it."""
KEYS = [
    *(f"mapping.{key}" for key in MAPPING), *(f"mapping.residency.{key}" for key in RESIDENCY), "sized", "costs",
]  # fmt: skip


def keys(mode: str) -> list[str]:
    form = registered("evaluator", MODES[mode]["workload"]["kind"]).form
    return [*KEYS, *(f"workload.{key}" for key in form.model_fields if key not in ("kind", "calibration"))]


def value(path: str) -> Any:
    at, _, key = path.rpartition(".")
    parts = {"sized": {"devices": 2, "scale": 2}, "costs": "silicon"}
    return parts[key] if not at else {"mapping": MAPPING, "mapping.residency": RESIDENCY, "workload": WORK}[at][key]


def test_all_keys_and_kinds_are_tried() -> None:
    assert MAPPING.keys() | {"residency"} == MappingForm.model_fields.keys()
    assert RESIDENCY.keys() == Residency.model_fields.keys()
    ours = {kind for kind in names("evaluator") if registered("evaluator", kind).__module__.startswith("simulator.")}
    assert {mode["workload"]["kind"] for mode in MODES.values()} == ours


@pytest.mark.parametrize("mode", MODES)
def test_what_a_mode_does_not_read_is_refused_by_its_name(mode: str) -> None:
    base = checked(Scenario, MODES[mode])
    assert not silent(base)
    for path in unread(base):
        if path in keys(mode):
            with pytest.raises(ConfigError, match="does not read it") as error:
                check_read(with_values(base, {path: value(path)}))
            at = error.value.path or ()
            assert path == (at if isinstance(at, str) else ".".join(map(str, at)))


@pytest.mark.parametrize("mode", ["engine_figures", "flash_reads", "monarch", "counted", "routing", "neuron_usage"])
def test_costs_are_refused_where_no_metric_is_of_them(mode: str) -> None:
    with pytest.raises(ConfigError, match=r"costs: a workload of kind .* does not read it"):
        checked(Scenario, {**MODES[mode], "costs": "bogus"})


STUDY = {
    "schema": 1, "base": {**{key: MODES["open"][key] for key in ("hardware", "model")}, "workload": OPEN},
    "axes": {"workload.rate": {"values": [10, 20]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"base": {**STUDY["base"], "workload": {**OPEN, "batch": 3}}}, r"base\.workload\.batch: an open loop"),
        ({"axes": {"workload.batch": {"values": [3, 4]}}}, r"axes.*workload\.batch.*: an open loop does not read it"),
    ],
)  # fmt: skip
def test_what_no_point_of_a_study_reads_is_refused_at_its_line(changes: Any, text: str, tmp_path: Any) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}))
    with pytest.raises(ConfigError, match=text):
        problem(path)


def test_what_some_point_reads_may_stand_in_the_base(tmp_path: Any) -> None:
    path = tmp_path / "study.yaml"
    both = {"base": {**STUDY["base"], "workload": {**OPEN, "batch": 3}}, "axes": {"workload.loop": ["open", "closed"]}}
    path.write_text(yaml.safe_dump({**STUDY, **both}))
    assert problem(path).points == 2
