from __future__ import annotations

from pathlib import Path

SWEEP = """\
schema: 1
base: {model: llama-3-8b, workload: {input: 1024, batch: 8}, mapping: {devices: 1}}
axes:
  hardware: {values: [dgx-a100, dgx-h100], name: machine}
  hardware.devices.gpu.tiers.hbm.bandwidth: {geomspace: [0.5 TB/s, 8 TB/s, 5], when: "machine == 'dgx-h100'", name: hbm}
objectives: {tokens_per_s: max}
"""
BETWEEN = ("--along", "hbm", "--between", "machine=dgx-a100,dgx-h100")


def test_where_the_better_changes(run, write) -> None:
    told = run("crossover", write("sweep.yaml", SWEEP), *BETWEEN)
    assert (told.code, told.err) == (0, "")
    first, *_ = told.out.splitlines()
    assert first.startswith("at hbm ")
    assert first.endswith(" TB/s: machine dgx-a100 is better below, machine dgx-h100 above")
    assert "tokens_per_s (max is better)" in told.out


def test_no_crossing(run, write) -> None:
    told = run("crossover", write("sweep.yaml", SWEEP), *BETWEEN, "--metric", "needed_bytes")
    assert told.out.startswith("no crossing: neither is better from hbm 500 GB/s to 8 TB/s")


def test_the_document(run, write) -> None:
    document = run("crossover", write("sweep.yaml", SWEEP), *BETWEEN, "--json").json
    (row,) = document["crossings"]
    assert row["low"] == row["high"]
    assert row["wins_below"] == "machine dgx-a100"
    assert len(document["curve"]) == 5


def test_mistakes(run, write) -> None:
    file: Path = write("sweep.yaml", SWEEP)
    told = run("crossover", file, "--along", "hbm", "--between", "machine=dgx-a100")
    assert (told.code, told.out) == (2, "")
    assert "--between: found 'machine=dgx-a100', expected NAME=FIRST,SECOND" in told.err
    told = run("crossover", file, "--along", "hbn", "--between", "machine=dgx-a100,dgx-h100")
    assert "--along: no such axis: found 'hbn', expected one of machine, hbm; did you mean 'hbm'?" in told.err
    told = run("crossover", file, "--along", "hbm", "--between", "machine=dgx-a100,dgx-h1000")
    assert "did you mean 'dgx-h100'" in told.err
