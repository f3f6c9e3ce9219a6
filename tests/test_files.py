from __future__ import annotations

from pathlib import Path

import pytest

from simulator.files import replacement


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with replacement(tmp_path / "a") as unfinished:
        unfinished.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_on_an_error_what_was_there_stays_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), replacement(tmp_path / "a") as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
