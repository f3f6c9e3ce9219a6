from __future__ import annotations

import pytest

import simulator

RDU = ("kernels", "--hardware", "sn40l-node", "--model", "llama-2-7b")


def test_the_document_is_the_report(run) -> None:
    asked = ("--phase", "prefill", "--batch", 2, "--context", 512, "--fusion", "conventional")
    document = run(*RDU, *asked, "--json").json
    found = simulator.kernels("sn40l-node", "llama-2-7b", "prefill", 2, 512, fusion="conventional")
    assert document["kernels"] == found.rows
    assert document["totals"] == found.totals
    assert document["grid"] == found.grid
    assert document["provenance"]["config_hash"] == found.provenance.hash


@pytest.mark.parametrize("hardware", ["sn40l-node", "dgx-a100"])
def test_each_kernel_and_each_mode_is_a_row(run, hardware: str) -> None:
    told = run("kernels", "--hardware", hardware, "--model", "llama-2-7b")
    assert (told.code, told.err) == (0, "")
    found = simulator.kernels(hardware, "llama-2-7b")
    assert found.title in told.out
    for row in found.rows:
        assert row["kernel"].partition("+")[0] in told.out
    for mode in found.modes:
        assert f"{mode['kernels']:,}" in next(line for line in told.out.splitlines() if line.startswith(mode["fusion"]))
    assert ("PCUs" in told.out) == (hardware == "sn40l-node")


def test_a_picture_is_drawn_when_a_file_is_named(run, write) -> None:
    file = write("it.svg", "")
    assert run(*RDU, "--output", file, "--json").json["kernels"]
    assert "<svg" in file.read_text()


def test_mistakes_are_told(run) -> None:
    assert "did you mean 'streaming'?" in run(*RDU, "--fusion", "steaming").err
    told = run("kernels", "--hardware", "dgx-a100", "--model", "llama-2-7b", "--output", "it.svg")
    assert told.code == 2 and "no pipeline to draw" in told.err
