"""Measured times stand for what they were measured on, and for nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.scenario.calibration import Calibration
from simulator.scenario.form import Scenario

MEASURED = Calibration.model_validate({"model": "llama-2-7b", "expert_time": {"dgx-a100": {"20": "136.65 ms"}}})


def asked(**parts: Any) -> Scenario:
    plain = {"hardware": "dgx-a100", "model": "llama-2-7b", "workload": {"kind": "expert_models"}}
    return Scenario.model_validate({**plain, **parts})


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"hardware": {"extends": "dgx-a100", "links.gpu<->gpu.bandwidth": 1e11}},
        {"hardware": {"extends": {"extends": "dgx-a100"}}},
        {"mapping": {"residency": {"policy": "fifo"}}},
    ],
)
def test_a_time_is_that_of_its_machine_and_tokens(parts: dict[str, Any]) -> None:
    assert MEASURED.seconds(asked(**parts), 20) == pytest.approx(0.13665)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"model": "llama-2-70b"}, "model: found 'llama-2-70b', expected 'llama-2-7b', with which times were measured"),
        ({"model": {"extends": "llama-2-7b", "layers": 3}}, "model: found 'layers', expected 'llama-2-7b'"),
        (
            {"hardware": {"extends": "dgx-a100", "devices.gpu.count": 4}},
            "hardware.devices.gpu.count: found 'devices.gpu.count', expected the machine on which times were measured",
        ),
        ({"hardware": "dgx-h100"}, "workload.calibration.expert_time.dgx-h100.20: found nothing, expected a time"),
        ({"sized": {"devices": 4}}, "sized: found another, expected a machine of its own size beside measured times"),
        ({"mapping": {"dtype": "fp8"}}, "mapping.dtype: found a value, expected none beside measured times"),
    ],
)
def test_what_was_not_measured_is_refused_with_a_way_out(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message) + ".*or no calibration"):
        MEASURED.seconds(asked(**parts), 20)


def test_tokens_that_were_not_measured_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expert_time\.dgx-a100\.21: found nothing"):
        MEASURED.seconds(asked(), 21)
