from __future__ import annotations

import pytest

from simulator import data, load_model
from simulator.workload import parameters

FOLDERS = {
    "hardware": "hwconfigs",
    "parts": "hwconfigs/parts",
    "models": "workloads/models",
    "experiments": "experiments",
    "costs": "hwconfigs/costs",
    "runtimes": "hwconfigs/runtimes",
}


@pytest.mark.parametrize(("what", "folder"), FOLDERS.items())
def test_everything_with_a_name_is_listed(run, what: str, folder: str) -> None:
    names = data.names(folder)
    assert [row["name"] for row in run("list", what, "--json").json] == names
    shown = run("list", what)
    assert shown.code == 0
    assert all(name in shown.out for name in names)


def test_a_machine_says_what_it_is(run) -> None:
    rows = {row["name"]: row for row in run("list", "hardware", "--json").json}
    assert rows["sn40l-node"]["description"] == "SambaNova SN40L node, 8 sockets"
    assert "SambaNova SN40L node, 8 sockets" in run("list", "hardware").out


def test_machines_are_filtered_and_others_are_not(run) -> None:
    rows = run("list", "hardware", "--tier", "hbm", "--vendor", "amd", "--json").json
    assert {row["vendor"] for row in rows} == {"amd"}
    assert all("hbm" in {tier["kind"] for tier in row["tiers"]} for row in rows)
    shown = run("list", "hardware", "--vendor", "groq").out
    for text in ("groq-lpu", "2022", "64", "188 TFLOP/s fp16", "80 TB/s"):
        assert text in shown
    told = run("list", "models", "--vendor", "amd")
    assert (told.code, told.err) == (2, "error: --vendor: found with models, expected hardware, of which it is\n")


@pytest.mark.slow
def test_a_study_says_how_many_points_it_has(run) -> None:
    rows = run("list", "studies", "--json").json
    assert [row["name"] for row in rows] == data.names("experiments")
    row = next(row for row in rows if row["name"] == "logic-pim-pays")
    assert row["title"] == "Where a Logic-PIM pays: TSV bandwidth, PIM compute, batch, model"
    assert row["points"] == 3 * 3 * 7 * 4 * 4
    assert "1,008" in run("list", "studies").out


def test_a_model_says_how_large_it_is(run) -> None:
    row = next(row for row in run("list", "models", "--json").json if row["name"] == "deepseek-v3")
    counts = parameters(load_model("deepseek-v3"))
    assert (row["parameters"], row["active_parameters"]) == (counts.total, counts.active)
    assert (row["layers"], row["attention"], row["top_k"], row["experts"], row["dtype"]) == (
        61,
        "mla",
        8,
        256,
        "fp8-block",
    )


def test_models_fit_in_80_columns(run, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("list", "models").out.splitlines()
    assert len(lines) == len(data.names("workloads/models")) + 2  # none goes on below
