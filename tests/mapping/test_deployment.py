"""Which devices hold which experts, and which deployments there cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.workload import load_model
from tests.deployed import deployment

# groups of devices with different experts, and devices that each expert is cut over: whole, tensor
GROUPS: dict[tuple[int, int, str], tuple[tuple[int, int], tuple[int, int]]] = {
    (1, 4, "mixtral-8x7b"): ((4, 1), (1, 4)),
    (1, 8, "mixtral-8x7b"): ((8, 1), (1, 8)),
    (2, 8, "mixtral-8x7b"): ((8, 2), (2, 8)),
    (4, 8, "mixtral-8x7b"): ((8, 4), (4, 8)),
    (1, 4, "glam-143b"): ((4, 1), (1, 4)),
    (1, 8, "glam-143b"): ((8, 1), (1, 8)),
    (2, 8, "glam-143b"): ((16, 1), (2, 8)),
    (4, 8, "glam-143b"): ((32, 1), (4, 8)),
    (1, 4, "llama-2-7b"): ((1, 4), (1, 4)),
}


def deployed(nodes: int, devices: int, model: str = "mixtral-8x7b", machine: str = "duplex-node", **how: Any) -> Any:
    return deployment(
        load_system(machine, [f"nodes={nodes}", f"devices.xpu.count={devices}"]), load_model(model), **how
    )


@pytest.mark.parametrize(("nodes", "devices", "model"), GROUPS)
def test_experts_are_spread_over_devices_or_cut_over_those_of_a_node(nodes: int, devices: int, model: str) -> None:
    for experts, expected in zip(("whole", "tensor"), GROUPS[nodes, devices, model], strict=True):
        found = deployed(nodes, devices, model, experts=experts)
        assert (found.groups, found.expert_ways) == expected


@given(
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.sampled_from(["whole", "tensor"]),
    st.booleans(),
)
def test_all_devices_hold_experts_and_each_as_many(nodes: int, devices: int, experts: Any, many: bool) -> None:
    found = deployed(nodes, devices, "glam-143b" if many else "mixtral-8x7b", experts=experts)
    assert found.groups * found.expert_ways == nodes * devices
    assert (64 if many else 8) % found.groups == 0


def test_engines_are_those_of_one_node_over_one_and_the_same_system() -> None:
    found = deployed(2, 8)
    assert [engine.name for engine in found.engines] == ["xpu.xpu", "xpu.pim"]
    assert (found.high.name, found.low.name, found.nodes) == ("xpu.xpu", "xpu.pim", 2)
    assert found.shares_memory
    assert {engine.ways for engine in found.engines} == {8}
    assert found.high.system is found.low.system
    assert found.system.count("xpu") == 16
    (alone,) = deployed(1, 4, engines=("xpu.pim",)).engines
    assert alone.name == "xpu.pim"
    first, second = deployed(1, 4, engines=("xpu.pim", "xpu.xpu")).engines
    assert (first.name, second.name) == ("xpu.pim", "xpu.xpu")


def test_high_and_low_are_told_by_the_ridge_and_not_by_their_place() -> None:
    found = deployed(1, 4, engines=("xpu.pim", "xpu.xpu"))
    assert (found.high.name, found.low.name) == ("xpu.xpu", "xpu.pim")
    apart = deployment(load_system("duplex-hetero"), load_model("mixtral-8x7b"))
    assert (apart.high.name, apart.low.name, apart.shares_memory) == ("gpu.gpu", "pim.pim", False)
    assert (apart.groups, apart.expert_ways) == (2, 1)  # on the devices of low Op/B alone
    only = deployed(1, 4, machine="duplex-h100")
    assert only.high is only.low
    assert only.shares_memory


@pytest.mark.parametrize(
    ("nodes", "devices", "model", "how"),
    [(1, 3, "mixtral-8x7b", "whole"), (3, 4, "mixtral-8x7b", "whole"), (3, 8, "glam-143b", "tensor"),
     (1, 12, "mixtral-8x7b", "whole"), (5, 2, "glam-143b", "whole")],
)  # fmt: skip
def test_experts_that_do_not_divide_are_refused(nodes: int, devices: int, model: str, how: Any) -> None:
    with pytest.raises(
        ConfigError, match=rf"^experts: found \d+ groups of {nodes * devices} devices, .* experts of {model}"
    ):
        deployed(nodes, devices, model, experts=how)
    deployed(1, 4, "llama-2-7b", experts=how)  # which has none


@pytest.mark.parametrize(
    ("machine", "engines"), [("duplex-node", ("xpu.xpu",)), ("duplex-hetero", ()), ("duplex-h100", ())], ids=str
)
def test_a_split_needs_two_engines_over_one_memory(machine: str, engines: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^split: found 'greedy' with .*, expected two engines over one memory"):
        deployment(load_system(machine), load_model("mixtral-8x7b"), engines, split="greedy")
    assert deployed(1, 4, split="greedy").split == "greedy"


@pytest.mark.parametrize(
    ("name", "message"),
    [("xpu.pin", "engines.0: .*found 'xpu.pin', expected one of xpu.xpu, xpu.pim; did you mean 'xpu.pim'"),
     ("gpu.pim", "found 'gpu.pim', expected .*did you mean 'xpu.pim'"), ("xpu.", "found 'xpu.', expected one of")],
)  # fmt: skip
def test_an_engine_that_there_is_not_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        deployed(1, 4, engines=(name,))
