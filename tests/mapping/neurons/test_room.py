"""Room for neurons: by a limit or by what is free, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import CapacityError, ConfigError
from simulator.mapping.form import Residency
from simulator.mapping.neurons.room import capacity
from simulator.mapping.neurons.stored import stored
from simulator.workload import load_model, weight_bytes

KEPT = stored(load_model("opt-6.7b"))
OF_ALL_LAYERS = KEPT.model.layers * KEPT.neuron_bytes


@given(st.floats(1.1, 3.0))
def test_what_is_held_takes_no_more_than_there_is_and_one_more_would(times: float) -> None:
    there = times * KEPT.fixed_bytes
    rows = capacity(Residency(bytes=there), KEPT, free=0.0)
    assert KEPT.fixed_bytes + rows * OF_ALL_LAYERS <= there
    assert rows == KEPT.neurons or KEPT.fixed_bytes + (rows + 1) * OF_ALL_LAYERS > there
    assert rows == capacity(Residency(), KEPT, free=there)
    share = there / weight_bytes(KEPT.model)
    if share <= 1:
        assert abs(rows - capacity(Residency(share=share), KEPT, free=0.0)) <= 1


@given(st.floats(1e-6, 1.0))
def test_a_share_of_neurons_is_one_at_least(share: float) -> None:
    rows = capacity(Residency(room=share), KEPT, free=0.0)
    assert 1 <= rows <= KEPT.neurons
    assert abs(rows - share * KEPT.neurons) <= 1


def test_too_little_room_and_two_limits_are_refused() -> None:
    with pytest.raises(CapacityError, match="more DRAM"):
        capacity(Residency(share=0.01), KEPT, free=0.0)
    with pytest.raises(ConfigError, match="share: found a limit beside `room`"):
        capacity(Residency(share=0.5, room=0.5), KEPT, free=0.0)
