"""Dumps of tables are compared by their keys."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pandas as pd
import pytest

SPEC = spec_from_file_location("frames", Path(__file__).with_name("frames.py"))
assert SPEC and SPEC.loader
frames = module_from_spec(SPEC)
SPEC.loader.exec_module(frames)

OLD = pd.DataFrame({"system": ["a", "a", "b"], "batch": [1, 8, 1], "tbt_s": [0.1, 0.2, 0.3], "bound": ["x", "y", ""]})


def differences(new: pd.DataFrame) -> list[str]:
    return list(frames.differences(OLD, new))


def test_order_and_the_last_bits_do_not_matter() -> None:
    assert not differences(OLD)
    assert not differences(OLD.iloc[::-1][["bound", "batch", "tbt_s", "system"]])
    assert not differences(OLD.assign(tbt_s=OLD.tbt_s * (1 + 1e-12)))


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (OLD.assign(tbt_s=[0.1, 0.2, 0.3000001]), "tbt_s: 1 of 3 rows, at most 3.33e-07 apart"),
        (OLD.assign(bound=["x", "z", ""]), "bound: 1 of 3 rows"),
        (OLD.iloc[:2], "gone: 1 rows"),
        (OLD.assign(more=1), "new: the columns more"),
        (OLD.drop(columns="bound"), "gone: the columns bound"),
        (OLD.assign(tbt_s=[0.1, 0.2, None]), "tbt_s: 1 of 3 rows, at most inf apart"),
    ],
)
def test_what_differs_is_told(new: pd.DataFrame, says: str) -> None:
    (line,) = differences(new)
    assert says in line
