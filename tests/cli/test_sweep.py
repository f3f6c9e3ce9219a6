from __future__ import annotations

import json
from pathlib import Path

import pytest

SWEEP = """\
schema: 1
base: {hardware: dgx-h100, model: llama-3-8b, workload: {phase: decode, input: 256}}
axes:
  workload.batch: {values: [1, 8], name: batch}
  hardware.devices.gpu.tiers.hbm.bandwidth: {values: [1 TB/s, 4 TB/s], name: hbm}
constraints: ["tbt_s <= 1"]
objectives: {tokens_per_s: max, hbm: min}
"""


def swept(run, write, text: str = SWEEP, *options: str):
    return run("sweep", write("sweep.yaml", text), "--output", "out", "--workers", 1, *options)


def test_the_best_are_printed_and_the_folder_named(run, write) -> None:
    told = swept(run, write)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("out: 4 points computed, 4 feasible\n")
    assert "best (2)" in told.out
    header = next(line for line in told.out.splitlines() if "tokens_per_s" in line)
    assert header.split()[:2] == ["batch", "hbm"]  # although all of the best have the same batch
    again = swept(run, write)
    assert "all 4 points were there: nothing to compute" in again.out


def test_the_document(run, write) -> None:
    document = swept(run, write, SWEEP, "--json").json
    assert document["sweep"][0]["points"] == document["sweep"][0]["feasible"] == 4
    assert [row["workload.batch"] for row in document["best"]] == [8, 8]


def test_where_nothing_is_feasible_it_says_what_rules_out(run, write) -> None:
    told = swept(run, write, SWEEP.replace("tbt_s <= 1", "tbt_s <= 1e-6"))
    assert told.code == 2
    assert "no feasible point: found none of 4 points; 'tbt_s <= 1e-6' rules out 4" in told.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tiers.hbm.bandwidth", "tiers.hbm.bandwith", "sweep.yaml:5: .*no such figure: .*did you mean 'bandwidth'"),
        ("values: [1, 8]", "range: [8, 1]", "sweep.yaml:4: .*an empty axis: found 8 to before 1 by 1"),
        ("values: [1, 8]", "values: []", "sweep.yaml:4: .*values: found none, expected 1 or more"),
        ("tokens_per_s: max", "tokens_per_sec: max", "objectives.tokens_per_sec: .*did you mean 'tokens_per_s'"),
        ("tbt_s <= 1", "tbt <= 1", "constraints.0: .*unknown name: found 'tbt', .*did you mean 'tbt_s'"),
    ],
)
def test_mistakes_in_the_file(run, write, old: str, new: str, message: str) -> None:
    import re

    told = swept(run, write, SWEEP.replace(old, new))
    assert (told.code, told.out) == (2, "")
    assert re.search(message, told.err)


def test_an_objective_that_no_point_has(run, write) -> None:
    told = swept(run, write, SWEEP.replace("tokens_per_s: max", "e2e_s: min"))
    assert told.code == 2
    assert "4 feasible" in told.out
    assert "4 of 4 feasible points lack 'e2e_s'" in told.err


def test_the_folder_of_another_sweep_and_of_a_newer_release(run, write) -> None:
    assert swept(run, write).code == 0
    told = swept(run, write, SWEEP.replace("input: 256", "input: 512"))
    assert told.code == 2
    assert "the folder holds the results of another sweep" in told.err
    assert "base.workload.input 256, expected" in told.err
    manifest = Path("out/sweep.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99, "version": "9.0"}))
    told = swept(run, write)
    assert told.code == 2
    assert "written by tiersim 9.0, which is newer than this one: found 99" in told.err


def test_points_that_fail_are_rows_or_end_the_run(run, write) -> None:
    large = SWEEP.replace("llama-3-8b", "llama-3-70b").replace("input: 256}", "input: 256}, mapping: {devices: 1}")
    told = swept(run, write, large)
    assert told.code == 2
    assert "4 failed: weights and KV caches do not fit" in told.err
    told = run("sweep", write("sweep.yaml", large), "--output", "fast", "--workers", 1, "--fail-fast")
    assert told.code == 2
    assert "weights and KV caches do not fit" in told.err
    assert not list(Path("fast").glob("*.parquet"))
