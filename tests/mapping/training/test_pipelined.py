"""Pieces through stages: all of each piece is done, in as long as a pipeline that fills, runs and drains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Activity, Resource, closed_form
from simulator.core.events import events
from simulator.mapping.training.pipelined import pipelined

TIMES = st.lists(st.floats(0.1, 9.0), min_size=1, max_size=4)


def stages(times: list[float]) -> list[list[Activity]]:
    return [[Activity(f"{i}", {Resource(f"{i}", 1.0, "s"): time}, 0.0)] for i, time in enumerate(times)]


@given(times=TIMES, pieces=st.integers(1, 9), beside=st.booleans())
def test_each_stage_works_on_each_piece_and_rounds_wait_for_the_slowest(
    times: list[float], pieces: int, beside: bool
) -> None:
    plan = pipelined("it", stages(times), pieces, beside)
    assert sorted(plan.demand().values()) == pytest.approx(sorted(time * pieces for time in times))
    timing = closed_form(plan)
    depth = len(times)
    rounds = [times[max(0, i - pieces + 1) : i + 1] for i in range(pieces + depth - 1)]
    expected = sum(map(max, rounds)) if beside and pieces >= depth else sum(times) * pieces
    assert float(timing.time) == pytest.approx(expected)
    assert timing.exact
    assert events(plan).time == pytest.approx(expected)
