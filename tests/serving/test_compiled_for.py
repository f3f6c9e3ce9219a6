"""Stages that are compiled once for a load: a request alone sees its estimate, and no time hangs on a call's cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import target
from simulator.scenario.evaluate import estimate
from simulator.serving.open_loop import StageTimes, chosen, serve
from simulator.serving.stages import Stages
from simulator.workload import decode, load_model
from simulator.workload.requests.arrivals import Requests
from tests.deployed import deployment, under

SYSTEM, MODEL = load_system("sn40l-node"), load_model("llama-3.1-8b")
OF = Stages(deployment(SYSTEM, MODEL)).compiled_for(16, 512, 128)


@settings(max_examples=6, deadline=None)
@given(st.integers(2, 900), st.integers(2, 300))
def test_a_request_alone_sees_its_estimate(input: int, output: int) -> None:
    of = Stages(deployment(SYSTEM, MODEL)).compiled_for(1, input, output)
    request = Requests(np.zeros(1), np.array([input]), np.array([output]))
    served = serve(StageTimes(of, chosen(request, None, 0, 1)), request, 1)
    expected = estimate(SYSTEM, MODEL, 1, input, output)
    assert served.ttft[0] == pytest.approx(expected.ttft_s, rel=1e-9)
    assert served.e2e[0] == pytest.approx(expected.e2e_s, rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 16), min_size=2, max_size=6), st.integers(1, 600), st.data())
def test_a_time_does_not_hang_on_the_cut_of_a_call(sequences: list[int], context: int, data: st.DataObject) -> None:
    x = np.array([[[0, 0, 0, n, n * context, 0]] for n in sequences], dtype=float)
    cut = data.draw(st.integers(1, len(sequences) - 1))
    np.testing.assert_array_equal(
        OF.shared(x, mixed=False), np.concatenate([OF.shared(part, mixed=False) for part in (x[:cut], x[cut:])])
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 16), st.integers(512, 640))
def test_programs_for_many_sizes_serve_each_nearly_as_well_as_its_own(sequences: int, context: int) -> None:
    took = OF.shared(np.array([[[0, 0, 0, sequences, sequences * context, 0]]], dtype=float), mixed=False)[0]
    alone = float(closed_form(model_plan(target(under("sn40l-node")), MODEL, decode(sequences, context))).time)
    assert took <= 1.02 * alone


def test_engines_that_run_kernel_by_kernel_are_compiled_for_nothing() -> None:
    of = Stages(deployment(load_system("dgx-h100"), MODEL))
    assert of.compiled_for(16, 512, 128) is of
