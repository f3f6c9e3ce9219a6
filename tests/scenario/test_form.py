"""A scenario is one form: what it says is read, refused by its key, or written again to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from simulator.config.path import checked
from simulator.errors import ConfigError
from simulator.mapping.form import MappingForm
from simulator.registry import names, registered
from simulator.scenario.cases import with_values
from simulator.scenario.form import Scenario

OTHER: dict[str, Any] = {
    "devices": 2, "engines": ["gpu"], "answers": ["gpu"], "tensor": 2, "pipeline": 2, "context": 2, "data": 2,
    "expert": 2, "parallel": "auto", "experts": "tensor", "expert_reduces": 2, "split": "greedy", "split_by": "peak",
    "migrate": True, "sharded": "weights",
    "dispatch": "oracle", "together": True, "memory": "hbm", "spill": "ddr", "spill_order": "weights_last",
    "placement": "auto", "block": {"batches": 2},
    "dtype": "fp8", "kv": "fp8", "activations": "fp16", "compute": "fp16", "fusion": "unfused",
    "runtime": "vllm", "kernels": "modelled", "calibration": "h100-sxm.vllm",
    "draft": {"model": "llama-3-8b", "acceptance": 0.7}, "residency": {"home": "host"},
    "scheduler": {"max_sequences": 8}, "kv_store": {"block": 32},
}  # fmt: skip
"""A value of each key of the mapping that is not its default."""


def test_every_key_of_the_mapping_has_a_value_here() -> None:
    assert OTHER.keys() == MappingForm.model_fields.keys()


@pytest.mark.parametrize("kind", names("evaluator"))
@pytest.mark.parametrize("key", OTHER)
def test_a_key_that_a_kind_of_workload_does_not_read_is_refused_by_its_name(kind: str, key: str) -> None:
    data = {"workload": {"kind": kind}, "mapping": {key: OTHER[key]}}
    if key in registered("evaluator", kind).mapping:
        assert getattr(checked(Scenario, data).mapping, key) is not None
        return
    with pytest.raises(ConfigError, match="does not read it") as error:
        checked(Scenario, data)
    assert tuple(error.value.path or ()) == ("mapping", key)


@pytest.mark.parametrize("kind", ["requests", "replay"])
def test_rules_of_placement_in_a_service_are_refused_with_what_to_do_instead(kind: str) -> None:
    rule = {"of": "experts", "in": "host", "cache": {"experts": 2}}
    with pytest.raises(ConfigError, match="kind: batch"):
        checked(Scenario, {"workload": {"kind": kind}, "mapping": {"placement": [rule]}})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"workload": {"kind": "batc"}}, "workload.kind: found 'batc', .*; did you mean 'batch'?"),
        ({"workload": {"batch": "many"}}, "workload.batch: found 'many', expected a whole number"),
        ({"workload": 3}, "workload: found 3, expected a mapping"),
        ({"mapping": {"tensorr": 4}}, "mapping.tensorr: unknown key: .*; did you mean 'tensor'?"),
        ({"mapping": {"draft": {"model": "phi-2", "tokens": 0}}}, "mapping.draft.tokens: found 0, expected at least 1"),
        ({"machine": "dgx-h100"}, "machine: unknown key"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_key(data: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        checked(Scenario, data)


def test_a_scenario_written_and_read_is_the_same() -> None:
    figures = {"hardware.devices.gpu.tiers.hbm.bandwidth": 3.35e12 / 3, "model.layers": 16.0}
    values = {"hardware": "dgx-h100", "model": "llama-3.1-8b", "mapping.dtype": "fp8", "workload.batch": 3}
    scenario = with_values(Scenario(), {**values, **figures})
    assert checked(Scenario, yaml.safe_load(yaml.safe_dump(scenario.written()))) == scenario
