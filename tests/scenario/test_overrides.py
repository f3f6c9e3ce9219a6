"""What replaces a value of a scenario is of what it has; nothing is passed over."""

from __future__ import annotations

from typing import Any

import pytest

import simulator
from simulator import evaluate, load_model, load_system
from simulator.errors import ConfigError

BATCH: dict[str, Any] = {
    "hardware": "dgx-h100",
    "model": "llama-3.1-8b",
    "workload": {"kind": "batch", "input": 64, "output": 16},
}


@pytest.mark.parametrize(
    ("override", "told"),
    [("foo.bar=2", "foo"), ("label=2", "label"), ("workloads.batch=2", "did you mean 'workload'")],
)
def test_an_override_of_no_part_of_a_scenario_is_refused(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match="no such part of a scenario") as error:
        evaluate(BATCH, [override])
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("part", "loaded", "override"),
    [("hardware", load_system, "hardware.nodes=2"), ("model", load_model, "model.layers=2")],
)
def test_a_figure_of_what_is_loaded_is_not_replaced(part: str, loaded: Any, override: str) -> None:
    with pytest.raises(ConfigError, match="the override comes too late"):
        evaluate({**BATCH, part: loaded(BATCH[part])}, [override])


def test_requests_on_what_is_loaded_are_those_on_what_is_named() -> None:
    asked = {**BATCH, "workload": {"kind": "requests", "rate": 1, "input": 64, "output": 16, "requests": 50}}
    loaded = {**asked, "hardware": load_system("dgx-h100"), "model": load_model("llama-3.1-8b")}
    assert evaluate(loaded).metrics == evaluate(asked).metrics


@pytest.mark.parametrize("part", ["hardware", "model"])
@pytest.mark.parametrize("extends", [3, None, ["dgx-h100"]])
def test_a_part_extends_a_name(part: str, extends: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{part}\.extends: .*expected a name or a path"):
        evaluate({**BATCH, part: {"extends": extends}})


def test_estimate_takes_overrides_of_the_whole_scenario() -> None:
    by_name = simulator.estimate("dgx-h100", "llama-3.1-8b", 4, devices=2)
    overrides = ["workload.batch=4", "mapping.devices=2"]
    assert simulator.estimate("dgx-h100", "llama-3.1-8b", overrides=overrides).times == by_name.times
