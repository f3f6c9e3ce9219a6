from __future__ import annotations

import pytest

from simulator.report import names


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("sn40l-node", "SN40L node"),
        ("sn40l-rack16", "SN40L rack16"),
        ("dgx-a100", "DGX A100"),
        ("gh200", "GH200"),
        ("duplex", "duplex"),
    ],
)
def test_machines_are_called_as_a_paper_calls_them(name: str, printed: str) -> None:
    assert names.machine(name) == printed


def test_figures_come_in_order_then_tables_then_the_text() -> None:
    given = ["Section VI", "12b", "Table V", "1a", "12a", "9", "12a"]
    assert names.figures(given) == "Fig. 1a, Fig. 9, Fig. 12a, Fig. 12b, Table V, Section VI"
