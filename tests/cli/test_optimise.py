from __future__ import annotations

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


def test_the_design_its_slack_and_the_next(run, write) -> None:
    told = run(
        "optimise", write("sweep.yaml", SWEEP), "--for", "price_usd", "--where", "tokens_per_s >= 300", "--workers", 1
    )
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("the least price_usd of ")
    assert "feasible designs (27 points, all computed)" in told.out
    lines = {line.split()[0]: line for line in told.out.splitlines() if line.split()}
    assert lines["devices"].split()[-1] == "1"
    assert "bound_by" in lines
    assert lines["tbt_s"].count("%") == 1
    assert "tokens_per_s >= 300" in told.out
    assert "next" in lines


def test_the_document(run, write) -> None:
    document = run("optimise", write("sweep.yaml", SWEEP), "--json", "--workers", 1).json
    assert document["optimise"][0]["cost"] == "devices"
    assert document["design"][0]["devices"] == 1
    assert document["slack"][0]["constraint"] == "tbt_s <= 0.05"
    assert len(document["next"]) == 4


def test_a_space_over_the_limit_is_searched_and_says_so(run, write) -> None:
    told = run("optimise", write("sweep.yaml", SWEEP), "--limit", 10, "--evaluations", 12)
    assert told.code == 0
    assert "12 of them searched: there may be a better one" in told.out


def test_mistakes(run, write) -> None:
    file = write("sweep.yaml", SWEEP)
    assert "did you mean 'price_usd'" in run("optimise", file, "--for", "price").err
    assert "--where: in 'tbts < 1': unknown name: found 'tbts'" in run("optimise", file, "--where", "tbts < 1").err
    told = run("optimise", file, "--where", "tbt_s <= 1e-6", "--workers", 1)
    assert (told.code, told.out) == (2, "")
    assert "no feasible point: found none of 27 points; 'tbt_s <= 1e-6' rules out 27" in told.err
    assert "the nearest design (batch 1, devices 4, hbm 4 TB/s) misses 'tbt_s <= 1e-6' by " in told.err
