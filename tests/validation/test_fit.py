from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.study.load import load_study
from simulator.study.results import results_of
from simulator.validation.fit import _least_squares, fit
from simulator.validation.published import COLUMNS

PEAK, LINK = "hardware.devices.gpu.engines.gpu.efficiency", "hardware.links.gpu<->gpu.latency"
WIDTH = "hardware.links.gpu<->gpu.bandwidth"
TRUE = {PEAK: 0.6, LINK: 5e-6}
STUDY = """\
schema: 1
title: two lengths
base: {hardware: dgx-a100, model: llama-2-7b}
metrics: {latency: {of: e2e_s}}
runs:
  short: {workload: {output: 1}, axes: {workload.input: [1024]}}
  long: {workload: {input: 16}, axes: {workload.output: [64, 65]}}
"""
CONDITIONS = ({"run": "short"}, {"run": "long", "output": 64})


def measured(folder: Path, factors: tuple[float, float] = (1.0, 1.0), **figures: float) -> Path:
    """The study, with calibrations that a machine of these figures would give, times a factor each."""
    file = folder / "experiment.yaml"
    file.write_text(STUDY)
    results = results_of(load_study(file, [*figures.items()]))
    with (folder / "published.csv").open("w") as csv_file:
        rows = csv.writer(csv_file)
        rows.writerow(COLUMNS)
        rows.writerow(["1", "latency", "run=long output=65", "prediction", 1e9, "s", 1, "never looked at"])
        for condition, factor in zip(CONDITIONS, factors, strict=True):
            text = " ".join(f"{key}={value}" for key, value in condition.items())
            value = factor * (results.measure("latency", condition) or 0.0) * 1e3
            rows.writerow(["1", "latency", text, "calibration", value, "ms", 1, "the simulator itself"])
    return file


@pytest.mark.parametrize("start", [(0.75, 12.5e-6), (0.3, 1e-7), (1.0, 1e-3)])
def test_the_figures_that_made_the_measurements_are_found(tmp_path: Path, start: tuple[float, float]) -> None:
    found = fit(measured(tmp_path, **TRUE), dict(zip(TRUE, start, strict=True)), {PEAK: 1.0})
    assert found == pytest.approx(TRUE, rel=1e-4)


def test_a_fraction_ends_at_its_bound_and_the_rest_is_fitted_beside_it(tmp_path: Path) -> None:
    file = measured(tmp_path, (0.8, 1.0), **{PEAK: 1.0, LINK: 5e-5})  # prompts faster than the machine can be
    found = fit(file, {PEAK: 0.5, LINK: 1e-5}, {PEAK: 1.0})
    alone = fit(file, {LINK: 1e-5}, overrides=[f"{PEAK}=1"])
    assert found[PEAK] == 1.0
    assert found[LINK] == pytest.approx(alone[LINK], rel=1e-4)
    assert 2.5e-5 < found[LINK] < 5e-5


@pytest.mark.parametrize(
    ("parameters", "most", "message"),
    [
        ({LINK: 0.0}, {}, "found 0, expected a start above 0"),
        ({PEAK: 1.5}, {PEAK: 1.0}, "found 1.5, expected a start above 0, at most 1"),
        ({PEAK: 1.5}, {}, "efficiency.*at most 1|efficiency.*less than or equal to 1"),
        ({f"{LINK}s": 1e-6}, {}, "did you mean 'latency'"),
        (
            {PEAK: 0.5, LINK: 1e-6, "hardware.links.gpu<->gpu.bandwidth": 1e11},
            {},
            "parameters: found 3, expected 1 to 2",
        ),
        ({}, {}, "parameters: found 0"),
        ({"hardware.devices.gpu.static_power": 100.0}, {}, "it changes no calibration"),
    ],
)
def test_what_cannot_be_fitted_is_said(
    tmp_path: Path, parameters: dict[str, float], most: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(measured(tmp_path), parameters, most)


@given(
    slopes=st.lists(st.floats(0.2, 5), min_size=2, max_size=2),
    wanted=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    upper=st.lists(st.floats(-2, 2), min_size=2, max_size=2),
)
def test_the_bounded_minimum_of_a_convex_misfit_is_found(
    slopes: list[float], wanted: list[float], upper: list[float]
) -> None:
    """Separate parameters: each ends where its own misfit is nil, or at its bound."""
    limit, goal = np.array(upper), np.array(wanted)

    def misfit(x, title):
        return np.array(slopes) * (x - goal) + 0.1 * (np.exp(x) - np.exp(goal))

    found, useless = _least_squares(misfit, limit - 1.0, limit)
    assert useless is None
    assert found == pytest.approx(np.minimum(goal, limit), abs=1e-4)
