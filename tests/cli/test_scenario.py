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
        (("--dtype", "fp7"), "error: --dtype: "),
        (("--batch", 0), "--batch: found 0, expected 1 or more"),
        (("--phase", "decod"), "error: --phase: found 'decod', expected one of"),
        (("--acceptance", 0.5), "error: --draft: "),
        (("--model", "llama-3.1-8c"), "did you mean 'llama-3-8b'"),
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
