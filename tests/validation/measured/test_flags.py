"""What the program says is wrong with measured rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.hardware.system import load_system
from simulator.validation.measured.flags import COPY, INCOMPLETE, LINKS, MEMORY, PEAK, UNFIT, beyond, copies
from simulator.validation.measured.plain import plain
from simulator.validation.measured.schema import OPERATORS, tidy
from simulator.validation.measured.simulated import simulated_runs

LOSSLESS = load_system(plain("dgx-h100"))


def operators(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"source": "s", "device": "d", "dtype": "bf16", "n_devices": 1, "metric": "latency", "unit": "s"}
    return tidy(pd.DataFrame([{**base, **row} for row in rows]).reindex(columns=OPERATORS))


@pytest.mark.parametrize(
    ("row", "least", "flag"),
    [
        ({"op": "gemm", "m": 8192, "n": 8192, "k": 8192}, 2 * 8192**3 / 989.4e12, PEAK),
        ({"op": "gemm", "m": 1, "n": 16384, "k": 16384}, 2 * 16384**2 / 3.35e12, MEMORY),
        ({"op": "all_reduce", "bytes": 2**28, "n_devices": 8}, 2**28 / 450e9, LINKS),
        ({"op": "softmax", "m": 4096, "n": 65536}, 4 * 4096 * 65536 / 3.35e12, MEMORY),
    ],
)
def test_a_row_beyond_a_limit_is_flagged_and_one_within_is_not(row: dict[str, Any], least: float, flag: str) -> None:
    rows = operators({**row, "value": 0.8 * least}, {**row, "value": 1.05 * least})
    assert list(beyond(rows, rows["value"], LOSSLESS)) == [flag, ""]


def test_what_the_cache_holds_may_be_faster_than_memory() -> None:
    rows = operators({"op": "add", "m": 64, "n": 8192, "value": 6 * 64 * 8192 / 3.35e12 / 2})
    assert list(beyond(rows, rows["value"], LOSSLESS)) == [""]


def test_a_boosted_clock_may_lie_above_the_data_sheet() -> None:
    rows = operators({"op": "gemm", "m": 8192, "n": 8192, "k": 8192, "value": 2 * 8192**3 / 989.4e12 / 1.06})
    assert list(beyond(rows, rows["value"], LOSSLESS)) == [""]


def test_rows_that_are_those_of_another_device_by_a_constant_are_copies() -> None:
    rng = np.random.default_rng(0)
    times = rng.uniform(1, 2, 20)
    shape = {"op": "all_reduce", "n_devices": 4}
    rows = operators(
        *({**shape, "device": "a", "bytes": i, "value": time} for i, time in enumerate(times)),
        *({**shape, "device": "b", "bytes": i, "value": 1.3 * time} for i, time in enumerate(times)),
        *({**shape, "device": "c", "bytes": i, "value": rng.uniform(1, 2)} for i in range(20)),
    )
    flags = copies(rows)
    assert (flags == COPY).equals(rows["device"] == "b")
    assert set(copies(rows.sample(frac=1, random_state=1)).value_counts()) == {20, 40}  # of one of the two


def test_two_devices_with_one_time_each_are_no_copies() -> None:
    rows = operators(*({"op": "gemm", "device": device, "m": i, "value": 1.0} for device in "ab" for i in range(9)))
    assert set(copies(rows)) == {""}


RUN = {
    "source": "s", "device": "d", "machine": "dgx-h100", "n_devices": 8, "tp": 8, "pp": np.nan, "ep": np.nan,
    "model": "Llama-2-70B", "engine": "e", "dtype": "fp16", "kv_dtype": "fp16", "phase": "e2e", "batch": 1,
    "input_len": 512, "output_len": 128, "metric": "latency", "unit": "s", "flag": "",
}  # fmt: skip


def runs(*rows: dict[str, Any]) -> pd.DataFrame:
    return simulated_runs(pd.DataFrame([{**RUN, **row} for row in rows]))


def test_a_run_that_took_less_than_its_weights_and_all_of_its_prompt_are_flagged() -> None:
    answer = runs(
        {"value": 0.01},  # 128 steps of 17.5 GB a device at 3.35 TB/s are 0.66 s
        {"value": 0.001, "metric": "tpot", "phase": "decode", "batch": 2},
        {"value": 2.0, "batch": 2},
        {"value": 0.02, "metric": "tpot", "phase": "decode"},
    )
    assert list(answer["flag"]) == [INCOMPLETE, MEMORY, "", INCOMPLETE]


def test_a_run_that_could_not_have_fitted_is_flagged() -> None:
    answer = runs({"value": 9.0, "n_devices": 1, "tp": 1}, {"value": 9.0})
    assert list(answer["flag"]) == [UNFIT, ""]
    assert answer["error"].iloc[0] and not answer["error"].iloc[1]
