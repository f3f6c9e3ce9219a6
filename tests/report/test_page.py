from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.errors import ConfigError
from simulator.report import names
from simulator.report.charts.lines import LinesChart
from simulator.report.page import write_page
from simulator.report.shown import Shown
from simulator.validation.reproduction import Reproduction

FIGURES = ["latency", "split", "speedups", "footprint", "ratios"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_writes_all_figures_and_tables(output: Path) -> None:
    written = contents(output / "two-machines")
    expected = {f"{name}.{form}" for name in FIGURES for form in ("svg", "png")}
    assert set(written) == expected | {"index.md", "rows.csv", "points.csv", "provenance.json"}
    assert all(len(content) > 100 for content in written.values())
    assert [entry.name for entry in output.iterdir()] == ["two-machines"]


def test_the_same_reproduction_gives_the_same_bytes(reproduction: Reproduction, output: Path) -> None:
    before = contents(output)
    write_page(reproduction, output)
    assert contents(output) == before


def test_the_page_shows_every_published_figure_and_every_drawing(reproduction: Reproduction, output: Path) -> None:
    page = (output / "two-machines" / "index.md").read_text()
    for row in reproduction.rows:
        assert f"### {names.figure(row.published.figure)}\n" in page
    for name in FIGURES:
        assert f"]({name}.svg)" in page
    assert "https://arxiv.org/abs/2405.07518v2" in page
    assert reproduction.provenance.hash in page


def test_the_verdict_and_the_marks_are_those_of_the_rows(reproduction: Reproduction, output: Path) -> None:
    page = (output / "two-machines" / "index.md").read_text()
    predictions = reproduction.predictions()
    assert f"{sum(row.agrees for row in predictions)} of {len(predictions)} predictions" in page
    assert page.count("| **no** |") == sum(not row.agrees for row in reproduction.rows)
    assert "charges copies \\| even when all fit" in page


def test_a_variant_is_explained_and_shown_where_it_changes_something(output: Path) -> None:
    page = (output / "two-machines" / "index.md").read_text()
    assert "- `eight_links`: all host links at once (`cases.system.dgx-a100.mapping.residency.links=8`)" in page
    _, _, below = page.partition("## Under other settings")
    (switch,) = (line for line in below.splitlines() if "switch_time" in line)
    assert switch.endswith("| 437.8 ms | 437.5 ms | 54.69 ms |")
    (execution,) = (line for line in below.splitlines() if "execution" in line)
    assert execution.endswith("|  |")


def test_rows_are_read_back(reproduction: Reproduction, output: Path) -> None:
    read = pd.read_csv(output / "two-machines" / "rows.csv", dtype={"figure": str})
    assert b"\r" not in (output / "two-machines" / "rows.csv").read_bytes()
    assert len(read) == len(reproduction.rows)
    for row, again in zip(reproduction.rows, read.to_dict("records"), strict=True):
        assert again["figure"] == row.published.figure
        assert again["role"] == row.published.role
        assert again["published"] == pytest.approx(row.published.published, rel=1e-5)
        assert again["simulated"] == pytest.approx(row.simulated, rel=1e-5)
        assert again["agrees"] == row.agrees


def test_provenance_holds_the_configuration(reproduction: Reproduction, output: Path) -> None:
    provenance = json.loads((output / "two-machines" / "provenance.json").read_text())
    assert provenance["config"]["experiment"]["title"] == "Two machines"
    assert provenance["config_hash"] == reproduction.provenance.hash
    assert provenance["figures"] == FIGURES


def test_a_failing_drawer_leaves_the_old_report(
    reproduction: Reproduction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two-machines").mkdir()
    (tmp_path / "two-machines" / "provenance.json").write_text("old")
    draw = LinesChart.draw
    drawn = iter([True])

    def failing(shown: Shown, chart: Any) -> Any:
        if not next(drawn, False):
            raise RuntimeError("no ink")
        return draw(shown, chart)

    monkeypatch.setattr(LinesChart, "draw", staticmethod(failing))
    with pytest.raises(RuntimeError, match="no ink"):
        write_page(reproduction, tmp_path)
    assert contents(tmp_path) == {"two-machines/provenance.json": b"old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["two-machines"]


def test_what_is_no_report_is_not_replaced(reproduction: Reproduction, tmp_path: Path) -> None:
    (tmp_path / "two-machines").mkdir()
    (tmp_path / "two-machines" / "experiment.yaml").write_text("precious")
    with pytest.raises(ConfigError, match="no report"):
        write_page(reproduction, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="a folder to write to"):
        write_page(reproduction, tmp_path / "file")
    assert contents(tmp_path) == {"two-machines/experiment.yaml": b"precious", "file": b""}


def test_a_study_without_charts_has_a_page(reproduction: Reproduction, tmp_path: Path) -> None:
    study = reproduction.base.study
    bare = study.form.model_copy(update={"charts": {}, "variants": {}})
    base = replace(reproduction.base, study=replace(study, form=bare))
    write_page(replace(reproduction, experiment=bare, base=base, variants={}), tmp_path)
    assert set(contents(tmp_path / "two-machines")) == {"index.md", "rows.csv", "points.csv", "provenance.json"}
