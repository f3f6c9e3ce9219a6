from __future__ import annotations

import re

import pytest

import simulator

DGX = ("estimate", "--hardware", "dgx-a100", "--model", "llama-2-7b")
KEYS = ["ttft_s", "tbt_s", "e2e_s", "tokens_per_s", "bound_by", "energy_j", "tiers", "max_batch", "max_context"]


def test_the_document_is_the_estimate(run) -> None:
    asked = ("--batch", 8, "--input", 256, "--output", 64, "--devices", 4)
    document = run(*DGX, *asked, "--json").json
    assert document == simulator.estimate("dgx-a100", "llama-2-7b", 8, 256, 64, devices=4).as_json()
    assert set(KEYS) <= document.keys()


def test_options_reach_the_machine_and_the_model(run) -> None:
    settings = ("--set", "devices.gpu.tiers.hbm.bandwidth=3 TB/s", "--set", "model.layers=16", "--dtype", "int8")
    overrides = ("devices.gpu.tiers.hbm.bandwidth=3 TB/s", "model.layers=16")
    document = run(*DGX, *settings, "--json").json
    assert document == simulator.estimate("dgx-a100", "llama-2-7b", overrides=overrides, dtype="int8").as_json()
    assert document["tbt_s"] < run(*DGX, "--json").json["tbt_s"]


def test_a_person_reads_human_units(run) -> None:
    told = run(*DGX, "--batch", 8)
    assert (told.code, told.err) == (0, "")
    answer = simulator.estimate("dgx-a100", "llama-2-7b", 8)
    for text in (
        f"{answer.ttft_s * 1e3:.4g} ms",
        f"{answer.tokens_per_s:,.4g} tok/s",
        "687.2 GB: weights 13.48 GB, keys and values 2.684 GB, activations",
        f"bound by {answer.bound_by['tbt']}",
        f"batch {answer.max_batch:,}",
        "J a token",
    ):
        assert text in told.out


def test_a_format_without_a_rate_is_told_with_what_it_is_widened_to(run) -> None:
    assert "weights fp8, KV bf16, computes in fp8, widened to bf16)" in run(*DGX, "--dtype", "fp8").out
    assert "computes in bf16)" in run(*DGX).out


def test_a_machine_without_figures_of_energy_says_what_it_lacks(run) -> None:
    arguments = ("estimate", "--hardware", "sn40l", "--model", "llama-2-7b")
    document, shown = run(*arguments, "--json").json, run(*arguments).out
    assert document["energy_j"] is None
    first, *more = document["energy_missing"]
    assert f"sn40l lacks {first} and {len(more)} more, see --json" in shown


@pytest.mark.parametrize("hardware", ["dgx-a100", "sn40l-node"])
def test_an_explanation_is_added(run, hardware: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    arguments = ("estimate", "--hardware", hardware, "--model", "llama-2-7b")
    document, shown = run(*arguments, "--json", "--explain").json, run(*arguments, "--explain").out
    lines = document.pop("explain")
    assert document == run(*arguments, "--json").json
    assert shown.startswith(run(*arguments).out)
    for line in lines:
        if len(line["name"]) < 40 and line["part"] != "input":
            assert line["name"] in shown
            assert line["equation"] in shown
    assert f"the head of {simulator.load_system(hardware).config.file.parent.name}/{hardware}.yaml" in shown


def test_stages_replicas_and_drafts_are_options(run) -> None:
    arguments = ("estimate", "--hardware", "dgx-a100", "--model", "llama-3-70b", "--batch", 8)
    told = run(*arguments, "--pipeline", 2, "--data", 2)
    assert "tensor 2 x pipeline 2 x data 2" in told.out
    document = run(*arguments, "--pipeline", 2, "--data", 2, "--json").json
    assert document == simulator.estimate("dgx-a100", "llama-3-70b", 8, pipeline=2, data=2).as_json()
    drafts = ("--draft", "llama-3-8b", "--drafted", 3, "--acceptance", 0.7)
    assert "3 drafted by llama-3-8b, 2.53 a step" in run(*arguments, *drafts).out
    assert run(*arguments, *drafts, "--json").json["speculation"]["acceptance"] == 0.7
    refused = run(*arguments, "--pipeline", 3)
    assert (refused.code, "the number of devices, 8" in refused.err) == (2, True)


@pytest.mark.slow
def test_a_run_that_spills_says_in_which_order_and_how_much_more_fits(run) -> None:
    arguments = ("estimate", "--hardware", "sn40l-node", "--model", "llama-2-7b", "--input", 64, "--output", 4)
    told = run(*arguments, "--spill", "ddr")
    assert told.code == 0 and "fits: batch 0" not in told.out
    document = run(*arguments, "--spill", "ddr", "--spill-order", "weights_last", "--json").json
    assert document["max_batch"] > run(*arguments, "--json").json["max_batch"]
    assert "--spill-order: found 'last', expected" in run(*arguments, "--spill", "ddr", "--spill-order", "last").err


def test_engines_and_a_dispatch_are_options(run) -> None:
    """On a machine with a PIM, a dispatch over both engines of its device."""
    asked = ("estimate", "--hardware", "duplex-node", "--model", "mixtral-8x7b", "--batch", 64)
    told = run(*asked, "--dispatch", "by_op_per_byte")
    assert (told.code, told.err) == (0, "")
    assert "4 x xpu.xpu and xpu.pim, by_op_per_byte" in told.out
    document = run(*asked, "--dispatch", "by_op_per_byte", "--json").json
    assert document["engines"] == ["xpu.xpu", "xpu.pim"]
    assert document["tbt_s"] < run(*asked, "--json").json["tbt_s"]
    assert run(*asked, "--engines", "xpu.pim", "--json").json["engine"] == "xpu.pim"
    for option, mistake in (
        (("--engines", "xpu.pmi"), "--engines: .*found 'xpu.pmi', expected one of xpu.xpu, xpu.pim; did you mean"),
        (("--dispatch", "by_op_per_bite"), "--dispatch: found 'by_op_per_bite', .*did you mean 'by_op_per_byte'"),
    ):
        refused = run(*asked, *option)
        assert (refused.code, refused.out) == (2, "")
        assert re.search(mistake, refused.err)


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ("{experts: -1}", "--placement.0.cache.experts: found -1, expected at least 0"),
        ("{exprts: 3}", "--placement.0.cache.exprts: unknown key: .*did you mean 'experts'"),
        (
            "{experts: 2, routing: {kind: zipf, experts: 8, top_k: 2, exponnt: 1}}",
            "routing.exponnt: .*did you mean 'exponent'",
        ),
        ("{experts: 2, routing: none.csv, seed: 3}", "cache.(seed|routing): found"),
    ],
)
def test_a_mistake_inside_an_option_is_told_by_its_key(run, cache: str, told: str) -> None:
    asked = ("estimate", "--hardware", "rtx4090-gen4", "--model", "mixtral-8x7b", "--placement")
    refused = run(*asked, f"{{of: experts, in: host, cache: {cache}}}")
    assert (refused.code, refused.out) == (2, "")
    assert re.search(told, refused.err)
