from __future__ import annotations

from simulator.result import folded


def test_runs_that_differ_in_one_count_are_one_row() -> None:
    rows = [["a", "1", "5"], ["a", "2", "5"], ["a", "3", "6"], ["b", "3", "6"], ["b", "4", "6"], ["b", "4", "6"]]
    assert folded(rows, {1}) == [["a", "1..2", "5"], ["a", "3", "6"], ["b", "3..4", "6"], ["b", "4", "6"]]
    assert folded(rows, set()) == rows
    assert folded([], {0}) == []


def test_a_run_varies_in_one_place_only() -> None:
    assert folded([["1", "1"], ["2", "1"], ["2", "2"]], {0, 1}) == [["1..2", "1"], ["2", "2"]]
