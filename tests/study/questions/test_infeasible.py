"""Why no design is feasible, and which one misses least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.study.questions.infeasible import excess, infeasibility, nearest_miss


def test_which_constraint_rules_out_how_many() -> None:
    masks = {
        "area_mm2 <= 800": np.array([True, True, False, False]),
        "tbt_s <= 0.05": np.array([False, False, False, True]),
        "power_w <= 700": np.array([True, True, True, True]),
    }
    rows = infeasibility(masks)
    assert rows["constraint"].tolist() == ["tbt_s <= 0.05", "area_mm2 <= 800", "power_w <= 700"]
    assert rows["rules_out"].tolist() == [3, 2, 0]
    assert rows["alone_rules_out"].tolist() == [2, 1, 0]


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_constraint_alone_rules_out_what_is_feasible_without_it(points: list[list[bool]]) -> None:
    masks = {name: np.array(column) for name, column in zip("abc", zip(*points, strict=True), strict=True)}
    rows = infeasibility(masks).set_index("constraint")
    for name, mask in masks.items():
        others = [other for key, other in masks.items() if key != name]
        assert rows.loc[name, "rules_out"] == np.sum(~mask)
        assert rows.loc[name, "alone_rules_out"] == np.sum(np.all(others, axis=0)) - np.sum(
            np.all([*others, mask], axis=0)
        )


def test_wrong_masks() -> None:
    with pytest.raises(ConfigError, match="constraints: found none"):
        infeasibility({})
    with pytest.raises(ConfigError, match=r"constraints: found masks of lengths \[1, 2\]"):
        infeasibility({"a": np.array([True]), "b": np.array([True, True])})


def test_excess_is_a_fraction_of_the_limit() -> None:
    assert excess([700, 800, 900, np.nan], 800).tolist() == [0, 0, 0.125, np.inf]
    assert excess(-np.array([50.0, 40.0]), -50.0).tolist() == [0, 0.2]  # at least 50
    assert excess([0.5, -0.5], 0).tolist() == [0.5, 0]


def test_the_nearest_miss() -> None:
    excesses = {"area": np.array([0.3, 0.2, 0.0, np.nan]), "tbt": np.array([0.0, 0.2, 0.25, 0.0])}
    assert nearest_miss(excesses) == (1, {"area": 0.2, "tbt": 0.2})
    tied = {"area": np.array([0.3, 0.2, 0.0]), "tbt": np.array([0.0, 0.2, 0.2])}
    assert nearest_miss(tied) == (2, {"tbt": 0.2})
    assert nearest_miss({"area": np.array([0.1, 0.0])}) == (1, {})
    with pytest.raises(ConfigError, match="no point works: found none of 1"):
        nearest_miss({"area": np.array([np.nan])})
    with pytest.raises(ConfigError, match="constraints: found none"):
        nearest_miss({})
