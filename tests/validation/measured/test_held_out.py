"""A held-out row belongs to a group of which nothing went to a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.validation.measured.held_out import GROUPS, Groups, held_out

COLUMNS = sorted({column for groups in GROUPS.values() for column in groups.columns} - {"model"})


@given(st.sampled_from(sorted(set(GROUPS) - {"run"})), st.integers(0, 5), st.integers(10, 60))
def test_no_group_is_on_both_sides_whatever_the_order(kind: str, seed: int, count: int) -> None:
    rng = np.random.default_rng(count)
    rows = pd.DataFrame({column: rng.integers(1, 5, count).astype(float) for column in COLUMNS})
    apart = held_out(rows, kind, seed)
    keys = rows[list(GROUPS[kind].columns)].apply(tuple, axis=1)
    assert not set(keys[apart]) & set(keys[~apart])
    assert 0 < apart.sum() < len(rows)
    shuffled = rows.sample(frac=1, random_state=seed)
    assert held_out(shuffled, kind, seed).sort_index().equals(apart)


def test_another_seed_holds_others_out() -> None:
    rows = pd.DataFrame({"n": range(40), "k": range(40)})
    assert not held_out(rows, "gemm", 0).equals(held_out(rows, "gemm", 1))
    assert held_out(rows, "gemm", share=0.25).sum() == 10


def test_of_collectives_every_second_size_is_held_out() -> None:
    rows = pd.DataFrame({"bytes": [8, 2, 4, 16, 2]})
    assert list(held_out(rows, "collective")) == [False, False, True, True, False]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_sides_have_a_group(share: float) -> None:
    rows = pd.DataFrame({"model": ["a", "a", "b", "c"]})
    apart = held_out(rows, "run", share=share, groups=Groups(("model",)))
    assert 0 < apart.sum() < 4
