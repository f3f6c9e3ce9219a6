"""Skew of routed experts: what the experiment's README claims, and its YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import data
from simulator.baselines.experiment import Outcome, load_experiment, run
from simulator.baselines.published import Published, read_published
from simulator.baselines.skew import SkewExperiment
from simulator.errors import ConfigError


@pytest.fixture(scope="module")
def published() -> list[Published]:
    return read_published(data.folder("experiments") / "expert-skew" / "published.csv")


@pytest.fixture(scope="module")
def outcome(published: list[Published]) -> Outcome:
    """All routers, at 32 and 512 tokens; what is published of few tokens, as the test of it asks."""
    form, _ = load_experiment("expert-skew", ["tokens=[25, 32, 64, 128, 512]"])
    return run(form, lambda done, total: None)


Measured = Callable[[str, str, int], float]


@pytest.fixture(scope="module")
def value(outcome: Outcome) -> Measured:
    return lambda metric, router, tokens: outcome.measure(metric, {"router": router, "tokens": tokens}) or 0.0


def test_uniform_routing_agrees_with_what_others_drew(published: list[Published], outcome: Outcome) -> None:
    rows = [row for row in published if row.figure == "Expert parallelism"]
    assert len(rows) == 10
    for row in rows:
        assert row.from_si(outcome.measure(row.metric, row.condition) or 0.0) == pytest.approx(row.published, rel=0.01)


def test_measured_popularity_gives_the_skew_of_steps_whose_tokens_are_independent(
    published: list[Published], outcome: Outcome
) -> None:
    named = ("Decode, answers parted", "Neighbours")
    rows = [row for row in published if row.figure in named and row.metric == "busiest_over_mean"]
    assert len(rows) == 5
    for row in rows:
        assert outcome.measure(row.metric, row.condition) == pytest.approx(row.published, rel=0.06)


def test_and_too_little_where_answers_begin_alike(published: list[Published], outcome: Outcome) -> None:
    for row in published:
        if row.figure == "Decode, all passes":
            assert row.from_si(outcome.measure(row.metric, row.condition) or 0.0) < 0.8 * row.published


def test_measured_routing_is_near_uniform_and_zipf_is_not(value: Measured) -> None:
    busiest = [value("busiest_over_mean", r, 512) for r in ("uniform", "qwen-layer-0", "topics", "dirichlet", "zipf")]
    assert busiest == sorted(busiest)
    assert busiest[1] < 1.2 * busiest[0]
    assert busiest[4] > 8 * busiest[0]
    effective = [value("effective_experts", r, 512) for r in ("uniform", "qwen-layer-0", "dirichlet", "zipf")]
    assert effective == sorted(effective, reverse=True)


def test_one_hot_expert_is_as_hot_in_steps_of_any_size(value: Measured) -> None:
    assert value("busiest_over_mean", "olmoe-layer-0", 512) == pytest.approx(
        value("busiest_over_mean", "olmoe-layer-0", 25), rel=0.01
    )


def test_skew_helps_engines_that_share_experts(value: Measured) -> None:
    gains = [value("sharing_speedup", router, 512) for router in ("uniform", "qwen-layer-0", "dirichlet", "zipf")]
    assert gains == sorted(gains)
    assert value("sharing_speedup_even", "uniform", 512) < gains[0]
    assert gains[3] > 1.5 * gains[0]
    bound_by_memory = [value("sharing_speedup", router, 32) for router in ("uniform", "zipf")]
    assert bound_by_memory[1] == pytest.approx(bound_by_memory[0], rel=0.05)


def test_nothing_counts_as_a_prediction_of_what_the_popularity_was_measured_on(published: list[Published]) -> None:
    assert {row.role for row in published} == {"context"}


# --- the YAML

SMALL = """\
schema: 1
kind: skew
title: small
tokens: [3, 8]
draws: 4
routers:
  uniform: {kind: uniform, experts: 6, top_k: 2, devices: 3}
  zipf: {kind: zipf, experts: 6, top_k: 2, exponent: 1}
"""


def small(folder: Path, old: str = "", new: str = "") -> Outcome:
    (folder / "experiment.yaml").write_text(SMALL.replace(old, new) if old else SMALL)
    form, _ = load_experiment(folder / "experiment.yaml")
    return run(form, lambda done, total: None)


def test_without_engines_or_devices_there_is_no_such_value(tmp_path: Path) -> None:
    outcome = small(tmp_path)
    assert len(outcome.frames()["points"]) == 4
    assert outcome.measure("sharing_speedup", {"router": "zipf", "tokens": 3}) is None
    assert outcome.measure("busiest_device_over_mean", {"router": "zipf", "tokens": 3}) is None
    on_device = outcome.measure("busiest_device_over_mean", {"devices": 3, "tokens": 3}) or 0.0
    assert 1 <= on_device <= (outcome.measure("busiest_over_mean", {"devices": 3, "tokens": 3}) or 0.0)


def test_equal_seeds_give_equal_points(tmp_path: Path) -> None:
    one, same, other = (
        small(tmp_path, *change).frames()["points"] for change in ((), (), ("draws: 4", "draws: 4\nseed: 1"))
    )
    assert one.equals(same)
    assert not one.equals(other)


def test_only_what_is_asked_for_is_left() -> None:
    form, _ = load_experiment("expert-skew")
    assert isinstance(form, SkewExperiment)
    left = form.only([{"router": "zipf", "tokens": 32}, {"router": "glam", "tokens": 64}])
    assert (list(left.routers), left.tokens) == (["zipf", "glam"], [32, 64])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("devices: 3", "devices: 4", r"routers\.uniform\.devices: found 4, expected a divisor of the 6 experts"),
        ("kind: zipf", "kind: zip", r"did you mean 'zipf'"),
        ("exponent: 1", "exponents: 1", r"exponent"),
        ("top_k: 2, exponent", "top_k: 7, exponent", r"top_k: found 7, expected 6 or less"),
        ("draws: 4", "draws: 0", r"experiment\.yaml:5: draws"),
        (
            "draws: 4",
            "draws: 4\nsharing: {hardware: duplex-node, model: llama-2-7b, high: xpu, low: pim}",
            "a model with experts",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        small(tmp_path, old, new)


@pytest.mark.parametrize(
    ("metric", "condition", "says"),
    [
        ("busiest", {}, "busiest_over_mean"),
        ("gini", {"routers": "zipf"}, "did you mean 'router'"),
        ("gini", {"router": "zipf", "tokens": 4}, "no such point"),
        ("gini", {"router": "zipf"}, "one point; 2 of 'zipf' meet it"),
    ],
)
def test_an_unknown_metric_or_point_is_refused(
    tmp_path: Path, metric: str, condition: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        small(tmp_path).measure(metric, condition)
