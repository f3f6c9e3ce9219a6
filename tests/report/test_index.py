from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.report.index import write_index


def test_it_lists_each_report_with_verdict_and_figure(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output / "two-machines", tmp_path / "two-machines")
    (tmp_path / "notes").mkdir()
    write_index(tmp_path)
    index = (tmp_path / "index.md").read_text()
    assert "## [Two machines](<two-machines/index.md>)" in index
    page = (tmp_path / "two-machines" / "index.md").read_text()
    verdict = next(line for line in index.splitlines() if "predictions" in line).partition("). ")[2]
    assert verdict in page
    assert 'src="two-machines/latency.svg"' in index
    assert "notes" not in index

    before = index
    write_index(tmp_path)
    assert (tmp_path / "index.md").read_text() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["index.md", "notes", "two-machines"]


def test_an_empty_folder_has_an_empty_index(tmp_path: Path) -> None:
    write_index(tmp_path / "reports")
    assert (tmp_path / "reports" / "index.md").read_text().startswith("# Reports")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {"title": "x"}}'])
def test_provenance_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "provenance.json").write_text(text)
    with pytest.raises(ConfigError, match=r"provenance\.json"):
        write_index(tmp_path)
    assert not (tmp_path / "index.md").exists()
