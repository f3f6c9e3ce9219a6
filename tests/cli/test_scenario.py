"""A question that is kept in a file: what it says is what its options said."""

from __future__ import annotations

import pytest
import yaml

ASKED = {
    "plain": ("--hardware", "dgx-h100", "--model", "llama-3.1-8b", "--batch", 3, "--input", 700, "--output", 33),
    "figures": (
        "--hardware", "dgx-a100", "--model", "llama-2-7b", "--dtype", "int8", "--kv", "fp8",
        "--set", "devices.gpu.tiers.hbm.bandwidth=3.1 TB/s", "--set", "model.layers=17",
    ),
    "stages": ("--hardware", "dgx-h100", "--model", "llama-3-70b", "--batch", 8, "--pipeline", 2, "--data", 2),
    "phase": ("--hardware", "m1-max", "--model", "phi-2", "--phase", "decode"),
    "drafts": (
        "--hardware", "dgx-h100", "--model", "llama-3-70b", "--draft", "llama-3-8b", "--drafted", 3,
        "--acceptance", 0.7,
    ),
    "dispatch": ("--hardware", "duplex-node", "--model", "mixtral-8x7b", "--dispatch", "by_op_per_byte", "--batch", 9),
    "spill": ("--hardware", "sn40l-node", "--model", "llama-2-7b", "--spill", "ddr", "--output", 4),
}  # fmt: skip


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_scenario_printed_and_evaluated_from_its_file_gives_equal_numbers(run, write, asked) -> None:
    printed = run("estimate", *asked, "--scenario")
    assert (printed.code, printed.err) == (0, "")
    file = write("kept.yaml", printed.out)
    assert run("estimate", file, "--json").json == run("estimate", *asked, "--json").json
    assert run("estimate", file, "--scenario").out == printed.out


KEPT = """\
schema: 1
hardware: dgx-h100
model: llama-3.1-8b
mapping: {devices: 2, dtype: fp8}
workload: {kind: batch, batch: 4, input: 256, output: 16}
"""


def test_options_replace_what_a_file_says(run, write) -> None:
    file = write("kept.yaml", KEPT)
    options = ("--hardware", "dgx-h100", "--model", "llama-3.1-8b", "--input", 256, "--output", 16)
    changed = run("estimate", file, "--batch", 8, "--json").json
    assert changed == run("estimate", *options, "--devices", 2, "--dtype", "fp8", "--batch", 8, "--json").json
    other = run("estimate", file, "--model", "phi-2", "--dtype", "bf16", "--json").json
    assert (other["model"], other["batch"], other["formats"]["weights"]) == ("phi-2", 4, "bf16")
    assert yaml.safe_load(run("estimate", file, "--set", "devices.gpu.tiers.hbm.bandwidth=1 TB/s", "--scenario").out)[
        "hardware"
    ] == {"extends": "dgx-h100", "devices.gpu.tiers.hbm.bandwidth": "1 TB/s"}


@pytest.mark.parametrize(
    ("option", "mistake"),
    [
        (("--pipeline", 3), "error: --pipeline: "),
        (("--dtype", "fp7"), "error: --dtype / --quantization: "),
        (("--batch", 0), "--batch: found 0, expected 1 or more"),
        (("--phase", "decod"), "error: --phase: found 'decod', expected one of"),
        (("--acceptance", 0.5), "error: --draft: "),
        (("--model", "llama-3.1-8c"), "did you mean 'llama-3.1-8b'"),
    ],
)
@pytest.mark.parametrize("kept", [True, False], ids=["file", "options"])
def test_a_mistake_in_an_option_is_told_by_it(run, write, option, mistake: str, kept: bool) -> None:
    named = (write("kept.yaml", KEPT),) if kept else ("--hardware", "dgx-h100", "--model", "llama-3.1-8b")
    told = run("estimate", *named, *option)
    assert (told.code, told.out) == (2, "")
    assert mistake in told.err


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("dtype: fp8", "dtype: fp7", "kept.yaml:4: mapping.dtype: found 'fp7'"),
        ("devices: 2", "devises: 2", "kept.yaml:4: mapping.devises: unknown key"),
        ("batch: 4", "batch: 0", "kept.yaml:5: workload.batch: found 0, expected at least 1"),
        ("kind: batch", "kind: batc", "kept.yaml:5: workload.kind: found 'batc'"),
        ("model: ", "modle: ", "kept.yaml:3: modle: unknown key"),
        ("devices: 2", "scheduler: {max_sequences: 2}", "kept.yaml:4: mapping.scheduler: "),
        ("llama-3.1-8b", "llama-3.1-8c", "kept.yaml:3: model: "),
        ("devices: 2", "devices: 9", "kept.yaml:4: mapping.devices: "),
    ],
)
def test_a_mistake_in_the_file_is_told_at_its_line(run, write, old: str, new: str, mistake: str) -> None:
    told = run("estimate", write("kept.yaml", KEPT.replace(old, new)))
    assert (told.code, told.out) == (2, "")
    assert mistake in told.err


def test_any_kind_of_workload_is_evaluated_from_its_file(run, write) -> None:
    file = write("serve.yaml", KEPT.replace("kind: batch, batch: 4,", "kind: requests, rate: 3, requests: 9,"))
    document = run("estimate", file, "--json").json
    assert document["metrics"]["ttft_p50_s"] > 0
    assert "time to first token" in run("estimate", file).out
    refused = run("estimate", file, "--explain")
    assert refused.code == 2 and "--explain: found a workload of kind 'requests'" in refused.err


