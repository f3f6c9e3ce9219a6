from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.report import table
from simulator.validation.published import Published
from simulator.validation.reproduction import Compared


def row(simulated: float | None = 713.2, published: float = 713.6, **condition: object) -> Compared:
    return Compared(Published("12a", "latency", condition, "prediction", published, "ms", 5, "digitised"), simulated)


def lines(*rows: Compared) -> list[str]:
    return table.compared(rows).splitlines()[2:]


def test_neighbours_that_differ_in_one_number_are_folded() -> None:
    folded = lines(*(row(system="a", batch=8, experts=n) for n in (40, 45, 400)))
    assert len(folded) == 1
    assert "system=a batch=8 experts=40..400 (3 values)" in folded[0]


def test_rows_that_differ_in_more_are_not_folded() -> None:
    assert len(lines(row(experts=10), row(experts=20, simulated=720.0))) == 2
    assert len(lines(row(experts=10, batch=1), row(experts=20, batch=8))) == 2
    assert len(lines(row(system="a"), row(system="b"))) == 2
    assert len(lines(row(experts=10, batch=1), row(experts=20, batch=1), row(experts=20, batch=8))) == 2
    assert len(lines(row(experts=10), row(experts=15, published=700), row(experts=20))) == 3


def test_a_row_shows_ratio_and_reading_error_and_marks_what_disagrees() -> None:
    (close,), (far,) = lines(row(experts=40)), lines(row(experts=10, simulated=600.75))
    assert close.endswith("| 713.6 ms | 713.2 ms | 0.999 | ±5 | yes |")
    assert far.endswith("| 0.842 | ±5 | **no** |")
    assert "refused" in lines(row(simulated=None))[0]
    exact = row(experts=40)
    assert "| exact |" in lines(Compared(replace(exact.published, tolerance=0), 713.6))[0]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (6.63187, "x", "6.632x"),
        (1.0, "yes/no", "yes"),
        (0.0, "yes/no", "no"),
        (None, "ms", "refused"),
        (float("nan"), "ms", "refused"),
        (123456.0, "ms", "123456 ms"),
        (879.7499999999, "ms", "879.8 ms"),
        (879.75, "ms", "879.8 ms"),
    ],
)
def test_values_are_shown_in_four_digits(value: float | None, unit: str, text: str) -> None:
    assert table.value(value, unit) == text


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table.markdown(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"
