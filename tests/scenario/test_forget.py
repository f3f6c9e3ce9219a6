"""A question reads its files anew: what an earlier one kept of them does not outlive it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import simulator

MACHINE = """\
schema: 1
extends: dgx-h100
name: m
devices: {gpu: {tiers: {hbm: {bandwidth: %s}}}}
"""
REQUESTS = {"kind": "requests", "rate": 1, "input": 64, "output": 16, "requests": 50}
BATCH = {"kind": "batch", "batch": 1, "input": 64, "output": 16}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return tmp_path / "m.yaml"


@pytest.mark.parametrize(
    ("more", "metric"),
    [
        ({"workload": BATCH}, "tbt_s"),
        ({"workload": BATCH, "sized": {"devices": 4}}, "tbt_s"),
        ({"workload": REQUESTS}, "tbt_p50_s"),
    ],
    ids=["plain", "sized", "requests"],
)
@pytest.mark.parametrize("form", [False, True], ids=["data", "form"])
def test_a_changed_machine_changes_the_answer(machine: Path, more: dict[str, Any], metric: str, form: bool) -> None:
    from simulator.scenario.form import Scenario

    asked: Any = {"hardware": str(machine), "model": "llama-3.1-8b", **more}
    found = []
    for bandwidth in ("3 TB/s", "1 TB/s"):
        machine.write_text(MACHINE % bandwidth)
        found.append(simulator.evaluate(Scenario.model_validate(asked) if form else asked).metrics[metric])
    assert found[1] > 1.2 * found[0]


def test_a_changed_table_of_costs_changes_the_price(tmp_path: Path) -> None:
    table = tmp_path / "c.yaml"
    found = []
    for cost in (20000, 10000):
        table.write_text(f"schema: 1\nextends: silicon\nwafer: {{diameter: {cost / 50000} m}}\n")
        asked = {"hardware": "dgx-h100", "model": "llama-3.1-8b", "workload": BATCH, "costs": str(table)}
        found.append(simulator.evaluate(asked).metrics["price_usd"])
    assert found[0] != found[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_of_a_changed_machine_has_its_values(
    machine: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.study.execute.TASK_SECONDS", 1e9 if workers == 1 else 0)
    study = tmp_path / "s.yaml"
    study.write_text(f"""\
schema: 1
title: t
base: {{hardware: {machine}, model: llama-3.1-8b, workload: {{input: 64, output: 16}}}}
axes: {{workload.batch: [1, 2]}}
""")
    found = []
    for place, bandwidth in enumerate(("3 TB/s", "1 TB/s")):
        machine.write_text(MACHINE % bandwidth)
        swept = simulator.sweep(study, tmp_path / f"out{place}", workers=workers)
        found.append(swept.points()["tbt_s"].to_numpy())
    assert (found[1] > 1.2 * found[0]).all()


def test_what_is_kept_of_files_is_kept_for_equal_arguments() -> None:
    from simulator.files import forget, remembered

    read = []

    @remembered(4)
    def once(name: str) -> str:
        read.append(name)
        return name

    once("a"), once("a")
    forget()
    once("a")
    assert read == ["a", "a"]
