"""How many devices a machine has for a model, and what a model can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import evaluate
from simulator.errors import ConfigError
from simulator.scenario.evaluate import detailed, read_scenario
from simulator.scenario.parts import scaled


@pytest.mark.parametrize(
    ("nodes", "devices", "scale", "expected"),
    [(1, 4, 1, (1, 4)), (1, 4, 2, (1, 8)), (1, 8, 2, (2, 8)), (2, 8, 2, (4, 8)), (1, 2, 8, (2, 8))],
)
def test_a_node_is_filled_before_there_are_more(
    nodes: int, devices: int, scale: int, expected: tuple[int, int]
) -> None:
    assert scaled(nodes, devices, scale) == expected


TOWER = {
    "name": "tower", "family": "test", "layers": 2, "hidden": 64, "max_context": 10_000,
    "attention": {"heads": 8, "kv_heads": 8, "head_dim": 8, "bidirectional": True},
    "ffn": {"intermediate": 128, "matrices": 2, "activation": "gelu"}, "norm": {"kind": "layer"},
    "positions": {"kind": "none"}, "patches": {"size": 14}, "projector": {"merge": 4, "widths": [96]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("workload", "path"),
    [({"kind": "batch"}, "workload.phase: found 'request', expected 'prefill'"), ({"kind": "requests"}, "model: ")],
)
def test_a_tower_of_images_decodes_nothing(workload: dict[str, str], path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        evaluate({"hardware": "dgx-h100", "model": TOWER, "workload": workload})


@pytest.mark.parametrize(
    ("mapping", "workload", "path"),
    [({"kv": "fp8"}, {}, r"mapping\.kv: tower, .*: found 'fp8'"), ({}, {"output": 20}, "workload.output: tower, ")],
)
@pytest.mark.parametrize("ask", [evaluate, lambda asked: detailed(read_scenario(asked))], ids=["metrics", "detail"])
def test_a_tower_of_images_has_no_answers_and_keeps_no_keys(
    ask: Callable[[Any], Any], mapping: dict[str, Any], workload: dict[str, Any], path: str
) -> None:
    work = {"kind": "batch", "phase": "prefill", "input": 1024, **workload}
    with pytest.raises(ConfigError, match=path):
        ask({"hardware": "dgx-h100", "model": TOWER, "mapping": {"devices": 1, **mapping}, "workload": work})


def test_images_are_a_batch_whose_time_grows_with_them() -> None:
    asked = {"hardware": "dgx-h100", "model": TOWER, "mapping": {"devices": 1}}
    work = {"kind": "batch", "phase": "prefill", "input": 4096}
    few, many = (evaluate(asked | {"workload": work | {"batch": batch}}).metrics for batch in (64, 128))
    assert few["ttft_s"] < many["ttft_s"] <= 2 * few["ttft_s"]
    assert many["needed_bytes"] < few["needed_bytes"] * 2
