import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.study.space.axis import Axis, column
from simulator.study.space.expression import parse
from simulator.study.space.space import Space


def axis(name, values, when=None, otherwise=None):
    return Axis(f"path.{name}", name, column(values), None, when and parse(when), otherwise)


def rows(columns):
    """Points as tuples; a missing number is None, as in the brute force."""
    lists = [values.tolist() for values in columns.values()]
    return [tuple(None if value != value else value for value in row) for row in zip(*lists, strict=True)]


def brute_force(groups):
    """Every combination, in order; where a condition does not hold the axis has its other value; none twice."""
    found = {}
    for steps in itertools.product(*(range(len(group[0])) for group in groups)):
        point = {}
        for group, step in zip(groups, steps, strict=True):
            for one in group:
                held = one.when is None or bool(one.when.at(point))
                point[one.name] = one.values.tolist()[step] if held else one.otherwise
        found[tuple(point.values())] = None
    return list(found)


@st.composite
def spaces(draw):
    """Groups of one to three axes, some with a condition on axes before them."""
    groups, before = [], []
    for position in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 4))
        when = otherwise = None
        if before and draw(st.booleans()):
            name, values = draw(st.sampled_from(before))
            value = draw(st.sampled_from(values))
            when = f"{name} == {value!r}"
            if draw(st.booleans()):
                other, those = draw(st.sampled_from(before))
                when = f"{when} {draw(st.sampled_from(['and', 'or']))} not {other} == {draw(st.sampled_from(those))!r}"
            otherwise = draw(st.sampled_from([None, -1]))
        group = []
        for member in range(1 if when else draw(st.integers(1, 2))):
            text = draw(st.booleans()) and otherwise is None
            values = [f"v{i}" if text else i for i in range(count)]
            group.append(axis(f"a{position}_{member}", values, when, otherwise))
            before.append((f"a{position}_{member}", values))
        groups.append(group)
    return groups


@given(spaces(), st.data())
def test_points_are_those_of_brute_force_in_its_order(groups, data):
    space, expected = Space(groups), brute_force(groups)
    assert len(space) == len(expected)
    start = data.draw(st.integers(0, len(expected)))
    stop = data.draw(st.integers(start, len(expected)))
    assert rows(space.columns(start, stop)) == expected[start:stop]
    chosen = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=8))
    assert rows(space.at(chosen)) == [expected[i] for i in chosen]


@given(spaces(), st.data())
def test_steps_lead_to_the_point_that_has_them(groups, data):
    space, count = Space(groups), 6
    steps = {
        group[0].path: np.array(data.draw(st.lists(st.integers(0, len(group[0]) - 1), min_size=count, max_size=count)))
        for group in groups
    }
    found = space.at(space.index(steps))
    for position in range(count):
        point = {}
        for group in groups:
            for one in group:
                held = one.when is None or bool(one.when.at(point))
                point[one.name] = one.values[steps[group[0].path][position]] if held else one.otherwise
        expected = {f"path.{name}": value for name, value in point.items()}
        assert rows({path: values[position : position + 1] for path, values in found.items()}) == [
            tuple(expected.values())
        ]


def test_a_space_knows_its_axes():
    zipped = [axis("capacity", [64e9, 96e9]), axis("bandwidth", [2e12, 3e12])]
    space = Space([zipped, [axis("batch", [1, 8, 64])], [axis("model", ["a", "b"])]])
    assert len(space) == 12
    assert space.names == ("path.capacity", "path.bandwidth", "path.batch", "path.model")
    assert space.aliases["path.batch"] == "batch"
    assert space.sizes == {"path.capacity": 2, "path.bandwidth": 2, "path.batch": 3, "path.model": 2}
    assert space.values("path.batch").tolist() == [1, 8, 64]
    columns = space.columns(5, 8)
    assert {path: values.dtype.kind for path, values in columns.items()} == {
        "path.capacity": "f",
        "path.bandwidth": "f",
        "path.batch": "i",
        "path.model": "O",
    }
    assert rows(columns) == [(64e9, 2e12, 64, "b"), (96e9, 3e12, 1, "a"), (96e9, 3e12, 1, "b")]


def test_columns_end_where_the_space_does_and_other_points_are_no_points():
    space = Space([[axis("batch", [1, 8, 64])]])
    assert space.columns(2, 10)["path.batch"].tolist() == [64]
    assert space.columns(3, 10)["path.batch"].tolist() == []
    assert space.at([])["path.batch"].tolist() == []
    assert space.at(1)["path.batch"].tolist() == [8]
    for beyond in (-1, 3):
        with pytest.raises(IndexError):
            space.at([0, beyond])


def test_what_an_axis_has_elsewhere_fits_its_column():
    where = axis("model", ["a", "b"])
    for values, otherwise, expected in (
        ([1, 2], 3, [1, 2, 3]),
        ([1, 2], 2.5, [1.0, 2.0, 2.5]),
        ([1, 2], None, [1.0, 2.0, math.nan]),
        ([True, False], False, [True, False, False]),
        ([True, False], None, [True, False, None]),
        (["x", "y"], None, ["x", "y", None]),
    ):
        found = Space([[where], [axis("b", values, "model == 'a'", otherwise)]]).columns(0, 3)["path.b"]
        np.testing.assert_array_equal(found, np.array(expected, dtype=found.dtype))
        assert type(found.tolist()[0]) is type(expected[0])


def test_a_hundred_million_points_are_as_easy_as_ten():
    groups = [[axis(f"a{i}", list(range(10)))] for i in range(8)]
    conditional = [[axis("model", ["a", "b"])], *groups, [axis("last", list(range(5)), "model == 'b'", 0)]]
    assert len(Space(groups)) == 10**8
    space = Space(conditional)
    assert len(space) == 6 * 10**8
    columns = space.columns(10**8 - 1, 10**8 + 7)
    assert columns["path.model"].tolist() == ["a", *["b"] * 7]
    assert columns["path.last"].tolist() == [0, 0, 1, 2, 3, 4, 0, 1]
    assert columns["path.a7"].tolist() == [9, 0, 0, 0, 0, 0, 1, 1]


def test_too_many_points_or_conditions_are_refused():
    with pytest.raises(ConfigError, match=r"a space: found 1e\+20 points, expected at most 4.6e\+18"):
        Space([[axis(f"a{i}", list(range(100)))] for i in range(10)])
    rate = axis("hbm", [float(value) for value in range(100_001)])
    with pytest.raises(
        ConfigError, match=r"conditions: found 100,001 combinations of .* \(hbm\), expected at most 100"
    ):
        Space([[rate], [axis("batch", [1, 2], "hbm > 3", 1)]])
    with pytest.raises(ConfigError, match="when: in 'size > 3': unknown name: found 'size'"):
        Space([[axis("batch", [1, 2], "size > 3", 1)], [axis("size", [1, 2])]])
