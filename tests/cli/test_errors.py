"""Each mistake ends with 2 and a message that names the place, what was found, what was expected, what was meant."""

from __future__ import annotations

import pytest

MACHINES = {
    "wrong unit": ("2 TB/s", "2 THz", ["chip.yaml:7:", "devices.chip.tiers.hbm.bandwidth", "'2 THz'", "'1.8 TB/s'"]),
    "bits for bytes": ("2 TB/s", "2 Tb/s", ["chip.yaml:7:", "tiers.hbm.bandwidth", "did you mean '2 Tbit/s'"]),
    "unknown key": (
        "bandwidth: 2",
        "bandwith: 2",
        ["chip.yaml:7:", "tiers.hbm.bandwith: unknown key", "did you mean 'bandwidth'"],
    ),
    "negative capacity": ("80 GiB", "-80 GiB", ["chip.yaml:7:", "tiers.hbm.capacity", "'-80 GiB'", "more than 0"]),
    "capacity that is no number": ("80 GiB", ".nan", ["chip.yaml:7:", "tiers.hbm.capacity", "nan", "'520 MiB'"]),
    "infinite capacity": ("80 GiB", ".inf", ["chip.yaml:7:", "tiers.hbm.capacity", "inf", "'520 MiB'"]),
    "engine that reads no tier": (
        "reads: {hbm: {}}",
        "reads: {hmb: {}}",
        ["chip.yaml:12:", "devices.chip.engines.core.reads.hmb", "found 'hmb'", "did you mean 'hbm'"],
    ),
    "link to nothing": (
        "chip<->chip",
        "chip.hbm<->chip.cor",
        ["chip.yaml:14:", 'links."chip.hbm<->chip.cor"', "found 'chip.cor'", "did you mean 'chip.core'"],
    ),
    "link without ends": ("chip<->chip", "chip=chip", ["chip.yaml:14:", "links.chip=chip", "'a<->b'"]),
    "key given twice": ("name: chip", "devices: 3", ["chip.yaml:3:", "'devices' is given twice"]),
    "tag that runs code": (
        "80 GiB",
        '!!python/object/apply:os.system ["touch ran"]',
        ["chip.yaml:7:", "!!python/object/apply:os.system is refused"],
    ),
    "newer schema": ("schema: 1", "schema: 2", ["chip.yaml:1:", "newer tiersim", "found 2", "expected schema 1"]),
    "unknown role": (
        "count: 2",
        "count: {value: 2, role: inptu}",
        ["chip.yaml:5:", "role", "'inptu'", "did you mean 'input'"],
    ),
    "nothing to extend": ("schema: 1", "extends: sn40", ["chip.yaml:1:", "extends", "did you mean 'sn40l'"]),
}


