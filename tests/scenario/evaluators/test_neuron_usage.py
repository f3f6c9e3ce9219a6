"""Neurons that successive tokens use: the law, its trace, two populations, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluate import evaluate
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.workload.neurons.files import save_neurons
from simulator.workload.neurons.window_law import WindowLaw, renewal

SMALL = {
    "name": "small", "family": "opt", "source": "made up for tests", "layers": 2, "hidden": 256, "vocab": 1000,
    "max_context": 512, "attention": {"heads": 4, "kv_heads": 4, "head_dim": 64},
    "ffn": {"intermediate": 2048, "matrices": 2, "activation": "relu"}, "norm": {"kind": "layer"},
    "positions": {"kind": "rope"},
}  # fmt: skip
LAW = {"kind": "law", "window": 5, "share": 0.24, "increment": 0.024}
HOT = {"kind": "hot_cold", "hot": 0.13, "hot_rate": 0.59, "cold_rate": 0.027}


def metrics(**keys: Any) -> dict[str, Any]:
    workload = {"kind": "neuron_usage", "activity": LAW, "tokens": 200, **keys}
    return dict(evaluate({"model": SMALL, "workload": workload}).metrics)


def test_a_law_goes_through_its_two_values() -> None:
    of = metrics(span=5)
    assert (of["law_share"], of["law_increment"]) == (pytest.approx(0.24), pytest.approx(0.024))


def test_a_trace_has_the_shares_of_its_law_and_two_populations_nearly() -> None:
    for span in (1, 5, 20):
        of = metrics(span=span)
        assert of["trace_share"] == pytest.approx(of["law_share"], rel=0.02)
        assert of["hot_cold_share"] == pytest.approx(of["law_share"], rel=0.05)


def test_what_a_token_adds_is_the_share_of_one_more_less_that_of_before() -> None:
    one, two = metrics(span=3), metrics(span=4)
    for name in ("law", "trace", "hot_cold"):
        assert two[f"{name}_share"] - one[f"{name}_share"] == pytest.approx(one[f"{name}_increment"])


def test_spans_together_are_as_each_alone() -> None:
    scenario = with_values(Scenario(workload={"kind": "neuron_usage"}), {"model": SMALL, "workload.tokens": 50})
    together = evaluated(scenario, {"workload.span": np.array([1, 7, 30])})
    for place, span in enumerate((1, 7, 30)):
        alone = evaluated(scenario, {"workload.span": np.array([span])})
        assert {name: values[place] for name, values in together.items()} == {n: v[0] for n, v in alone.items()}


def test_populations_of_the_activity_are_those_counted_and_have_no_law() -> None:
    of = metrics(activity=HOT, span=4)
    assert of["trace_share"] == pytest.approx(of["hot_cold_share"], rel=0.02)
    assert of["law_share"] is None


def test_a_recording_is_read(tmp_path: Any) -> None:
    save_neurons(renewal(WindowLaw.fitted(5, 0.24, 0.024), 2, 2048, 200), tmp_path / "trace.npz")
    recorded = metrics(activity={"kind": "recorded", "file": str(tmp_path / "trace.npz")}, span=4)
    assert recorded["trace_share"] == metrics(span=4)["trace_share"], "what the law draws with seed 0"
    assert recorded["law_share"] is recorded["hot_cold_share"] is None


def test_a_predictor_misses_some_and_names_others() -> None:
    true = metrics()["trace_share"]
    assert metrics(errors={"false_negatives": 0.5})["trace_share"] == pytest.approx(true / 2, rel=0.05)
    named = metrics(errors={"false_positives": 0.1})["trace_share"]
    assert named == pytest.approx(true + 0.1 * (1 - true), rel=0.05)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"activity": {**LAW, "share": 1.5}}, r"workload\.activity\.share"),
        ({"activity": {**LAW, "increment": 0.2}}, r"workload\.activity\.increment: .*found 0\.2"),
        ({"activity": {**LAW, "kind": "lw"}}, r"workload\.activity\.kind.*did you mean 'law'"),
        ({"activity": {"kind": "recorded", "file": "none.npz"}}, r"none\.npz"),
        ({"span": 200}, r"found 200 to 201, expected 1 to 200 tokens"),
        ({"seed": -1}, r"workload\.seed"),
    ],
)
def test_what_cannot_be_counted_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics(**keys)
