from __future__ import annotations

import json

from simulator import data

TRACE = "prompt,expert\na,0\nb,4\n"


def test_all_that_we_ship_is_right(run) -> None:
    files = [data.find(name, folder) for folder in ("hwconfigs", "experiments") for name in data.names(folder)]
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
