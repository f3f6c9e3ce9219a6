"""Which engine runs a model, and how a mapping names it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import data
from simulator.errors import ConfigError
from simulator.hardware import Engine, load_system
from simulator.mapping.deployment import resolve
from simulator.mapping.engines import engine_names
from simulator.mapping.form import MappingForm
from simulator.mapping.target import default_engine, rate_for
from simulator.workload import load_model


def rate(engine: Engine, dtype: str) -> float:
    named = rate_for(engine.peak, dtype)
    return engine.peak[named] if named else 0.0


@pytest.mark.parametrize("name", data.names("hwconfigs"))
def test_no_engine_is_faster_than_the_default_but_beside_one_in_the_memory(name: str) -> None:
    for engines in (device.engines for device in load_system(name).machine.devices.values() if device.engines):
        for dtype in ("bf16", "fp32", "int8", "fp8"):
            chosen = engines[default_engine(engines, dtype)]
            if any(engine.in_memory for engine in engines.values()):
                assert chosen is next(iter(engines.values()))
            else:
                assert rate(chosen, dtype) == max(rate(engine, dtype) for engine in engines.values())


def test_a_machine_runs_a_model_on_its_gpu_and_a_mark_says_otherwise() -> None:
    model = load_model("llama-3.1-8b")
    engine = {
        marks: resolve(MappingForm(), load_system("m2-ultra", marks), model).engine.name
        for marks in ((), ("devices.soc.engines.cpu.default=true",))
    }
    assert list(engine.values()) == ["soc.gpu", "soc.cpu"]
    assert resolve(MappingForm(), load_system("duplex-node"), load_model("mixtral-8x7b")).engine.name == "xpu.xpu"


def test_an_engine_is_named_in_full_by_its_device_or_alone() -> None:
    node, split = load_system("duplex-node"), load_system("duplex-split")
    for names in (("xpu.pim",), ("pim",)):
        assert engine_names(node, names, False, None) == ("xpu.pim",)
    assert engine_names(node, ("xpu",), False, None) == engine_names(node, (), False, None) == ("xpu.xpu",)
    assert engine_names(node, ("xpu",), True, None) == engine_names(node, (), True, None) == ("xpu.xpu", "xpu.pim")
    assert engine_names(split, ("answers",), True, None) == ("answers.xpu", "answers.pim")
    with pytest.raises(ConfigError, match=r"^engines\.0: .*found 'pim', expected one of prompts.pim, answers.pim"):
        engine_names(split, ("pim",), False, None)


@given(st.permutations(["xpu.xpu", "xpu.pim"]))
def test_names_keep_their_order_and_count_once(names: list[str]) -> None:
    assert engine_names(load_system("duplex-node"), [*names, names[0]], False, None) == tuple(names)


def test_other_devices_than_the_first_are_narrowed_where_their_engine_is_named() -> None:
    of = resolve(MappingForm(engines=("pim",), devices=1), load_system("duplex-hetero"), load_model("llama-2-7b"))
    assert (of.system.count("pim"), of.system.count("gpu"), of.engine.ways) == (1, 2, 1)
