"""Kernels over rows grow with rows and elements, down to a floor."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.row_wise import OPS, ROW_WISE, RowLibrary

CHIP = chip_of(load_system("h100-sxm"))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OPS), st.integers(1, 10**6), st.integers(1, 10**5), st.integers(1, 100))
def test_more_rows_or_elements_take_no_less(op: str, m: int, n: int, times: int) -> None:
    rows, elements = np.array([m, m * times, m]), np.array([n, n, n * times])
    seconds = ROW_WISE.seconds({"op": np.array([op] * 3, object), "m": rows, "n": elements}, CHIP, RowLibrary())
    assert seconds[1] >= seconds[0] * (1 - 1e-12) >= RowLibrary().t0 * (1 - 1e-12)
    assert seconds[2] >= seconds[0] * (1 - 1e-12)


def test_elements_of_one_row_are_shared_where_rows_do_not_matter() -> None:
    wide = {"m": 1, "n": 2**24}
    assert ROW_WISE.seconds({"op": "gelu", **wide}, CHIP, RowLibrary()) < 0.1 * ROW_WISE.seconds(
        {"op": "softmax", **wide}, CHIP, RowLibrary()
    )
