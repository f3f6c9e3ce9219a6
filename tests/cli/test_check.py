from __future__ import annotations

import json

import pytest

from simulator import data

TRACE = "prompt,expert\na,0\nb,4\n"


@pytest.mark.slow
def test_all_that_we_ship_is_right(run) -> None:
    folders = (
        "hwconfigs",
        "hwconfigs/parts",
        "hwconfigs/calibrations",
        "hwconfigs/costs",
        "hwconfigs/runtimes",
        "experiments",
        "workloads/routing",
        "workloads/eager",
    )
    files = [data.find(name, folder) for folder in folders for name in data.names(folder)]
    files += list(data.folder("experiments").glob("*/published.csv"))
    files += [data.find(name, "workloads/models") for name in ("llama-2-7b", "deepseek-v3", "mixtral-8x7b")]
    told = run("check", *files)
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert len(lines) == len(files)
    assert all(line.startswith(f"{file}: ok, ") for file, line in zip(files, lines, strict=True))


def test_each_file_says_what_is_in_it(run, chip, write) -> None:
    hf = """{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100,
        "num_attention_heads": 4, "intermediate_size": 128}"""
    files = [chip(), write("trace.csv", TRACE), write("tiny/config.json", hf), "mistral-7b"]
    found = run("check", *files, "--json").json
    assert [(row["kind"], row["ok"], row["problems"]) for row in found] == [
        ("machine", True, []),
        ("trace", True, []),
        ("model", True, []),
        ("model", True, []),
    ]
    assert [row["summary"] for row in found] == [
        "machine chip: 2 x chip",
        "trace of 2 prompts over 5 experts",
        "model tiny: 95.04K parameters in 2 layers",
        "model mistral-7b: 7.242B parameters in 32 layers",
    ]


VISION = """{"model_type": "qwen2_5_vl", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100,
    "num_attention_heads": 4, "intermediate_size": 128,
    "vision_config": {"model_type": "KIND", "depth": 2, "hidden_size": 64, "num_heads": HEADS,
    "intermediate_size": 128, "out_hidden_size": 64, "fullatt_block_indexes": [1]}}"""


@pytest.mark.parametrize(
    ("kind", "heads", "code", "told"),
    [
        ("qwen2_5_vl", 4, 0, "; tower of images #vision: "),
        ("qwen2_5_vl", 5, 2, "config.json:3: vision_config.num_heads: heads that do not divide the width of the tower"),
        ("gwen", 4, 0, "warning: "),
    ],
)
def test_the_tower_of_a_config_is_checked_with_it(run, write, kind: str, heads: int, code: int, told: str) -> None:
    file = write("v/config.json", VISION.replace("KIND", kind).replace("HEADS", str(heads)))
    checked = run("check", file)
    assert checked.code == code
    assert told in checked.out + checked.err


def test_every_problem_of_every_file_is_told(run, chip, write) -> None:
    trace = write("trace.csv", "prompt,expert\na,-1\n")
    good = write("good.csv", TRACE)
    bad = chip("reads: {hbm: {}}\nlinks:\n  chip<->chip", "reads: {hmb: {}}\nlinks:\n  chip<->hots")
    told = run("check", bad, good, trace, "gone.yaml")
    assert told.code == 2
    assert told.out == f"{good}: ok, trace of 2 prompts over 5 experts\n"
    mistakes = ["chip.yaml:12: ", "chip.yaml:14: ", "trace.csv:2: ", "no such file or name: found 'gone.yaml'"]
    assert len(told.err.splitlines()) == len(mistakes)
    for line, mistake in zip(told.err.splitlines(), mistakes, strict=True):
        assert line.startswith(f"error: {mistake}")


def test_the_document_tells_the_problems_too(run, chip, write) -> None:
    told = run("check", chip("80 GiB", "80 GHz"), write("good.csv", TRACE), "gone.yaml", "--json")
    assert told.code == 2
    bad, good, gone = json.loads(told.out)
    assert (bad["kind"], bad["ok"], good["ok"], gone["kind"]) == ("machine", False, True, None)
    assert "devices.chip.tiers.hbm.capacity" in bad["problems"][0]


SWEEP = """\
title: batches
base: {hardware: dgx-h100, model: llama-3-8b, workload: {phase: decode}}
zip: [{workload.input: [512, 1024], workload.output: [128, 256]}]
axes: {workload.batch: {range: [1, 5], name: batch}}
derived: {both: batch * 2}
constraints: [both <= 6]
objectives: {tokens_per_s: max, batch: min}
"""


def test_a_study_says_what_it_asks_for(run, write) -> None:
    (found,) = run("check", write("batches.yaml", SWEEP), "--json").json
    assert (found["kind"], found["ok"]) == ("study", True)
    assert found["summary"] == (
        "study of 8 points over input and output (2), batch (4); constraints both <= 6; "
        "objectives tokens_per_s max, batch min"
    )


