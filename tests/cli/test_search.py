from __future__ import annotations

from pathlib import Path

SWEEP = """\
schema: 1
base:
  costs: silicon
  hardware: dgx-h100
  model: llama-3-8b
  workload: {input: 512}
axes:
  workload.batch: {values: [1, 4, 16], name: batch}
  mapping.devices: {values: [1, 2, 4], name: devices}
  hardware.devices.gpu.tiers.hbm.bandwidth: {values: [1 TB/s, 2 TB/s, 4 TB/s], name: hbm}
constraints: ["tbt_s <= 0.05"]
objectives: {tokens_per_s: max, devices: min}
"""


def test_the_front_is_printed_and_what_the_search_was_worth(run, write) -> None:
    file = write("sweep.yaml", SWEEP)
    told = run("search", file, "--evaluations", 20, "--batch", 4, "--output", "out")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("20 of 27 points evaluated (local), 20 feasible, ")
    assert "best (" in told.out
    assert "random" in told.out.split("hypervolume")[1]
    assert "written: out" in told.out
    assert {"search.jsonl", "sweep.json"} <= {file.name for file in Path("out").iterdir()}
    alone = run("search", file, "--evaluations", 20, "--alone")
    assert "random" not in alone.out


def test_the_document(run, write) -> None:
    document = run("search", write("sweep.yaml", SWEEP), "--method", "sobol", "--evaluations", 9, "--json").json
    assert document["search"][0]["evaluated"] == 9
    assert {row["method"] for row in document["progress"]} == {"sobol", "random"}
    assert {"batch", "devices", "hbm", "tokens_per_s"} <= document["best"][0].keys()


def test_mistakes(run, write) -> None:
    file = write("sweep.yaml", SWEEP)
    assert "did you mean 'local'" in run("search", file, "--method", "locla").err
    assert "--evaluations: found 0, expected 1 or more" in run("search", file, "--evaluations", 0).err
    told = run("search", file, "--evaluations", 9, "--set", "constraints=[tbt_s <= 1e-9]")
    assert told.code == 2
    assert "no feasible point: found none of 9 points; 'tbt_s <= 1e-9' rules out 9" in told.err
