"""The measured figures that come with the program."""

from __future__ import annotations

import pytest

import simulator
from simulator import data
from simulator.config import ROLES
from simulator.mapping.gpu.kernels import KERNELS
from simulator.validation.compare import FITTED
from simulator.validation.measured.aliases import meant
from simulator.validation.measured.flags import COPY, INCOMPLETE, LINKS, MEMORY, NO_TIME, PEAK, copies
from simulator.validation.measured.operators import class_of
from simulator.validation.measured.reader import read_measured

FILES = sorted(data.folder("workloads/measured").glob("*.csv"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_row_has_a_source_and_a_role_and_is_of_a_machine(file) -> None:
    rows = read_measured(file).rows
    assert rows["source"].notna().all() and rows["url"].str.startswith("https://").all()
    assert set(rows["role"]) <= set(ROLES)
    undescribed = {device for device in rows["device"].unique() if meant(device, "hwconfigs") is None}
    assert undescribed <= {"M1 7-Core GPU 8GB"}
    assert not rows.duplicated([name for name in rows if name != "value"]).any()
    assert set(copies(rows.reset_index(drop=True))) == {""}


def test_there_are_some_hundred_and_all_classes_of_operators() -> None:
    assert sum(len(read_measured(file).rows) for file in FILES) > 500
    operators = read_measured(data.folder("workloads/measured") / "operators.csv").rows
    assert set(KERNELS) - set(operators["op"].map(class_of)) == {"mla_prefill", "mla_decode", "exchange", "copy"}


def test_none_of_them_is_impossible_and_most_are_simulated() -> None:
    comparison = simulator.compare("operators")
    assert set(comparison.flagged).isdisjoint({PEAK, MEMORY, LINKS, NO_TIME, COPY, INCOMPLETE})
    assert not comparison.failed and len(comparison.counted) == len(comparison.rows) - comparison.flagged[FITTED]


@pytest.mark.slow
def test_none_of_the_runs_is_impossible_and_most_are_simulated() -> None:
    comparison = simulator.compare("runs")
    assert set(comparison.flagged).isdisjoint({PEAK, MEMORY, LINKS, NO_TIME, COPY, INCOMPLETE})
    assert len(comparison.counted) + comparison.flagged[FITTED] > 0.95 * len(comparison.rows)
