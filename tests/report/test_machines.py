from __future__ import annotations

from pathlib import Path

import pytest

from simulator import data
from simulator.errors import ConfigError
from simulator.report.machines import machines, page

PAGE = Path(__file__).parents[2] / "docs" / "hardware.md"


def test_the_page_is_what_the_command_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "tiersim list hardware --page docs/hardware.md"


def test_each_machine_says_who_made_it_when_and_what_it_can_do() -> None:
    rows = machines()
    assert [row["name"] for row in rows] == data.names("hwconfigs")
    assert len(rows) >= 60
    for row in rows:
        assert row["vendor"] and row["year"] and row["description"], row["name"]
        assert row["peak_flop_per_s"] > 0 and row["bandwidth_bytes_per_s"] > 0 and row["capacity_bytes"] > 0


def test_filters_keep_those_of_a_vendor_with_a_kind_of_memory() -> None:
    kept = {row["name"] for row in machines(tier="hbm", vendor="amd")}
    assert {"mi210", "mi300x", "mi355x"} <= kept
    assert kept.isdisjoint({"epyc-9654", "h100-sxm"})
    assert {row["name"] for row in machines(tier="sram")} >= {"groq-lpu", "wse-3"}
    with pytest.raises(ConfigError, match=r"--vendor: found 'amdd', expected one of amd, .*did you mean 'amd'"):
        machines(vendor="amdd")
    with pytest.raises(ConfigError, match=r"--tier: found 'hbm4'.*did you mean 'hbm'"):
        machines(tier="hbm4")
