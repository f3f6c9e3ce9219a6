"""The points of a sweep by levels of their axes, as a search walks them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from simulator.study.space.axis import Axis, column
from simulator.study.space.expression import parse
from simulator.study.space.lattice import Lattice
from simulator.study.space.space import Space


def axis(name: str, values: list[object], when: str | None = None, otherwise: object = None) -> Axis:
    return Axis(f"path.{name}", name, column(values), None, parse(when) if when else None, otherwise)


MACHINE = axis("machine", ["gpu", "rdu"])
BANKS = axis("banks", [2, 4, 8], "machine == 'gpu'")
ZIPPED = [axis("capacity", [64e9, 96e9]), axis("bandwidth", [2e12, 3e12])]


def every(lattice: Lattice) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, lattice.sizes))))


@pytest.fixture
def lattice() -> Lattice:
    return Lattice(Space([ZIPPED, [axis("fixed", [7])], [MACHINE], [BANKS], [axis("batch", [1, 16, 256])]]))


def test_an_axis_of_one_value_is_no_direction(lattice: Lattice) -> None:
    assert lattice.paths == ["path.capacity", "path.machine", "path.banks", "path.batch"]
    assert lattice.sizes == (2, 2, 3, 3)
    assert len(lattice) == 2 * (3 + 1) * 3


def test_levels_lead_to_every_point_and_back(lattice: Lattice) -> None:
    points = np.arange(len(lattice))
    assert lattice.points(lattice.levels(points)).tolist() == points.tolist()
    assert set(lattice.points(every(lattice)).tolist()) == set(points.tolist())


def test_levels_of_an_axis_that_does_not_vary_are_one_point(lattice: Lattice) -> None:
    levels = np.array([[1, 1, banks, 2] for banks in range(3)])
    assert len(set(lattice.points(levels).tolist())) == 1
    assert np.isnan(lattice.at(levels)["path.banks"]).all()
    assert lattice.levels(lattice.points(levels))[:, 2].tolist() == [0, 0, 0]
    levels[:, 1] = 0
    assert lattice.at(levels)["path.banks"].tolist() == [2, 4, 8]


def test_axes_of_a_group_move_together(lattice: Lattice) -> None:
    columns = lattice.at(every(lattice))
    pairs = zip(columns["path.capacity"].tolist(), columns["path.bandwidth"].tolist(), strict=True)
    assert set(pairs) == {(64e9, 2e12), (96e9, 3e12)}


def test_its_points_are_those_of_the_space(lattice: Lattice) -> None:
    indices = every(lattice)
    here, there = lattice.at(indices), lattice.space.at(lattice.points(indices))
    for path in lattice.space.names:
        np.testing.assert_array_equal(here[path], there[path])
    for row, (zipped, machine, _, batch) in enumerate(indices):
        assert here["path.capacity"][row] == [64e9, 96e9][zipped]
        assert here["path.machine"][row] == ["gpu", "rdu"][machine]
        assert here["path.batch"][row] == [1, 16, 256][batch]
        assert here["path.fixed"][row] == 7


def test_a_space_of_one_point() -> None:
    lattice = Lattice(Space([[axis("batch", [4])]]))
    assert lattice.sizes == ()
    assert lattice.points(np.empty((3, 0), dtype=int)).tolist() == [0, 0, 0]
    assert lattice.at(np.empty((2, 0), dtype=int))["path.batch"].tolist() == [4, 4]
    assert lattice.levels(np.array([0])).shape == (1, 0)
