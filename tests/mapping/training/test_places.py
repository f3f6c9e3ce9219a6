"""Rules of training: what they cannot say is refused by number and key, and serving refuses what training keeps."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.scenario.evaluate import evaluate
from tests.mapping.training.cases import MACHINE, MODEL, step

ONE_WAY = {**MACHINE, "links": {"nvme->cpu.dram": {"bandwidth": "7 GB/s"}}}
HOST = {"in": "cpu.dram"}


@pytest.mark.parametrize(
    ("rule", "key", "text"),
    [
        ({"of": "kv", **HOST}, "of", "nothing that training keeps"),
        ({"of": "draft", **HOST}, "of", "nothing that training keeps"),
        ({"of": "experts", **HOST}, "of", "expected one of ffn"),
        ({"of": "optimizer", "layers": "0-1", **HOST}, "layers", "an amount"),
        ({"of": "optimizer", "phase": "decode", **HOST}, "phase", "neither prefill nor decode"),
        ({"of": "optimizer", "in": "interleaved"}, "in", "a tier"),
        ({"of": "gradients", "by": "cpu.cpu", **HOST}, "by", "the optimizer alone"),
        ({"of": ["gradients", "optimizer"], "use": "read", **HOST}, "use", "the optimizer alone"),
        ({"of": "optimizer", "in": "cpu.drum"}, "in", "did you mean 'cpu.dram'"),
        ({"of": "optimizer", "in": "nvme", "use": "read"}, "use", "flash"),
    ],
)
def test_a_rule_that_cannot_be_is_told_by_its_number_and_key(rule: dict[str, Any], key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        step({"of": "activations", **HOST}, rule)
    assert tuple(error.value.path or ()) == ("mapping", "placement", 1, key)


def test_a_tier_that_no_link_leads_to_takes_nothing_that_is_written() -> None:
    rule = {"of": "optimizer", "in": "nvme", "by": "cpu.cpu"}
    with pytest.raises(ConfigError, match=r"no link leads from cpu\.dram to nvme") as error:
        step(rule, hardware=ONE_WAY)
    assert tuple(error.value.path or ()) == ("mapping", "placement", 0, "in")


@pytest.mark.parametrize("part", ["optimizer", "gradients"])
def test_a_batch_refuses_what_training_keeps(part: str) -> None:
    mapping = {"engines": ["gpu.gpu"], "placement": [{"of": part, **HOST}]}
    with pytest.raises(ConfigError, match="kind: training") as error:
        evaluate({"hardware": MACHINE, "model": MODEL, "mapping": mapping, "workload": {"kind": "batch"}})
    assert tuple(error.value.path or ()) == ("mapping", "placement", 0, "of")
