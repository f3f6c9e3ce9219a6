"""Skew of routed experts: laws of what is drawn, what each key changes, and what is refused."""

from __future__ import annotations

import warnings
from math import isnan
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.scenario.evaluate import evaluate

ZIPF = {"kind": "zipf", "experts": 6, "top_k": 2, "exponent": 1.0}
SHARED = {"hardware": "duplex-node", "model": "mixtral-8x7b", "mapping": {"split": "greedy"}}
OF_ENGINES = {"sharing_speedup", "sharing_speedup_even"}


def scenario(**keys: Any) -> dict[str, Any]:
    parts = {key: keys.pop(key) for key in ("hardware", "model", "mapping") if key in keys}
    return {**parts, "workload": {"kind": "routing", "router": ZIPF, "tokens": 8, "draws": 4, **keys}}


def metrics(**keys: Any) -> dict[str, Any]:
    return dict(evaluate(scenario(**keys)).metrics)


def test_without_engines_or_devices_there_is_no_such_value() -> None:
    blank = {name for name, value in metrics().items() if value is None}
    assert blank == OF_ENGINES | {"busiest_device_over_mean"}


def test_devices_are_more_even_than_their_experts() -> None:
    of = metrics(mapping={"expert": 3})
    assert 1 <= of["busiest_device_over_mean"] <= of["busiest_over_mean"]
    assert metrics(mapping={"expert": 6})["busiest_device_over_mean"] == of["busiest_over_mean"]
    assert metrics(mapping={"expert": 1})["busiest_device_over_mean"] == 1


def test_a_law_that_favours_none_is_the_most_even() -> None:
    """Of so many tokens that numbers are not small."""
    drawn = [metrics(router={**ZIPF, "exponent": exponent}, tokens=4096) for exponent in (0.0, 1.0, 3.0)]
    for name, falls in (("busiest_over_mean", False), ("gini", False), ("effective_experts", True)):
        values = [each[name] for each in drawn]
        assert values == sorted(values, reverse=falls)
    assert drawn[0]["busiest_over_mean"] == pytest.approx(1, abs=0.1)


def test_equal_seeds_give_equal_draws() -> None:
    assert metrics() == metrics()
    assert metrics(seed=1) != metrics()


@pytest.mark.parametrize("change", [{"tokens": 9}, {"draws": 5}, {"layers": 2}, {"router": {**ZIPF, "seed": 3}}])
def test_each_key_changes_what_is_drawn(change: dict[str, Any]) -> None:
    assert metrics(**change)["gini"] != metrics()["gini"]


def test_two_engines_are_no_slower_than_the_faster_of_them() -> None:
    of = metrics(**SHARED)
    assert all(1 <= of[name] <= 8 for name in OF_ENGINES)
    assert {name: of[name] for name in metrics() if name not in OF_ENGINES} == {
        name: value for name, value in metrics().items() if name not in OF_ENGINES
    }
    named = {**SHARED, "mapping": {"split": "greedy", "engines": ["xpu.pim", "xpu.xpu"]}}
    assert metrics(**named) == of  # in either order


@given(tokens=st.integers(1, 3), experts=st.integers(1, 3), top_k=st.integers(1, 3), draws=st.integers(1, 2))
@settings(max_examples=15, deadline=None)
def test_few_draws_of_few_tokens(tokens: int, experts: int, top_k: int, draws: int) -> None:
    assume(top_k <= experts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of = metrics(router={"kind": "uniform", "experts": experts, "top_k": top_k}, tokens=tokens, draws=draws)
    assert 1 <= of["effective_experts"] <= experts + 1e-9
    assert 0 <= of["idle"] <= 1 - top_k / experts
    assert not any(isnan(value) for value in of.values() if value is not None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mapping": {"expert": 4}}, r"mapping\.expert: found 4, expected a divisor of the 6 experts"),
        ({"router": {**ZIPF, "kind": "zip"}}, r"router\.kind.*did you mean 'zipf'"),
        ({"router": {**ZIPF, "exponents": 1}}, r"router\.exponents.*did you mean 'exponent'"),
        ({"router": {**ZIPF, "top_k": 7}}, r"workload\.router\.top_k: found 7, expected 6 or less"),
        ({"router": {"kind": "measured", "counts": "olmoe-1b-7b", "layer": 3}}, r"workload\.router\.layer.*found 3"),
        ({"router": None}, r"workload\.router: missing key"),
        ({"draws": 0}, r"workload\.draws"),
        ({**SHARED, "model": "llama-2-7b"}, r"model: found 'llama-2-7b', expected a model with experts"),
        ({**SHARED, "hardware": None}, r"hardware: missing key"),
        ({**SHARED, "mapping": {}}, r"mapping\.split: missing key"),
        ({**SHARED, "mapping": {"split": "greedy", "engines": ["xpu.pim"]}}, r"mapping\.engines: found xpu\.pim"),
        ({**SHARED, "mapping": {"split": "greedy", "engines": ["xpu.npu"]}}, r"mapping\.engines\.0: .*xpu"),
        ({"mapping": {"split": "greedy"}}, r"mapping\.split: routing without a machine and a model does not read it"),
        ({"mapping": {"tensor": 2}}, r"mapping\.tensor: a workload of kind 'routing' does not read it"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics(**change)
