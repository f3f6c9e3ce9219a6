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


def test_tables_of_resources_and_axes(run, write) -> None:
    told = run("sensitivity", write("sweep.yaml", SWEEP), "--at", "batch=4", "--samples", 32)
    assert (told.code, told.err) == (0, "")
    for text in ("percent of the time for one percent of a resource", "gpu.hbm->gpu.gpu", "latency", "none: "):
        assert text in told.out
    assert "tokens_per_s as one axis moves" in told.out
    assert "share of the variance of tokens_per_s" in told.out


def test_figures_and_tables_are_written(run, write) -> None:
    told = run("sensitivity", write("sweep.yaml", SWEEP), "--samples", 0, "--output", "out", "--metric", "tbt_s")
    names = {"design.csv", "elasticity.csv", "tornado.csv", "elasticity.svg", "tornado.svg"}
    assert {file.name for file in Path("out").iterdir()} == names
    assert "written: out/tornado.svg" in told.out
    assert Path("out/tornado.svg").read_text().count("<svg") == 1


def test_the_document(run, write) -> None:
    document = run("sensitivity", write("sweep.yaml", SWEEP), "--samples", 16, "--json").json
    assert document.keys() == {"design", "elasticity", "tornado", "sobol"}
    assert {row["axis"] for row in document["sobol"]} == {"batch", "devices", "hbm"}


def test_mistakes(run, write) -> None:
    file = write("sweep.yaml", SWEEP)
    assert "--at: no such axis: found 'btch'" in run("sensitivity", file, "--at", "btch=1").err
    assert "expected NAME=VALUE, such as batch=8" in run("sensitivity", file, "--at", "batch").err
    assert "a name that is there already" in run("sensitivity", file, "--at", "batch=1", "--at", "batch=4").err
    assert "did you mean 'tbt_s'" in run("sensitivity", file, "--metric", "tbts").err
    assert "expected a power of two" in run("sensitivity", file, "--samples", 100).err
