"""How many devices a machine has for a model."""

from __future__ import annotations

import pytest

from simulator.scenario.parts import scaled


@pytest.mark.parametrize(
    ("nodes", "devices", "scale", "expected"),
    [(1, 4, 1, (1, 4)), (1, 4, 2, (1, 8)), (1, 8, 2, (2, 8)), (2, 8, 2, (4, 8)), (1, 2, 8, (2, 8))],
)
def test_a_node_is_filled_before_there_are_more(
    nodes: int, devices: int, scale: int, expected: tuple[int, int]
) -> None:
    assert scaled(nodes, devices, scale) == expected
