from __future__ import annotations

import pytest

from simulator import data, load_model, load_system
from simulator.workload import kv_bytes_per_token, parameters, weight_bytes


def test_a_machine_adds_up_over_its_devices(run) -> None:
    document = run("show", "sn40l-node", "--json").json
    system, totals = load_system("sn40l-node"), document["totals"]
    assert document["kind"] == "machine"
    assert totals["tiers"]["socket.hbm"] == {
        "kind": "hbm",
        "count": 8,
        "capacity_bytes": 8 * 64 * 2**30,
        "bandwidth_bytes_per_s": 8 * 1.8e12,
    }
    assert totals["engines"]["socket.rdu"]["peak_flop_per_s"] == {"bf16": 8 * 638e12}
    assert totals["links"].keys() == system.links.keys()


def test_every_figure_has_its_source_and_its_si_value(run) -> None:
    figures = {figure["path"]: figure for figure in run("show", "sn40l-node", "--json").json["figures"]}
    bandwidth = figures["devices.socket.tiers.hbm.bandwidth"]
    assert (bandwidth["written"], bandwidth["value"]) == ("1.8 TB/s", 1.8e12)
    assert (bandwidth["role"], bandwidth["source"]) == ("input", "P Table II")
    assert figures["links.socket<->socket.bandwidth"]["role"] == "assumption"
    sourced = [figure for figure in figures.values() if figure["path"].split(".")[-1] in ("bandwidth", "capacity")]
    assert all(figure["source"] for figure in sourced)


def test_a_machine_as_a_table(run) -> None:
    told = run("show", "dgx-a100")
    assert told.code == 0
    for text in ("NVIDIA DGX A100", "687.2 GB", "2.496 PFLOP/s", "2.039 TB/s", "assumption", "hwconfigs/dgx-a100.yaml"):
        assert text in told.out


def test_a_key_stands_once_under_the_one_that_holds_it(run, chip) -> None:
    lines = run("show", chip()).out.splitlines()
    below = lines[next(place for place, line in enumerate(lines) if line.startswith("figure")) + 2 :]
    tree = [(len(line) - len(line.lstrip()), line.split()[0]) for line in below if line.strip()]
    assert tree[1:7] == [(0, "devices"), (2, "chip"), (4, "count"), (4, "tiers"), (6, "hbm"), (8, "kind")]
    assert tree.count((2, "chip")) == 1


def test_an_option_replaces_a_figure_and_says_so(run) -> None:
    document = run("show", "dgx-a100", "--set", "devices.gpu.count=4", "--json").json
    count = next(figure for figure in document["figures"] if figure["path"] == "devices.gpu.count")
    assert (count["value"], count["source"]) == (4, "--set")
    assert document["totals"]["tiers"]["gpu.hbm"]["count"] == 4


@pytest.mark.parametrize("name", ["llama-2-7b", "deepseek-v3", "grok-1", "opt-6.7b"])
def test_a_model_beside_what_is_published(run, name: str) -> None:
    model, document = load_model(name), run("show", name, "--json").json
    counts = document["parameters"]
    assert counts["total"] == parameters(model).total
    assert sum(counts.values()) - counts["total"] - counts["active"] == counts["total"]
    assert document["published_parameters"] == model.published.parameters
    assert document["weight_bytes"] == weight_bytes(model)
    assert document["kv_bytes_per_token"] == kv_bytes_per_token(model)
    assert document["shape"]["layers"] == model.layers
    shown = run("show", name).out
    assert f"{counts['total']:,}" in shown
    assert f"{model.published.parameters:,}" in shown


def test_an_experiment_with_its_figures(run) -> None:
    document = run("show", "sn40l-coe", "--json").json
    figures = {figure["path"]: figure for figure in document["figures"]}
    assert document["kind"] == "study"
    assert figures["base.workload.expert_bytes"]["value"] == "14.0 GB"
    assert "P Fig 12" in figures["base.workload.expert_bytes"]["source"]
    assert "Samba-CoE" in run("show", "sn40l-coe").out


def test_a_trace_is_nothing_to_show(run, write) -> None:
    told = run("show", write("trace.csv", "prompt,expert\na,0\n"))
    assert (told.code, told.out) == (2, "")
    assert "found trace in trace.csv" in told.err


def test_a_study_with_its_axes(run) -> None:
    file = data.folder("experiments") / "memory-wall" / "experiment.yaml"
    document = run("show", file, "--json").json
    axes = {axis["name"]: axis for axis in document["axes"]}
    assert (document["kind"], document["name"], document["points"]) == ("study", "memory-wall", 180)
    assert axes["ddr"]["unit"] == "B/s"
    assert axes["ddr"]["values"][0] == 25e9
    assert axes["experts"]["path"] == "workload.experts"
    figures = {figure["path"]: figure["value"] for figure in document["figures"]}
    assert (figures["base.workload.kind"], figures["objectives.ddr"]) == ("expert_models", "min")
    shown = run("show", file, "--set", "axes.workload.experts.values=[8]", "--set", "charts=null").out
    assert "36 points" in shown
    assert "25 GB/s .. 800 GB/s" in shown


def test_what_is_shown_of_a_model_and_a_scenario_reads_as_yaml(run, write) -> None:
    rule = "{of: [optimizer], in: cpu.dram, by: cpu.cpu}"
    text = f"hardware: xeon-6454s-rtx4090\nmodel: llama-2-7b\nmapping: {{engines: [gpu.gpu], placement: [{rule}]}}\n"
    shown = " ".join(run("show", write("step", text + "workload: {kind: training}\n")).out.split())
    assert "engines gpu.gpu" in shown and rule in shown
    model = " ".join(run("show", "llama-2-7b").out.split())
    assert "qkv_bias false" in model and "window_pattern true" in model and "aliases none" in model


def test_a_condition_of_an_axis_is_shown(run) -> None:
    file = data.folder("experiments") / "three-families" / "experiment.yaml"
    told = run("show", file)
    assert "family == 'family-gpu'" in told.out
    assert "family-gpu, family-dataflow, family-logic-pim" in told.out


def test_a_cost_table_with_its_sources(run) -> None:
    document = run("show", "silicon", "--json").json
    figures = {figure["path"]: figure for figure in document["figures"]}
    price = figures["technologies.hbm3.price"]
    assert document["kind"] == "cost table"
    assert (price["written"], price["value"]) == ("15 USD/GB", 15e-9)
    assert "Z 15" in price["source"] and "Z 15" in run("show", "silicon").out
