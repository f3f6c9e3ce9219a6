from __future__ import annotations

import pytest
from simulator.report.pim import PimFigures

from simulator.baselines.reproduction import Reproduction, compare_with_published
from simulator.report import style
from simulator.report.figures import Drawn


@pytest.fixture(scope="module")
def reproduction() -> Reproduction:
    return compare_with_published("duplex-pim", ["variants=null"])


@pytest.fixture(scope="module")
def drawn(reproduction: Reproduction) -> Drawn:
    with style.publication():
        (figure,) = PimFigures.draw(reproduction)
    return figure


def test_every_published_label_is_drawn_in_the_look_of_its_role(reproduction: Reproduction, drawn: Drawn) -> None:
    lines = [line for line in drawn.figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    shown = sorted((*line.get_xydata()[0].tolist(), line.get_marker()) for line in lines)
    rows = [row.published for row in reproduction.rows if row.published.metric == "edap"]
    marker = {"prediction": "o", "calibration": "s"}
    assert shown == sorted((row.condition["op_per_byte"], row.published, marker[row.role]) for row in rows)


def test_lines_are_what_was_simulated_and_none_hides_another(reproduction: Reproduction, drawn: Drawn) -> None:
    lines = [line for line in drawn.figure.axes[0].get_lines() if line.get_linestyle() != "None"]
    points = reproduction.base.frames()["points"]
    for line, (_, group) in zip(lines, points.groupby("unit", sort=False), strict=True):
        assert list(line.get_ydata()) == list(group["edap_over_worst"])
    rates = drawn.figure.axes[1].get_lines()
    looks = [(tuple(line.get_ydata()), line.get_linestyle()) for line in rates]
    assert len(set(looks)) == len(rates) == 3


def test_units_are_called_as_in_the_paper(drawn: Drawn) -> None:
    called = [text.get_text() for text in drawn.figure.legends[0].get_texts()]
    assert called[:3] == ["Bank-PIM", "BankGroup-PIM", "Logic-PIM"]
    assert "Fig. 8" in drawn.caption