@pytest.mark.parametrize("file", [True, False], ids=["file", "options"])
@pytest.mark.parametrize(
    ("override", "root", "expected"),
    [
        ("mapping.devices=4", "mapping", {"devices": 4}),
        ("workload.batch=64", "workload", {"kind": "batch", "batch": 64}),
        ("costs=silicon", "costs", "silicon"),
        ("sized.devices=3", "sized", {"devices": 3}),
        ("devices.gpu.count=2", "hardware", {"extends": "dgx-h100", "devices.gpu.count": 2}),
    ],
)
def test_set_replaces_any_value_of_a_scenario(run, write, file, override, root, expected) -> None:
    options = ("--hardware", "dgx-h100", "--model", "llama-3.1-8b")
    given = (write("plain.yaml", "hardware: dgx-h100\nmodel: llama-3.1-8b\n"),) if file else options
    printed = run("estimate", *given, "--set", override, "--scenario")
    assert (printed.code, printed.err) == (0, "")
    assert yaml.safe_load(printed.out)[root] == expected
    kept = write("kept.yaml", printed.out)
    if root != "sized":  # 3 devices do not divide its heads
        assert run("estimate", kept, "--json").json == run("estimate", *given, "--set", override, "--json").json


def test_set_of_a_key_that_the_workload_does_not_read_is_told_as_it_was_typed(run, write) -> None:
    file = write("kept.yaml", KEPT)
    told = run("estimate", file, "--set", "mapping.residency.policy=lfu")
    assert told.code == 2
    assert "mapping.residency" in told.err and "hardware" not in told.err


def test_set_of_the_residency_of_expert_models(run, write) -> None:
    experts = "hardware: sn40l-node\nmodel: llama-2-7b\nworkload: {kind: expert_models}\n"
    file = write("experts.yaml", experts)
    printed = yaml.safe_load(run("estimate", file, "--set", "mapping.residency.policy=lfu", "--scenario").out)
    assert printed["mapping"] == {"residency": {"policy": "lfu"}}


def test_an_estimate_shows_what_the_machine_costs(run, write) -> None:
    import simulator

    file = write("kept.yaml", KEPT + "costs: silicon\n")
    known = simulator.evaluate(file).metrics
    answer = run("estimate", file, "--json").json
    names = ("area_m2", "price_usd", "peak_power_w")
    assert {name: answer[name] for name in names} == {name: known[name] for name in names}
    out = run("estimate", file).out
    assert all(label in out for label in ("die area", "price of the machine", "peak power of the machine"))
    assert not set(names) & run("estimate", write("free.yaml", KEPT), "--json").json.keys()


def test_an_estimate_refuses_costs_that_there_are_not(run, write) -> None:
    told = run("estimate", write("kept.yaml", KEPT + "costs: silicone\n"))
    assert (told.code, "kept.yaml:6: costs" in told.err, "did you mean 'silicon'" in told.err) == (2, True, True)


@pytest.mark.parametrize("command", ["kernels", "roofline"])
def test_the_scenario_of_a_pass_has_its_fusion(run, command) -> None:
    asked = (command, "--hardware", "dgx-h100", "--model", "llama-3.1-8b", "--scenario", "--fusion")
    assert yaml.safe_load(run(*asked, "unfused").out)["mapping"] == {"fusion": "unfused"}
    assert run(*asked, "whole").err.startswith("error: --fusion: found 'whole'")  # an ideal, of no engine


STUDY = """\
title: batches
base: {hardware: dgx-h100, model: llama-3.1-8b}
axes: {workload.batch: [1, 2]}
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("estimate", "kep.yaml"), "no such file: found 'kep.yaml'"),
        (("estimate", "study.yaml"), "study.yaml: this is a study"),
        (("sweep", "kept.yaml", "--output", "points"), "kept.yaml: this is a scenario"),
        (("simulate", "kept.yaml"), "kept.yaml:5: workload.kind: found 'batch', expected 'requests'"),
        (("reproduce", "kept.yaml"), "kept.yaml: this is a scenario"),
    ],
)
def test_a_command_tells_a_scenario_from_a_study(run, write, asked, told) -> None:
    write("kept.yaml", KEPT)
    write("study.yaml", STUDY)
    found = run(*asked)
    assert (found.code, told in found.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dtype", "q4_0"), "--dtype / --quantization: found weights in q4_0"),
        (("--set", "workload.micro_batches=3"), "--set: workload.micro_batches: found 3"),
        (("--set", "workload={kind: sparse_flash}"), "error: mapping.residency.home: missing key"),  # it has no option
    ],
)
def test_a_key_is_told_by_its_option_where_a_command_has_one(run, options, told) -> None:
    training = ("--set", "workload.kind=training") if "workload={" not in options[1] else ()
    found = run("estimate", "--hardware", "phone-ufs4", "--model", "llama-3.1-8b", *training, *options)
    assert (found.code, told in found.err) == (2, True)


def test_check_and_show_know_a_scenario(run, write) -> None:
    file, wrong = write("kept.yaml", KEPT), write("wrong.yaml", KEPT.replace("batch: 4", "batch: 0"))
    assert run("check", file).out == "kept.yaml: ok, scenario of batch: llama-3.1-8b on dgx-h100\n"
    assert run("show", file, "--json").json["kind"] == "scenario"
    for command in ("check", "show"):
        assert run(command, wrong).err == "error: wrong.yaml:5: workload.batch: found 0, expected at least 1\n"
