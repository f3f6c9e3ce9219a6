"""Steps of training of a small model on a GPU with a CPU beside it."""

from __future__ import annotations

from typing import Any

from simulator.mapping.training.step import TrainingStep
from simulator.scenario.evaluate import read_scenario
from simulator.scenario.evaluators.training import Training, training_step

FLASH = {"kind": "flash", "capacity": "4 TB", "bandwidth": "6 GB/s", "write_bandwidth": "5 GB/s"}
MACHINE: dict[str, Any] = {
    "extends": "xeon-6454s-rtx4090", "tiers": {"nvme": FLASH}, "links": {"nvme<->cpu.dram": {"bandwidth": "7 GB/s"}}
}  # fmt: skip
MODEL: dict[str, Any] = {"extends": "llama-2-7b", "layers": 4}
CPU = {"of": "optimizer", "in": "cpu.dram", "by": "cpu.cpu"}
GRADIENTS = {"of": "gradients", "in": "cpu.dram"}


def scenario(*rules: dict[str, Any], model: Any = MODEL, hardware: Any = MACHINE, **work: Any) -> dict[str, Any]:
    placement = {"placement": list(rules)} if rules else {}
    mapping = {**({"engines": ["gpu.gpu"]} if hardware is MACHINE else {}), **placement}
    workload = {"kind": "training", "batch": 2, "tokens": 256, **work}
    return {"hardware": hardware, "model": model, "mapping": mapping, "workload": workload}


def step(*rules: dict[str, Any], **keys: Any) -> TrainingStep:
    asked = read_scenario(scenario(*rules, **keys))
    assert isinstance(asked.workload, Training)
    return training_step(asked, asked.workload)
