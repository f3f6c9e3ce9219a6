"""What an engine compiles for a run serves each of its steps about as well as what is compiled for that step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.errors import CapacityError
from simulator.hardware import System, load_system
from simulator.mapping.form import Draft
from simulator.mapping.lowering import compiled
from simulator.mapping.parallel.parallelism import parallelism
from simulator.mapping.parallel.pipeline import replica
from simulator.mapping.passes import Lowering, Passes, step_contexts
from simulator.mapping.speculative import speculate, speculative
from simulator.mapping.spill.passes import spills
from simulator.mapping.spill.static_batch import spilling
from simulator.mapping.static_batch import pipelined, together
from simulator.mapping.target import Target, target
from simulator.workload import Model, decode, load_model, operator_graph, prefill

MODELS = ["llama-3.1-8b", "llama-3.1-70b", "mistral-7b", "mixtral-8x7b", "falcon-40b"]
RDU = "devices.socket.engines.rdu.fabric"
PLACES = 10
Serves = Callable[[Target, Model, int, int, int], Passes]


@cache
def system(name: str, *overrides: str) -> System:
    return load_system(name, overrides)


def dataflow_machines() -> st.SearchStrategy[System]:
    """SN40L sockets with main memory of any bandwidth, and fabrics that are set otherwise."""

    def build(name: str, bandwidth: float, options: dict[str, Any]) -> System:
        fabric = (f"{RDU}.{key}={str(value).lower()}" for key, value in options.items())
        return system(name, f"devices.socket.tiers.hbm.bandwidth={bandwidth:.2f} TB/s", *fabric)

    options = {
        "looping": st.booleans(),
        "collectives": st.sampled_from(["streamed", "after"]),
        "orchestration": st.sampled_from(["hardware", "software"]),
    }
    names = st.sampled_from(["sn40l", "sn40l-node", "sn40l-rack16"])
    return st.builds(build, names, st.floats(0.5, 8.0), st.fixed_dictionaries({}, optional=options))


MACHINES = dataflow_machines() | st.sampled_from(["dgx-h100", "duplex-node", "m1-max"]).map(system)
LOADS = st.tuples(st.sampled_from([1, 4, 16, 64, 256, 1024]), st.integers(1, 6000), st.integers(3, 20_000))


def drafting(runner: Target, model: Model, batch: int, input: int, output: int) -> Passes:
    speculation = speculate(model, load_model("llama-3.1-8b"), Draft(model="llama-3.1-8b", acceptance=0.7))
    return speculative(Lowering((runner,)), model, speculation, batch, input, output)


def tensor_parallel(runner: Target, model: Model, batch: int, input: int, output: int) -> Passes:
    return together(Lowering((runner,)), model, batch, input, output)


def staged(runner: Target, model: Model, batch: int, input: int, output: int) -> Passes:
    parallel = parallelism(runner.ways, None, 2, 1)
    return pipelined(replica(runner, parallel, model, decode(batch, input)), model, batch, input, output)


def seconds(passes: Passes, contexts: Any) -> Any:
    return np.broadcast_to(closed_form(passes.step(contexts)).time, np.shape(contexts))


def against_singles(serve: Serves, runner: Target, model: Model, load: tuple[int, int, int], tokens: float) -> float:
    """The time of all steps of a run over that of each compiled for itself, by trapezoids between some places."""
    batch, input, output = load
    contexts = step_contexts(input, output, tokens)
    places = np.unique(np.linspace(0, len(contexts) - 1, PLACES).round().astype(int))
    together = seconds(serve(runner, model, batch, input, output), contexts)[places]
    alone = [float(seconds(serve(runner, model, batch, int(contexts[i]), 1), float(contexts[i]))) for i in places]
    if len(places) == 1:
        return float(together[0] / alone[0])
    return float(np.trapezoid(together, places) / np.trapezoid(alone, places))


@given(MACHINES, st.sampled_from(MODELS), LOADS)
@settings(max_examples=5)
def test_a_run_takes_what_its_steps_take_alone(machine: System, model: str, load: tuple[int, int, int]) -> None:
    assert against_singles(tensor_parallel, target(machine), load_model(model), load, 1.0) <= 1.02


@pytest.mark.parametrize(
    ("bandwidth", "load"),
    [(1.8, (64, 128, 2000)), (2.2, (16, 128, 30_000)), (2.6, (256, 128, 2000)), (3.0, (16, 128, 8000))],
)
def test_a_run_takes_what_its_steps_take_alone_at_any_bandwidth(bandwidth: float, load: tuple[int, int, int]) -> None:
    runner = target(system("sn40l-node", f"devices.socket.tiers.hbm.bandwidth={bandwidth} TB/s"))
    assert against_singles(tensor_parallel, runner, load_model("llama-3.1-8b"), load, 1.0) <= 1.02


@given(dataflow_machines(), LOADS)
@settings(max_examples=2)
def test_a_drafted_run_takes_what_its_steps_take_alone(machine: System, load: tuple[int, int, int]) -> None:
    # A draft beside whole tokens of context, so that a step alone has the context that it has in the run.
    def serve(runner: Target, model: Model, batch: int, input: int, output: int) -> Passes:
        speculation = speculate(model, load_model("llama-3.1-8b"), Draft(model="llama-3.1-8b", accepted_length=3.0))
        return speculative(Lowering((runner,)), model, speculation, batch, input, output)

    assert against_singles(serve, target(machine), load_model("llama-3.1-70b"), load, 3.0) <= 1.02


@given(dataflow_machines(), LOADS)
@settings(max_examples=2)
def test_a_run_in_stages_takes_what_its_steps_take_alone(machine: System, load: tuple[int, int, int]) -> None:
    runner = target(machine)
    assume(runner.ways > 1)
    assert against_singles(staged, runner, load_model("llama-3.1-8b"), load, 1.0) <= 1.02


@given(st.sampled_from([1, 16, 256]), st.integers(1, 4000), st.integers(3, 8000))
@settings(max_examples=2)
def test_a_spilled_run_takes_what_its_steps_take_alone(batch: int, input: int, output: int) -> None:
    """Where symbols lie is one choice for the whole run; the kernels alone are compiled for each step."""
    runner, model = (
        target(system("sn40l-node", "devices.socket.tiers.hbm.capacity=12 GiB")),
        load_model("llama-3.1-70b"),
    )

    def serve(*lengths: float) -> Any:
        steps = operator_graph(model, decode(batch, np.array(lengths)))
        program = [(operator_graph(model, prefill(batch, input)), 1.0, 1.0), (steps, float(output - 1), 1.0)]
        return next(spills(runner, "ddr", program, ["weights_last"]))

    contexts = step_contexts(input, output)
    try:
        run = serve(*contexts)
    except CapacityError:
        assume(False)
    places = np.unique(np.linspace(0, len(contexts) - 1, PLACES).round().astype(int))
    together = seconds(spilling(run, model, batch, input), contexts)[places]
    alone = []
    for place in places:
        own = serve(float(contexts[place]))
        assume([p.groups for p in own.programs[1]] == [p.groups for p in run.programs[1]])
        own = replace(own, plan=run.plan, uses=run.uses)
        alone.append(float(seconds(spilling(own, model, batch, input), float(contexts[place]))))
    assert np.trapezoid(together, places) <= 1.02 * np.trapezoid(alone, places)


@pytest.mark.parametrize("serve", [tensor_parallel, drafting, staged])
@given(machine=MACHINES, load=LOADS, cut=st.floats(0, 1))
@settings(max_examples=4)
def test_a_step_takes_the_same_however_a_run_is_cut(
    serve: Serves, machine: System, load: tuple[int, int, int], cut: float
) -> None:
    runner, (batch, input, output) = target(machine), load
    assume(serve is tensor_parallel or runner.ways > 1)
    passes = serve(runner, load_model("llama-3.1-70b"), batch, input, output)
    contexts = step_contexts(input, output, passes.tokens)
    at = int(cut * len(contexts))
    parts = [seconds(passes, part) for part in np.split(contexts, [at]) if part.size]
    assert np.array_equal(np.concatenate(parts), seconds(passes, contexts))
    one = min(at, len(contexts) - 1)
    assert float(seconds(passes, float(contexts[one]))) == pytest.approx(np.concatenate(parts)[one], rel=1e-12)


def test_what_is_declared_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import simulator.mapping.dataflow.programs as compiler

    calls: list[Any] = []
    real = compiler.spanning
    monkeypatch.setattr(compiler, "spanning", lambda *given: calls.append(given) or cast(Any, real(*given)))
    passes = tensor_parallel(target(system("sn40l-node")), load_model("llama-3.1-8b"), 4, 128, 500)
    passes.step(500.0)
    compiled = len(calls)
    for context in (128.0, np.arange(128.0, 300.0), 627.0):
        passes.step(context)
    assert compiled == len(calls) > 0


def test_engines_that_compile_nothing_are_left_as_they_are() -> None:
    runner = target(system("dgx-h100"))
    blocks = operator_graph(load_model("llama-3.1-8b"), decode(1, np.arange(9.0))).blocks
    assert compiled(runner, lambda: blocks) is runner