SMALL = "{extends: dgx-h100, devices.gpu.tiers.hbm.capacity: 9 GB}"


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("workload.batch", "workload.bacth", 'batches.yaml:4: axes."workload.bacth": no such figure'),
        ("tokens_per_s", "tokens_per_sec", "batches.yaml:7: objectives.tokens_per_sec: unknown name"),
        ("{phase", "{kind: bach, phase", "2: base.workload.kind: found 'bach', expected one of"),
        ("[1, 5]", "[5, 5]", 'batches.yaml:4: axes."workload.batch".range: an empty axis'),
        ("both <= 6", "bound_by <= 6", "batches.yaml:6: constraints.0: in 'bound_by <= 6': found 'bound_by'"),
        ("{hardware: dgx-h100", f"{{mapping: {{devices: 1}}, hardware: {SMALL}", "do not fit"),
        (
            "{hardware",
            "{mapping: {memory: hbn}, hardware",
            "yaml:2: base.mapping.memory: found 'hbn', expected",
        ),
        ("axes: {", "axes: {mapping.memory: [hbm, hbn], ", "4: axes.\"mapping.memory\".1: found 'hbn'"),
        ("axes: {", "axes: {mapping.dispatch: [null, xpu_onli], ", "found 'xpu_onli', expected one of"),
        ("{phase", "{router: zipff, phase", "2: base.workload.router: unknown key"),
        ("{phase", "{experts: 5, phase", "2: base.workload.experts: unknown key"),
        ("tokens_per_s: max", "price_usd: min", "objectives.price_usd: found 'price_usd', and no costs in the base"),
        ("batch * 2", "batch * area_m2", "derived.both: found 'area_m2', and no costs in the base"),
        ("tokens_per_s: max", "ttft_s: min", "objectives.ttft_s: no point of those tried has it"),
        ("both <= 6", "e2e_s <= 6", "constraints.0: no point of those tried has 'e2e_s'"),
        ("{hardware", "{costs: silicone, hardware", "did you mean 'silicon'?"),
    ],
)
def test_a_sweep_that_cannot_be_computed_is_refused(run, write, old: str, new: str, mistake: str) -> None:
    told = run("check", write("batches.yaml", SWEEP.replace(old, new, 1)))
    assert (told.code, told.out) == (2, "")
    assert mistake in told.err


def test_the_runs_of_a_study_are_told(run) -> None:
    (found,) = run("check", "sn40l-decode", "--json").json
    assert found["kind"] == "study"
    assert "lengths: 15 points over model (3), input and output (5)" in found["summary"]


def test_published_values_are_checked_with_their_study(run, write) -> None:
    write("mine/experiment.yaml", SWEEP)
    header = "figure,metric,condition,role,published,unit,tolerance,source\n"
    write("mine/published.csv", f"{header}1,tokens_per_s,batch=3 input=512,prediction,1,tokens/s,0,s\n")
    assert run("check", "mine/experiment.yaml").code == 0
    write("mine/published.csv", f"{header}1,tokens_per_s,batch=9 input=512,prediction,1,tokens/s,0,s\n")
    assert (
        "published.csv:2: tokens_per_s: no such case: found batch=9 input=512"
        in run("check", "mine/experiment.yaml").err
    )
    write("mine/published.csv", f"{header}1,tokens_per_s,input=512,prediction,1,tokens/s,0,s\n")
    assert "published.csv:2: tokens_per_s: several cases: found " in run("check", "mine").err
    assert "with input=512, expected one: say its batch" in run("reproduce", "mine").err
    write("mine/published.csv", f"{header}1,tokens_per_sec,batch=1,prediction,1,tokens/s,0,s\n")
    assert (
        "published.csv:2: tokens_per_sec: no such metric: found 'tokens_per_sec'"
        in run("check", "mine/experiment.yaml").err
    )


def test_a_cost_table_by_name_and_by_file(run, write) -> None:
    good = write("mine.yaml", "extends: silicon\nname: mine\ntiers: {hbm: hbm2e}\n")
    told = run("check", "silicon", good)
    assert told.out.splitlines()[1] == f"{good}: ok, cost table mine: 6 processes, 13 memories and links"
    bad = run("check", write("bad.yaml", "extends: silicon\nname: bad\ntiers: {hbm: hbm2f}\n"))
    assert bad.code == 2
    assert "bad.yaml:3: tiers.hbm: found 'hbm2f'" in bad.err


FAST = "reads: {hbm: {bandwidth: 9 TB/s}}"


def test_what_is_probably_wrong_is_told_and_is_ok(run, chip) -> None:
    file = chip("reads: {hbm: {}}", FAST)
    told = run("check", file)
    assert (told.code, told.err.count("warning: ")) == (0, 1)
    assert "chip.yaml:12: devices.chip.engines.core.reads.hbm.bandwidth: nothing depends on it" in told.err
    assert "chip.yaml: ok" in told.out
    assert run("check", file, "--strict").code == 2


def test_a_document_has_the_warnings_of_its_file(run, chip) -> None:
    fast, plain = run("check", chip("reads: {hbm: {}}", FAST), "dgx-h100", "--json").json
    assert len(fast["warnings"]) == 1
    assert fast["ok"]
    assert plain["warnings"] == []


def test_shipped_files_are_told_nothing(run) -> None:
    told = run("check", "--strict", "dgx-h100", "sn40l-node", "duplex-node", "llama-3-8b", "silicon", "sn40l-decode")
    assert (told.code, told.err) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        ("estimate", "--hardware", "chip.yaml", "--model", "llama-3-8b"),
        ("kernels", "--hardware", "chip.yaml", "--model", "llama-3-8b"),
        ("roofline", "--hardware", "chip.yaml", "--model", "llama-3-8b"),
        ("show", "chip.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_each_command_tells_once(run, chip, command: tuple[str, ...]) -> None:
    chip("reads: {hbm: {}}", FAST)
    told = run(*command)
    assert (told.code, told.err.count("nothing depends on it")) == (0, 1)
    document = run(*command, "--json").json
    assert len(document["warnings"]) == 1
    chip()
    assert "warnings" not in run(*command, "--json").json