@pytest.mark.parametrize(("old", "new", "fragments"), MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("command", [("check",), ("show",), ("estimate", "--model", "llama-2-7b", "--hardware")])
def test_a_mistake_in_a_machine(run, chip, command, old: str, new: str, fragments: list[str]) -> None:
    file = chip(old, new)
    told = run(*command, file)
    assert told.code == 2
    assert told.out == ""
    for fragment in fragments:
        assert fragment in told.err
    assert "Traceback" not in told.err
    assert [path.name for path in file.parent.iterdir()] == ["chip.yaml"]


def test_a_cycle_of_extends(run, write) -> None:
    write("a.yaml", "extends: b")
    file = write("b.yaml", "extends: a")
    told = run("check", file)
    assert told.code == 2
    assert "a.yaml:1: extends: extends itself: b -> a -> b" in told.err


MODEL = ("--model", "llama-2-7b")
DGX = ("--hardware", "dgx-a100", *MODEL)
ESTIMATES = {
    "unknown machine": (("--hardware", "sn40", *MODEL), ["hwconfigs", "'sn40'", "did you mean 'sn40l'"]),
    "unknown model": (
        ("--hardware", "sn40l", "--model", "lama-2-7b"),
        ["workloads/models", "'lama-2-7b'", "did you mean 'llama-2-7b'"],
    ),
    "no file": (("--hardware", ".", *MODEL), ["found '.'", "expected a file", "sn40l-node"]),
    "model too large": (
        ("--hardware", "dgx-a100", "--model", "deepseek-v3", "--devices", 2),
        ["gpu.hbm", "needs 674.4 GB (674,408,537,952 B)", "154.6 GB (154,618,822,656 B)", "fits with 16 of gpu"],
    ),
    "batch too large": (("--hardware", "sn40l", *MODEL, "--batch", 500), ["socket.hbm", "fits with batch 164"]),
    "too many tokens": ((*DGX, "--output", 4000), ["512 + 4000 tokens", "at most the 4096"]),
    "unknown path of the machine": (
        (*DGX, "--set", "devices.gpu.teirs.hbm.bandwidth=3 TB/s"),
        ["--set: devices.gpu.teirs", "did you mean 'tiers'"],
    ),
    "unknown figure of the machine": (
        (*DGX, "--set", "devices.gpu.tiers.hbm.bandwith=3 TB/s"),
        ["--set: devices.gpu.tiers.hbm.bandwith", "did you mean 'bandwidth'"],
    ),
    "wrong unit of an option": (
        (*DGX, "--set", "devices.gpu.tiers.hbm.bandwidth=3 GiB"),
        ["--set: devices.gpu.tiers.hbm.bandwidth", "'3 GiB'", "'1.8 TB/s'"],
    ),
    "unknown figure of the model": ((*DGX, "--set", "model.layerz=3"), ["layerz", "did you mean 'layers'"]),
    "no value to set": ((*DGX, "--set", "nonsense"), ["--set", "'nonsense'", "path.to.key=value"]),
    "number format that the engine lacks": (
        ("--hardware", "sn40l", *MODEL, "--dtype", "fp32"),
        ["--dtype", "sn40l.yaml:", "devices.socket.engines.rdu.peak", "'fp32'", "bf16"],
    ),
    "format that does not say what computes": (
        (*DGX, "--dtype", "int4"),
        ["--dtype / --quantization: 'int4'", "'w4a16'", "'w4a4'"],
    ),
    "unknown format of the KV cache": ((*DGX, "--kv", "fp9"), ["--kv", "'fp9'", "did you mean 'fp8'"]),
    "unknown number format": ((*DGX, "--dtype", "fp9"), ["--dtype", "'fp9'", "did you mean 'fp"]),
    "batch 0": ((*DGX, "--batch", 0), ["--batch: found 0, expected 1 or more"]),
    "no input": ((*DGX, "--input", 0), ["--input: found 0, expected 1 or more"]),
    "negative output": ((*DGX, "--output", -1), ["--output: found -1, expected 1 or more"]),
    "no devices": ((*DGX, "--devices", 0), ["--devices: found 0, expected at least 1"]),
}


@pytest.mark.parametrize(("arguments", "fragments"), ESTIMATES.values(), ids=ESTIMATES)
@pytest.mark.parametrize("json", [(), ("--json",)], ids=["shown", "json"])
def test_a_mistake_in_an_estimate(run, arguments, json, fragments: list[str]) -> None:
    told = run("estimate", *arguments, *json)
    assert told.code == 2
    assert told.out == ""
    assert told.err.startswith("error: ")
    for fragment in fragments:
        assert fragment in told.err


OTHERS = {
    "context 0": (("roofline", *DGX, "--context", 0), ["--context: found 0, expected 1 or more"]),
    "unknown fusion": (("roofline", *DGX, "--fusion", "whol"), ["--fusion", "'whol'", "did you mean 'whole'"]),
    "figure of another format": (("roofline", *DGX, "--output", "it.bmp"), ["it.bmp", ".png", ".svg", ".pdf"]),
    "nothing to show": (("show", "sn40"), ["'sn40'", "did you mean 'sn40l'"]),
    "no experiment to simulate": (("simulate", "sn40l-coo"), ["experiments", "did you mean 'sn40l-coe'"]),
    "no experiment to reproduce": (("reproduce", "sn40l-coo"), ["experiments", "did you mean 'sn40l-coe'"]),
    "unknown policy": (
        ("simulate", "sn40l-coe", "--set", "mapping.residency.policy=lrru"),
        ["lrru", "did you mean 'lru'"],
    ),
    "unknown figure of an experiment": (
        ("simulate", "sn40l-coe", "--set", "workload.bacth=1"),
        ["--set: workload.bacth", "did you mean 'batch'"],
    ),
    "nothing to list": (("list", "hardwares"), ["hardware", "models", "experiments"]),
    "no such option": (("estimate", *DGX, "--bach", 8), ["--bach", "--batch"]),
    "no number": (("estimate", *DGX, "--batch", "eight"), ["--batch"]),
    "no machine": (("estimate", *MODEL), ["--hardware"]),
}


@pytest.mark.parametrize(("arguments", "fragments"), OTHERS.values(), ids=OTHERS)
def test_any_other_mistake(run, arguments, fragments: list[str]) -> None:
    told = run(*arguments)
    assert told.code == 2
    assert told.out == ""
    assert "Traceback" not in told.err
    for fragment in fragments:
        assert fragment in told.err


def test_a_place_that_cannot_be_written(run, write) -> None:
    write("taken", "")
    told = run("roofline", *DGX, "--output", "taken/it.svg")
    assert (told.code, told.out) == (2, "")
    assert "taken" in told.err
