"""Whatever number stands for a figure: every number that leaves is finite, or a message of one line says why not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from simulator import data
from tests.cli.conftest import CHIP, Told

EXTREMES: list[Any] = [
    0, -1, 1e-320, 1e-300, 1e-30, 1e30, 1e300, 1e308, 10**12, 10**400, math.nan, math.inf, -math.inf, True, None, [],
    [1], "x", "1e999 GB/s", "1e-400 s", "1 B/s", "", {},
]  # fmt: skip

ANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def paths(tree: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All figures of a config, by their keys; sections too."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inside for place in [(*path, key), *paths(value, (*path, key))]]


def replaced(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy with a value at a path."""
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = replaced(tree[path[0]], path[1:], value)
    return copy


def check_said(told: Told) -> None:
    """Finite numbers, or a mistake that is told; never a traceback."""
    if told.code == 0:
        known = told.json if isinstance(told.json, dict) else {}
        assert all(known[name] is not None for name in ("ttft_s", "tbt_s", "e2e_s", "tokens_per_s") if name in known)
    else:
        assert told.code == 2, (told.err, told.exception)
        assert told.err.startswith("error: ") or "Invalid value" in told.err
        assert "Traceback" not in told.err


def shipped(name: str, folder: str) -> Any:
    return yaml.safe_load(data.find(name, folder).read_text(encoding="utf-8"))


CHIP_TREE = yaml.safe_load(CHIP)
MACHINES = [CHIP_TREE, shipped("sn40l-node", "hwconfigs"), shipped("duplex-h100", "hwconfigs")]
MODEL = shipped("mixtral-8x7b", "workloads/models")


def written(tree: Any) -> str:
    return yaml.safe_dump(tree, allow_unicode=True)


PLACES = [(machine, path) for machine, tree in enumerate(MACHINES) for path in paths(tree)]
HBM = ("devices", "chip", "tiers", "hbm")


@ANY
@given(st.sampled_from(PLACES), st.sampled_from(EXTREMES))
@example((0, (*HBM, "bandwidth")), 1e-300)
@example((0, (*HBM, "bandwidth")), 1e-30)
@example((0, (*HBM, "capacity")), 10**400)
@example((0, ("devices", "chip", "engines", "core", "peak", "bf16")), 1e-320)
@example((0, ("devices", "chip", "engines", "core", "kind")), None)
def test_any_number_in_a_machine_gives_finite_figures_or_a_message(run, write, place, value) -> None:
    machine, path = place
    write("machine.yaml", written(replaced(MACHINES[machine], path, value)))
    check_said(run("estimate", "--hardware", "machine.yaml", "--model", "llama-3.1-8b", "--json"))


@ANY
@given(st.sampled_from(paths(MODEL)), st.sampled_from(EXTREMES))
def test_any_number_in_a_model_gives_finite_figures_or_a_message(run, write, path, value) -> None:
    write("model.yaml", written(replaced(MODEL, path, value)))
    check_said(run("estimate", "--hardware", "dgx-h100", "--model", "model.yaml", "--json"))


LLAMA = {
    "model_type": "qwen2", "hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8, "vocab_size": 1000,
    "num_key_value_heads": 8, "intermediate_size": 4096, "max_position_embeddings": 4096, "use_sliding_window": True,
    "sliding_window": 128, "max_window_layers": 2, "quantization_config": {"quant_method": "awq", "bits": 4},
}  # fmt: skip


@ANY
@given(st.sampled_from(paths(LLAMA)), st.sampled_from(EXTREMES))
@example(("num_hidden_layers",), 10**6)
@example(("num_hidden_layers",), 10**9)
def test_any_number_in_a_config_json_gives_finite_figures_or_a_message(run, write, path, value) -> None:
    write("config.json", json.dumps(replaced(LLAMA, path, value)))
    check_said(run("estimate", "--hardware", "dgx-h100", "--model", "config.json", "--json"))


OPTIONS: dict[str, tuple[str, ...]] = {
    "estimate": ("--batch", "--input", "--output", "--devices", "--pipeline", "--data", "--drafted", "--acceptance",
                 "--accepted-length"),
    "roofline": ("--batch", "--context", "--devices"),
    "kernels": ("--batch", "--context", "--devices"),
}  # fmt: skip


@ANY
@given(
    st.sampled_from([(command, option) for command in OPTIONS for option in OPTIONS[command]]),
    st.sampled_from([str(each) for each in EXTREMES]),
)
@example(("estimate", "--batch"), str(10**400))
@example(("roofline", "--context"), str(10**400))
@example(("estimate", "--acceptance"), "nan")
def test_any_number_in_an_option_gives_finite_figures_or_a_message(run, place, value: str) -> None:
    command, option = place
    draft = ("--draft", "llama-3.1-8b") if option.startswith(("--acc", "--dra")) else ()
    check_said(run(command, "--hardware", "dgx-h100", "--model", "llama-3.1-8b", option, value, *draft, "--json"))


SWEEP: dict[str, Any] = {
    "title": "x",
    "base": {
        "hardware": "machine.yaml", "model": "llama-3.1-8b", "workload": {"batch": 1, "input": 8, "output": 4},
        "mapping": {"devices": 2},
    },
    "axes": {
        "hardware.devices.chip.tiers.hbm.bandwidth": ["1 TB/s", "2 TB/s"],
        "workload.batch": {"geomspace": [1, 4, 3]}, "workload.input": {"range": [1, 9, 4]},
    },
    "derived": {"cost": "workload.batch * 2"},
    "objectives": {"time_s": "min"},
}  # fmt: skip


@ANY
@given(st.sampled_from(paths(SWEEP)), st.sampled_from(EXTREMES))
def test_any_number_in_a_sweep_is_good_or_has_a_message(run, write, path, value) -> None:
    write("machine.yaml", CHIP)
    write("sweep.yaml", written(replaced(SWEEP, path, value)))
    check_said(run("check", "sweep.yaml", "--json"))


@pytest.mark.parametrize("command", ["search", "optimise", "sensitivity"])
@pytest.mark.parametrize("seed", ["-1", str(10**400), "nan", "1.5"])
def test_a_seed_out_of_bounds_has_a_message(run, command: str, seed: str) -> None:
    told = run(command, "sweep.yaml", "--seed", seed)
    assert (told.code, told.exception.__class__) == (2, SystemExit)
    assert "--seed" in told.err


@pytest.mark.parametrize("kind", ["5", "null", "[]", "{}", "true", "x"])
@pytest.mark.parametrize("file", ["a.yaml", "experiment.yaml", "sweep.yaml"])
def test_any_kind_has_a_message(run, write: Callable[[str, str], Path], kind: str, file: str) -> None:
    write(file, f"kind: {kind}\ntitle: x\n")
    check_said(run("check", file))
