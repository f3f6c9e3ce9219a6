from __future__ import annotations

from simulator.result import runs


def test_runs_that_differ_in_one_count_are_one() -> None:
    rows = [["a", 1, "5"], ["a", 2, "5"], ["a", 3, "6"], ["b", 3, "6"], ["b", 4, "6"], ["b", 4, "6"]]
    assert runs(rows) == [(0, 2, 1), (2, 3, None), (3, 5, 1), (5, 6, None)]
    assert runs([[str(cell) for cell in row] for row in rows]) == [(i, i + 1, None) for i in range(6)]
    assert runs([]) == []


def test_a_run_varies_in_one_place_only() -> None:
    assert runs([[1, 1], [2, 1], [2, 2]]) == [(0, 2, 0), (2, 3, None)]


def test_rows_of_other_lengths_are_other_runs() -> None:
    assert runs([[1], [1, 2]]) == [(0, 1, None), (1, 2, None)]
