"""Tornado and Sobol' indices of functions whose sensitivities are known."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.study.questions.sensitivity import sobol, tornado
from simulator.study.space.columns import Columns

ANGLES = {"x1": (-np.pi, np.pi), "x2": (-np.pi, np.pi), "x3": (-np.pi, np.pi)}


def ishigami(columns: Columns) -> Columns:
    """`sin x1 + a sin^2 x2 + b x3^4 sin x1`, a = 7, b = 0.1 (Ishigami and Homma 1990)."""
    x1, x2, x3 = (columns[name] for name in ANGLES)
    return {"y": np.sin(x1) + 7 * np.sin(x2) ** 2 + 0.1 * x3**4 * np.sin(x1)}


def roofline(columns: Columns) -> Columns:
    """Fails where the batch is too large for the memory."""
    batch, kind = columns["batch"], columns["kind"]
    time = np.maximum(batch / columns["peak"], 1 / columns["bandwidth"]) * np.where(kind == "pim", 0.5, 1.0)
    error = np.where(batch > 64, "does not fit", "").astype(object)
    return {"time": np.where(batch > 64, np.nan, time), "error": error}


BASE = {"peak": 10.0, "bandwidth": 1.0, "batch": 8, "kind": "gpu"}


def test_the_indices_of_the_ishigami_function() -> None:
    found = sobol(ishigami, ANGLES, "y", samples=4096, seed=1).set_index("path")
    a, b = 7.0, 0.1
    variance = a**2 / 8 + b * np.pi**4 / 5 + b**2 * np.pi**8 / 18 + 0.5
    one, two = 0.5 * (1 + b * np.pi**4 / 5) ** 2 / variance, a**2 / 8 / variance
    both = 8 * b**2 * np.pi**8 / 225 / variance  # x1 and x3 together
    for name, first, total in (("x1", one, one + both), ("x2", two, two), ("x3", 0.0, both)):
        assert found.loc[name, "first"] == pytest.approx(first, abs=0.01)
        assert found.loc[name, "total"] == pytest.approx(total, abs=0.01)
        assert abs(found.loc[name, "first"] - first) <= found.loc[name, "first_confidence"]
    assert list(found.index) == ["x1", "x2", "x3"]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_indices(seed: int) -> None:
    one, other, another = (sobol(ishigami, ANGLES, "y", 64, s) for s in (seed, seed, seed + 1))
    assert one.equals(other)
    assert not one.equals(another)


def test_one_call_and_all_else_as_in_the_base() -> None:
    calls: list[Columns] = []

    def evaluate(columns: Columns) -> Columns:
        calls.append(columns)
        return {"y": np.log(columns["wide"]) + columns["narrow"]}

    ranges = {"wide": (1.0, 1e4), "narrow": (1.0, 2.0)}
    sobol(evaluate, ranges, "y", 256, base={"kind": "pim", "batch": 4})
    (columns,) = calls
    assert {len(column) for column in columns.values()} == {256 * 4}
    assert set(columns["kind"]) == {"pim"}
    assert set(columns["batch"]) == {4}
    assert np.median(columns["wide"]) == pytest.approx(100, rel=0.05)  # a range over a decade, in its logarithm
    assert np.median(columns["narrow"]) == pytest.approx(1.5, rel=0.05)
    sobol(evaluate, ranges, "y", 256, log=["narrow"])
    assert np.median(calls[1]["wide"]) == pytest.approx(5000, rel=0.05)
    assert np.median(calls[1]["narrow"]) == pytest.approx(2**0.5, rel=0.05)


def test_what_does_not_vary_is_explained_by_nothing() -> None:
    found = sobol(lambda c: {"y": np.full(len(c["x"]), 3.0)}, {"x": (0.0, 1.0)}, "y", 16)
    assert found[["first", "total"]].to_numpy().tolist() == [[0, 0]]


def test_a_tornado_has_the_largest_swing_first_and_failures_last() -> None:
    calls: list[Columns] = []

    def evaluate(columns: Columns) -> Columns:
        calls.append(columns)
        return roofline(columns)

    ranges = {"peak": (1.0, 20.0), "batch": (1, 128), "bandwidth": (0.5, 2.0), "kind": ("gpu", "pim")}
    found = tornado(evaluate, BASE, ranges, "time")
    assert found["path"].tolist() == ["peak", "bandwidth", "kind", "batch"]
    assert found["at_low"].tolist() == [8, 2, 1, 1]
    assert found["at_high"].tolist()[:3] == [1, 0.8, 0.5]
    assert set(found["at_base"]) == {1.0}
    assert found["swing"].tolist()[:3] == pytest.approx([7, 1.2, 0.5])
    assert np.isnan(found["swing"].iloc[3])
    assert found["error"].tolist() == ["", "", "", "does not fit"]
    assert found.loc[2, ["low", "high"]].tolist() == ["gpu", "pim"]
    assert len(calls) == 1
    assert calls[0]["batch"].dtype.kind == "i"


def test_wrong_paths_ranges_and_metrics() -> None:
    with pytest.raises(ConfigError, match=r"bandwith: no such axis: .*; did you mean 'bandwidth'"):
        tornado(roofline, BASE, {"bandwith": (1, 2)}, "time")
    with pytest.raises(
        ConfigError, match="no such metric: found 'tme', expected one of time, error; did you mean 'time'"
    ):
        tornado(roofline, BASE, {"peak": (1, 2)}, "tme")
    with pytest.raises(ConfigError, match="ranges: found none"):
        tornado(roofline, BASE, {}, "time")


@pytest.mark.parametrize(
    ("ranges", "options", "message"),
    [
        ({}, {}, "ranges: found none, expected one or more"),
        ({"x1": (2.0, 1.0)}, {}, "x1: range: found 2.0 to 1.0, expected finite, and low below high"),
        ({"x1": (0.0, 1.0)}, {"log": ["x1"]}, "x1: range in logarithm: found 0.0 to 1.0, expected above 0"),
        ({"x1": (0.0, 1.0)}, {"log": ["x11"]}, "log: found 'x11', expected 'x1'; did you mean 'x1'"),
        ({"x1": (0.0, 1.0)}, {"samples": 1000}, "samples: found 1000, expected a power of two"),
    ],
)
def test_wrong_ranges(ranges: dict[str, tuple[float, float]], options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sobol(ishigami, ranges, "y", **options)  # type: ignore[arg-type]


def test_points_that_failed_have_no_variance() -> None:
    base = {path: value for path, value in BASE.items() if path != "batch"}
    with pytest.raises(ConfigError, match="of 768 points without it, the first with: does not fit, expected narrower"):
        sobol(roofline, {"batch": (1.0, 128.0)}, "time", 256, base=base)
