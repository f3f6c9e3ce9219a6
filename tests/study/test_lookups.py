"""Look-ups of some cases, and over the largest or the least."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.study.load import load_study, load_variant
from simulator.study.results import StudyResults, results_of

STUDY = """\
title: two machines
base: {hardware: {devices.gpu.tiers.hbm.bandwidth: 1 TB/s}, workload: {kind: writes, number: 2}}
cases:
  machine:
    small: {hardware: dgx-a100}
    large: {hardware: dgx-h100, workload: {number: 3}}
axes: {workload.size: [1, 2, 4]}
metrics:
  over_worst: {of: time_s, over: max, by: [size]}
  over_best: {of: time_s, over: min, by: [size]}
  over_all: {of: time_s, over: max}
  of_large: {of: time_s, where: {machine: large}}
  speedup: {of: time_s, over: {machine: large}, inverse: true, where: {machine: small}}
  largest_at_250: {of: size, where: {rate_per_s: 250}, take: max}
  size_at: {of: size, reads: {rate: where.rate_per_s}, take: min}
"""


@pytest.fixture
def results(yaml: Callable[[str], Path]) -> StudyResults:
    return results_of(load_study(yaml(STUDY)))


def test_figures_of_the_base_are_laid_over_the_machine_of_a_case(results: StudyResults) -> None:
    assert results.measure("time_s", {"machine": "small", "size": 4}) == pytest.approx(2 * 4e9 / 1e12)
    assert results.measure("time_s", {"machine": "large", "size": 4}) == pytest.approx(3 * 4e9 / 1e12)


@pytest.mark.parametrize(
    ("metric", "condition", "value"),
    [
        ("over_worst", {"machine": "small", "size": 2}, 2 / 3),
        ("over_worst", {"machine": "large", "size": 2}, 1.0),
        ("over_best", {"machine": "large", "size": 2}, 1.5),
        ("over_all", {"machine": "small", "size": 2}, 1 / 3),
        ("of_large", {"size": 1}, 3e9 / 1e12),
        ("speedup", {"size": 1}, 1.5),
        ("largest_at_250", {"machine": "small"}, 4),
        ("size_at", {"machine": "small", "rate": 500}, 2),
    ],
)
def test_a_look_up_of_few_points_is_that_of_all(
    yaml: Callable[[str], Path], results: StudyResults, metric: str, condition: dict[str, object], value: float
) -> None:
    assert results.measure(metric, condition) == pytest.approx(value)
    wanted = results_of(load_study(yaml(STUDY)), [(metric, condition)])
    assert wanted.measure(metric, condition) == results.measure(metric, condition)
    assert len(wanted.named()) < len(results.named()) or metric == "over_all"


def test_a_value_that_a_metric_never_has_is_no_figure(results: StudyResults) -> None:
    assert results.measure("size_at", {"machine": "small", "rate": 501}) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("over: max, by", "over: most, by", r"metrics\.over_worst\.over"),
        ("where: {machine: large}}", "where: {machin: large}}", r"of_large\.where\.machin: .*did you mean 'machine'"),
        ("where.rate_per_s", "where.rate_per", r"size_at\.reads\.rate: .*did you mean 'where.rate_per_s'"),
        ("where: {machine: large}}", "where: {machine: larg}}", r"of_large\.where\.machine: .*did you mean 'large'"),
    ],
)
def test_what_cannot_be_looked_up_is_refused_at_its_line(
    yaml: Callable[[str], Path], old: str, new: str, message: str
) -> None:
    assert old in STUDY
    with pytest.raises(ConfigError, match=r"experiment\.yaml:\d+: .*" + message):
        load_study(yaml(STUDY.replace(old, new, 1)))


def test_a_run_holds_a_figure_where_it_has_its_cases_and_not_only_those_that_it_is_divided_by(
    yaml: Callable[[str], Path],
) -> None:
    runs = "runs: {both: {cases: {machine: all}}, one: {cases: {machine: [large]}}}\n"
    variants = "variants: {more: {title: more writes, set: {workload.number: 5}, runs: [one]}}\n"
    study = load_study(file := yaml(STUDY + runs + variants))
    asked = ("speedup", {"size": 1})
    assert results_of(study, [asked]).measure(*asked) == pytest.approx(1.5)
    variant = results_of(load_variant(study, "more", file, ()), [asked])
    assert not variant.holds(*asked)
    assert variant.holds("of_large", {"size": 1})
