"""Iterations, compiled: what the stages of a deployment take, in plain floats and in runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.iteration.iterations import Iterations
from tests.serving.service.test_pool import MACHINES, iterations


def features(of: Iterations, chunks: list[tuple[int, int]], decoding: int, context: int) -> tuple[float, ...]:
    """Of each cut of the model, where all that decode have one context."""
    of_cuts = (
        (
            sum(float(cut.pairs(*chunk)) for chunk in chunks),
            sum(float(cut.keys(*chunk)) for chunk in chunks),
            decoding * min(context + 1, cut.limit),
        )
        for cut in of.cuts
    )
    return tuple(each for three in of_cuts for each in three)


sizes = st.tuples(st.integers(1, 900), st.integers(0, 3000))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(MACHINES), st.lists(sizes, max_size=4), st.integers(0, 300), st.integers(0, 5000))
def test_it_takes_what_its_stage_does(
    machine: tuple[str, ...], chunks: list[tuple[int, int]], decoding: int, context: int
) -> None:
    of = iterations(*machine)
    if not chunks and not decoding:
        return
    tokens, past = sum(new for new, _ in chunks), sum(done for _, done in chunks)
    pairs = sum(new * done + new * (new + 1) / 2 for new, done in chunks)
    cached = decoding * context
    cuts = features(of, chunks, decoding, context)
    x = np.array([[[len(chunks), tokens, pairs, decoding, cached, past, *cuts]]], dtype=float)
    expected = of.stages.driven(of.stages.shared(x, bool(chunks)), x, bool(chunks))[0]
    if chunks:
        took = of.mixed(len(chunks), tokens, pairs, past, decoding, cached, seen=cuts)
    else:
        took = of.decoding(decoding, cached, seen=cuts[2::3])
    assert took == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MACHINES), st.integers(1, 200), st.integers(0, 4000), st.integers(1, 900),
    st.one_of(st.just(np.inf), st.floats(1e-3, 4)),
)  # fmt: skip
def test_a_run_is_its_iterations_one_by_one(
    machine: tuple[str, ...], sequences: int, context: int, most: int, until: float
) -> None:
    of, cached = iterations(*machine), sequences * context
    below = [context + 1 <= cut.limit for cut in of.cuts]
    rising = tuple(sequences * each for each in below)
    most = min([most, *(int(cut.limit) - context for cut, each in zip(of.cuts, below, strict=True) if each)])
    run = of.run(sequences, cached, most, until, 0, features(of, [], sequences, context)[2::3], rising)
    each = [
        of.decoding(sequences, cached + sequences * i, seen=features(of, [], sequences, context + i)[2::3])
        for i in range(run.number)
    ]
    assert run.seconds == pytest.approx(sum(each), rel=1e-12)
    assert (run.first, run.last) == pytest.approx((each[0], each[-1]), rel=1e-12)
    assert run.number == most or (sum(each) >= until * (1 - 1e-12) and sum(each[:-1]) < until)
