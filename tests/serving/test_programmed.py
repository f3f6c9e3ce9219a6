"""Stages of an engine that runs whole layers take what their lowering says, one by one and in runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.mapping.stage import Kind, stage
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.stages import Stages
from tests.serving.service.test_iteration import features

EIGHT: dict[str, Any] = {"extends": "llama-3.1-8b", "layers": 2}
MIXTRAL: dict[str, Any] = {"extends": "mixtral-8x7b", "layers": 2}
BENDS = {"efficiency": {"sizes": ["1 MB", "1 GB"], "fractions": [0.3, 0.9]}}
MACHINES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "node": (EIGHT, {}, {}),
    "experts": (MIXTRAL, {}, {}),
    "windows": ({**EIGHT, "attention": {"window": 48, "window_pattern": [True, False]}}, {}, {}),
    "bends": (EIGHT, {"tiers": {"hbm": BENDS}}, {}),
    "after": (EIGHT, {}, {"collectives": "after", "orchestration": "software"}),
    "conventional": (EIGHT, {}, {"fusion": "conventional"}),
    "several layers": (EIGHT, {}, {"max_span": "none"}),
    "looping": (EIGHT, {}, {"looping": True}),
    "ahead": (EIGHT, {}, {"prefetch": True}),
    "ahead where it bends": (EIGHT, {"tiers": {"hbm": BENDS}}, {"prefetch": True}),
}
"""A model, a device and its fabric: what the programs of each hang on."""
COMPILED = [name for name in MACHINES if name != "ahead where it bends"]


@cache
def iterations(name: str) -> Iterations:
    model, device, fabric = MACHINES[name]
    engine = {"fabric": {"programs": 3, **fabric}}
    hardware = {"extends": "sn40l-node", "devices": {"socket": {**device, "engines": {"rdu": engine}}}}
    parts = {"hardware": hardware, "model": model, "mapping": {"runtime": "ideal"}, "workload": {"kind": "requests"}}
    of = deployment(Scenario.model_validate(parts), requests=True)
    return Iterations(Stages(of).compiled_for(16, 200, 40))


sizes = st.tuples(st.integers(1, 900), st.integers(0, 3000))


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "node" else pytest.mark.slow) for n in MACHINES])
def test_an_iteration_takes_what_is_lowered(name: str) -> None:
    of = iterations(name)

    @settings(max_examples=10, deadline=None)
    @given(st.lists(sizes, max_size=4), st.integers(0, 100), st.integers(0, 5000))
    def holds(chunks: list[tuple[int, int]], decoding: int, context: int) -> None:
        if not chunks and not decoding:
            return
        tokens, past = sum(new for new, _ in chunks), sum(done for _, done in chunks)
        pairs = sum(new * done + new * (new + 1) / 2 for new, done in chunks)
        cuts = features(of, chunks, decoding, context)
        x = np.array([[len(chunks), tokens, pairs, decoding, decoding * context, past, *cuts]], dtype=float)
        kind = Kind(bool(chunks), bool(decoding), bool(chunks))
        parts = stage(of.stages.deployment, x, kind)
        expected = sum(part.repeat * np.asarray(closed_form(part.plan).time) for part in parts)[0]
        if chunks:
            took = of.mixed(len(chunks), tokens, pairs, past, decoding, decoding * context, seen=cuts)
        else:
            took = of.decoding(decoding, decoding * context, seen=cuts[2::3])
        assert took == pytest.approx(expected, rel=1e-12)

    holds()
    assert any(compiled.anew for compiled in of._compiled.values()) == (name not in COMPILED)


@pytest.mark.parametrize("name", ["node", *(pytest.param(n, marks=pytest.mark.slow) for n in COMPILED[1:])])
def test_a_run_is_its_iterations_one_by_one(name: str) -> None:
    of = iterations(name)

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(1, 200), st.integers(0, 6000), st.integers(1, 900), st.one_of(st.just(np.inf), st.floats(1e-4, 1))
    )
    def holds(sequences: int, context: int, most: int, until: float) -> None:
        below = [context + 1 <= cut.limit for cut in of.cuts]
        most = min([most, *(int(cut.limit) - context for cut, each in zip(of.cuts, below, strict=True) if each)])
        rising = tuple(sequences * each for each in below)
        run = of.run(sequences, sequences * context, most, until, 0, features(of, [], sequences, context)[2::3], rising)
        each = [
            of.decoding(sequences, sequences * (context + i), seen=features(of, [], sequences, context + i)[2::3])
            for i in range(run.number)
        ]
        assert run.seconds == pytest.approx(sum(each), rel=1e-12)
        assert (run.first, run.last) == pytest.approx((each[0], each[-1]), rel=1e-12)
        assert run.number == most or (sum(each) >= until * (1 - 1e-12) and sum(each[:-1]) < until)

    holds()
