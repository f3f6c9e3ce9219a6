"""Lines that end where a metric of yes and no holds, and steps, with what was published of them."""

from __future__ import annotations

import pytest

from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.shown import drawn
from simulator.validation.reproduction import Reproduction


@pytest.fixture(scope="module")
def figures(reproduction: Reproduction) -> dict[str, Drawn]:
    with style.publication():
        return {each.name: each for each in drawn(reproduction)}


def test_a_line_ends_in_a_cross_and_a_published_one_in_an_open_cross_as_high_as_its_last_value(
    figures: dict[str, Drawn],
) -> None:
    lines = figures["latency"].figure.axes[1].get_lines()
    (cross,) = (line for line in lines if line.get_marker() == "x")
    assert cross.get_xdata().tolist() == [150]
    (end,) = (line for line in lines if line.get_marker() == "X")
    assert end.get_xydata().tolist() == [[150, 4733]]


def test_published_values_are_drawn_where_the_rows_have_them_and_disputed_ones_faint(
    figures: dict[str, Drawn],
) -> None:
    lines = figures["latency"].figure.axes[1].get_lines()
    marks = [line for line in lines if line.get_markerfacecolor() == "white"]
    places = {(x, y) for line in marks for x, y in line.get_xydata().tolist()}
    assert places == {(10, 713.6), (40, 713.6), (100, 713.6), (100, 4733), (150, 4733)}
    faint = [line.get_xydata().tolist() for line in marks if line.get_color() == style.FAINT]
    assert faint == [[[10, 713.6]]]


def test_a_published_place_stands_under_its_value(figures: dict[str, Drawn]) -> None:
    lines = figures["footprint"].figure.axes[0].get_lines()
    assert {line.get_drawstyle() for line in lines if line.get_markerfacecolor() != "white"} == {"steps-post"}
    marks = [line.get_xydata().tolist() for line in lines if line.get_markerfacecolor() == "white"]
    assert sorted(marks) == [[[50, 2]], [[100, 1]]]
