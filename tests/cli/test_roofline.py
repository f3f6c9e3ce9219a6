from __future__ import annotations

import pytest

import simulator
from simulator.scenario.runs import intensity

DGX = ("roofline", "--hardware", "dgx-a100", "--model", "llama-2-7b")


def test_the_document_is_the_roofline(run) -> None:
    asked = ("--phase", "prefill", "--batch", 4, "--context", 1024, "--devices", 2, "--fusion", "unfused")
    document = run(*DGX, *asked, "--json").json
    result = simulator.roofline("dgx-a100", "llama-2-7b", "prefill", 4, 1024, devices=2, fusion="unfused")
    assert document["roofline"] == result.rows
    assert document["roofs"] == result.roofs
    assert document["peak_flops"] == result.peak
    assert document["provenance"]["config_hash"] == result.provenance.hash


def test_the_intensity_of_what_moves_nothing_is_null(run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = simulator.roofline("dgx-a100", "llama-2-7b")
    result.rows[0]["op_per_byte"] = intensity(1.0, 0.0)
    monkeypatch.setattr("simulator.scenario.roofline.roofline_of", lambda *arguments: result)
    assert run(*DGX, "--json").json["roofline"][0]["op_per_byte"] is None


def test_each_kernel_is_a_row(run) -> None:
    told = run(*DGX)
    assert (told.code, told.err) == (0, "")
    result = simulator.roofline("dgx-a100", "llama-2-7b")
    assert result.title in told.out
    assert all(row["op"] in told.out for row in result.rows)
    assert "1.872 PFLOP/s" in told.out


def test_a_figure_is_drawn_when_a_file_is_named(run, write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("it.svg", "")
    told = run(*DGX, "--output", file, "--json")
    assert "roofline" in told.json
    assert "<svg" in file.read_text()
