"""What a study gives: its points and figures looked up in them, which follow from the time of each point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.study.load import load_study
from simulator.study.results import StudyResults, check_lookup, results_of
from tests.study.conftest import TWO

LOOKED = """\
derived: {per_gb: time_s / size}
objectives: {per_gb: min, size: max}
metrics:
  faster: {of: time_s, over: {machine: small}, inverse: true}
  slower: {of: time_s, over: {machine: small}}
  longest: {of: time_s, take: max}
  mean: {of: time_s, take: mean}
  largest: {of: size, while: keeps_up, along: size, take: last}
  relative: {of: time_s, over: {machine: small, size: 1}, by: [run], run: sizes}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    file = tmp_path_factory.mktemp("study") / "experiment.yaml"
    file.write_text(f"schema: 1\n{TWO}{LOOKED}", encoding="utf-8")
    return results_of(load_study(file))


def time(results: StudyResults, **condition: Any) -> float:
    return results.measure("time_s", condition) or 0.0


def test_each_point_of_each_run_is_a_row(results: StudyResults) -> None:
    points = results.frames()["points"]
    assert points["run"].tolist() == ["sizes"] * 8 + ["numbers"] * 3
    assert points["machine"].tolist()[:8] == ["large"] * 4 + ["small"] * 4
    assert (points["per_gb"] * points["workload.size"]).tolist() == pytest.approx(points["time_s"].tolist())
    assert set(results.named("numbers")) >= {"size", "number", "time_s", "per_gb", "feasible", "front"}


def test_a_metric_is_that_of_the_case_under_a_condition(results: StudyResults) -> None:
    assert time(results, machine="small", size=4) == pytest.approx(4 * time(results, machine="small", size=1))
    assert time(results, run="numbers", number=3) == pytest.approx(3 * time(results, run="numbers", number=1))


def test_a_ratio_is_over_the_case_that_differs_in_its_keys_alone(results: StudyResults) -> None:
    one = {"machine": "large", "size": 2}
    ratio = time(results, **one) / time(results, machine="small", size=2)
    assert results.measure("slower", one) == pytest.approx(ratio)
    assert results.measure("faster", one) == pytest.approx(1 / ratio)
    assert results.measure("faster", {"machine": "small", "size": 2}) == 1.0


def test_one_of_several_cases_counts(results: StudyResults) -> None:
    times = [time(results, machine="large", size=size) for size in (1, 2, 4, 8)]
    assert results.measure("longest", {"machine": "large"}) == max(times)
    assert results.measure("mean", {"machine": "large"}) == pytest.approx(sum(times) / 4)


def test_a_rate_is_the_largest_up_to_which_it_keeps_up(results: StudyResults) -> None:
    assert results.measure("largest", {"machine": "small"}) == 4


def test_a_metric_may_be_normalised_to_one_case(results: StudyResults) -> None:
    expected = time(results, machine="large", size=8) / time(results, machine="small", size=1)
    assert results.measure("relative", {"machine": "large", "size": 8}) == pytest.approx(expected)


def test_equal_cases_of_two_runs_are_one(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    twice = TWO + "  again: {cases: {machine: [small]}, axes: {workload.size: [8, 16]}}\n"
    file.write_text(f"schema: 1\n{twice}", encoding="utf-8")
    results = results_of(load_study(file))
    assert results.measure("time_s", {"machine": "small", "size": 8}) == time(results, run="again", size=8)


@pytest.mark.parametrize(
    ("metric", "condition", "message"),
    [
        ("times_s", {}, "no such metric: found 'times_s'.*did you mean 'time_s'"),
        ("time_s", {"machines": "small"}, "no such key: found 'machines'.*did you mean 'machine'"),
        ("time_s", {"machine": "smal", "size": 1}, "machine: no case has it: found 'smal'.*did you mean 'small'"),
        ("time_s", {"machine": "small"}, "several cases: found 4 with machine=small, expected one: say its size"),
        ("why", {"machine": "small", "size": 1}, "why: found the text '', expected a number"),
    ],
)
def test_what_cannot_be_looked_up(results: StudyResults, metric: str, condition: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        results.measure(metric, condition)


def test_what_cannot_be_looked_up_is_known_before(yaml: Callable[[str], Path]) -> None:
    study = load_study(yaml(TWO))
    check_lookup(study, "time_s", {"machine": "small", "size": 8})
    with pytest.raises(ConfigError, match="several cases: found 4 with machine=small, expected one: say its size"):
        check_lookup(study, "time_s", {"machine": "small"})
    with pytest.raises(ConfigError, match="no such case: found machine=small number=1"):
        check_lookup(study, "time_s", {"machine": "small", "number": 1})


def test_no_more_is_computed_than_wanted_figures_need(yaml: Callable[[str], Path]) -> None:
    study = load_study(yaml(TWO + LOOKED))
    whole = results_of(study)
    wanted = [("faster", {"machine": "large", "size": 2}), ("time_s", {"run": "numbers", "number": 3})]
    some = results_of(study, wanted)
    assert {run: len(frame) for run, frame in some.points.items()} == {"sizes": 2, "numbers": 1}
    assert [some.measure(*each) for each in wanted] == [whole.measure(*each) for each in wanted]


def test_no_more_of_a_point_is_computed_than_its_figures_need(yaml: Callable[[str], Path]) -> None:
    study = load_study(yaml(f"{TWO}{LOOKED}"))
    whole = results_of(study)
    wanted = [
        ("time_s", {"run": "sizes", "machine": "small", "size": 4}),
        ("keeps_up", {"run": "sizes", "machine": "large", "size": 2}),
        ("time_s", {"run": "sizes", "machine": "large", "size": 8}),
    ]
    some = results_of(study, wanted, only=True)
    assert [some.measure(*each) for each in wanted] == [whole.measure(*each) for each in wanted]
    points = some.named("sizes")
    assert points[["machine", "size"]].values.tolist() == [["large", 2], ["large", 8], ["small", 4]]
    assert points["keeps_up"].isna().tolist() == [False, True, True]


def test_the_front_is_what_no_feasible_point_beats(results: StudyResults) -> None:
    points = results.points["sizes"]
    assert points["front"].any()
    for row in points[~points["front"]].itertuples():
        better = (points["per_gb"] <= row.per_gb) & (points["workload.size"] >= points.loc[row.Index, "workload.size"])
        assert better.sum() > 1


def test_progress_counts_all_points_of_all_runs(yaml: Callable[[str], Path]) -> None:
    told: list[tuple[int, int]] = []
    results_of(load_study(yaml(TWO)), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (11, 11)
