"""One engine has nothing to dispatch: it runs a block as what is registered for its kind lowers it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.dispatch import Route, dispatched, policy
from simulator.mapping.lowering import lowered
from simulator.mapping.lowerings.kernel_by_kernel import by_kernels
from simulator.mapping.target import Target, target
from simulator.registry import names
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.workload import Batch, decode, load_model, operator_graph, prefill

KINDS = {"gpu": ("box", 0), "cpu": ("box", 1), "pim": ("pair", 1), "dataflow": ("", 0)}
MODELS = ["llama-2-7b", "falcon-7b", "mixtral-8x7b", "glam-143b"]
BATCHES = [prefill(2, 300), decode(8, 1000), prefill(1, 100) + decode(3, 500)]


@pytest.fixture(params=KINDS, scope="module")
def lone(request: pytest.FixtureRequest, engines: object) -> Target:
    """An engine of each kind."""
    machine, place = KINDS[request.param]
    found: Target = engines(machine)[place] if machine else target(load_system("sn40l-node"))  # type: ignore[operator]
    assert found.description.kind == request.param
    return found


@settings(max_examples=6, deadline=None)
@given(st.sampled_from(MODELS), st.sampled_from(BATCHES), st.sampled_from(sorted(names("dispatch"))), st.booleans())
def test_on_one_engine_a_dispatch_changes_nothing(
    lone: Target, model: str, batch: Batch, dispatch: str, together: bool
) -> None:
    for block in operator_graph(load_model(model), batch).blocks:
        alone = closed_form(lowered(lone, block)).time
        assert closed_form(dispatched((lone,), block, dispatch, together)).time == pytest.approx(alone, rel=1e-9)
        if by_kernels(lone):  # nor do the steps of a way through the block, one after another
            route = Route((lone,), block, together)
            once = closed_form(route.plan(policy(dispatch)(route))).time
            assert once * block.repeat == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize("machine", ["sn40l-node", "dgx-h100"])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b"])
def test_nor_does_it_in_a_sweep(machine: str, model: str) -> None:
    base = {"hardware": machine, "model": model, "workload.batch": 4}

    def times(**said: str) -> Columns:
        return evaluated(with_values(Scenario(), base | said), {"workload.input": np.array([300.0])})

    plain, one = times(), times(**{"mapping.dispatch": "xpu_only"})
    for metric in ("ttft_s", "tbt_s", "e2e_s"):
        assert one[metric] == pytest.approx(plain[metric], rel=1e-9)


def test_an_engine_that_runs_layers_as_a_whole_shares_none(tmp_path: Path) -> None:
    (tmp_path / "both.yaml").write_text(
        "extends: sn40l\ndevices:\n  socket:\n    engines:\n"
        "      host: {kind: cpu, peak: {bf16: 1 TFLOP/s}, reads: {hbm: {}}}\n"
    )
    system = load_system(tmp_path / "both.yaml")
    device, _ = system.device()
    both = tuple(target(system, device, engine) for engine in system.machine.devices[device].engines)
    block = operator_graph(load_model("llama-2-7b"), decode(1, 100)).blocks[1]
    for dispatch in names("dispatch"):
        with pytest.raises(ConfigError, match=r"found .*, of kind dataflow, which runs a layer as a whole, expected"):
            dispatched(both, block, dispatch)
