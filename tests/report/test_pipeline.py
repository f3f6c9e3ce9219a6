from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import simulator
from simulator.errors import ConfigError
from simulator.report.pipeline import draw
from simulator.scenario.kernels import KernelReport


@cache
def report(phase: str = "decode", **options) -> KernelReport:
    return simulator.kernels("sn40l-node", "llama-2-7b", phase, **options)


def drawn(found: KernelReport, folder: Path) -> str:
    """What an SVG says: matplotlib notes each text beside its outlines."""
    draw(found, folder / "it.svg")
    return (folder / "it.svg").read_text()


def test_every_stage_is_drawn_with_its_units(tmp_path: Path) -> None:
    said = drawn(report(), tmp_path)
    (layer,) = (row for row, kernel in enumerate(report().rows) if kernel["block"] == "dense")
    stages = [stage for stage in report().stages if stage["row"] == layer]
    assert len(stages) == 19
    for stage in stages:
        assert f"<!-- {stage['operator'].split('.')[1]} -->" in said or f"<!-- {stage['operator']} -->" in said
    assert said.count(" PCU ") == sum(stage["pcus"] > 0 for stage in stages)
    assert said.count("<!-- moves data only -->") == sum(stage["pcus"] == 0 for stage in stages)
    assert f"{report().rows[layer]['pcus']:,} of 1,040 PCUs" in said


def test_the_slowest_stage_is_marked(tmp_path: Path) -> None:
    found = report()
    stages = [stage | {"time_s": 1e-9} if stage["pcus"] else stage for stage in found.stages]
    slow = next(i for i, stage in enumerate(stages) if stage["operator"] == "ffn.norm")
    stages[slow] = stages[slow] | {"time_s": 1e-6}
    outline = "stroke: #d55e00"
    one = drawn(replace(found, stages=stages), tmp_path).lower().count(outline)
    stages[slow] = stages[slow] | {"time_s": 1e-9}
    all_alike = drawn(replace(found, stages=stages), tmp_path).lower().count(outline)
    assert one == 2  # the stage and the key
    assert all_alike == 1 + sum(stage["pcus"] > 0 for stage in stages if found.rows[stage["row"]]["block"] == "dense")


def test_kernels_of_a_layer_stand_in_order(tmp_path: Path) -> None:
    said = drawn(report("prefill"), tmp_path)
    kernels = [row for row in report("prefill").rows if row["block"] == "dense"]
    assert said.count("calls a pass") == len(kernels)
    assert "kernels -->" not in said


def test_of_many_kernels_the_longest_are_drawn(tmp_path: Path) -> None:
    found = report(fusion="unfused")
    said = drawn(found, tmp_path)
    assert said.count("calls a pass") == 4
    assert "the 4 longest of 19 kernels" in said


def test_it_is_drawn_alike_each_time(tmp_path: Path) -> None:
    assert drawn(report(), tmp_path) == drawn(report(), tmp_path)


@pytest.mark.parametrize(("hardware", "fusion"), [("dgx-a100", None), ("sn40l-node", "whole")])
def test_without_a_grid_there_is_nothing_to_draw(tmp_path: Path, hardware: str, fusion: str | None) -> None:
    with pytest.raises(ConfigError, match="no pipeline to draw"):
        draw(simulator.kernels(hardware, "llama-2-7b", fusion=fusion), tmp_path / "it.svg")


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="png, svg or pdf"):
        draw(report(), tmp_path / "it.txt")
