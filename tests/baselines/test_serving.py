"""Serving experiments of one's own: what they give, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.baselines.simulate import simulate, simulate_each
from simulator.errors import CapacityError, ConfigError, TiersimError
from simulator.scenario.parts import scaled

SMALL = """\
schema: 1
kind: serving
title: small
systems:
  gpu: {hardware: duplex-h100}
  both: {hardware: duplex-node, dispatch: static_by_layer, together: true, split: greedy}
models:
  mixtral-8x7b: {devices: 4}
loops:
  chat: {systems: [gpu, both], lengths: {mixtral-8x7b: [[128, 32]]}, batches: [8, 16]}
arrivals:
  open:
    {systems: [gpu], model: mixtral-8x7b, length: [128, 32], batch: 8, rates: [1, 500], processes: [even],
     requests: 100}
rounds: 2
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "experiment.yaml").write_text(SMALL)
    return tmp_path / "experiment.yaml"


def test_points_and_metrics(small: Path) -> None:
    outcome = simulate(small).outcome
    frames = outcome.frames()
    assert len(frames["points"]) == 4
    assert list(frames["arrivals"]["rate"]) == [1, 500]
    ratio = outcome.measure("throughput", {"system": "both", "over": "gpu", "batch": 8})
    new, old = (outcome.measure("throughput", {"system": system, "batch": 8}) for system in ("both", "gpu"))
    assert ratio == pytest.approx(new / old)  # type: ignore[operator]
    assert ratio is not None and ratio > 1
    whole = {"system": "both", "over": "gpu", "of": "chat"}
    least, mean, most = (outcome.measure("throughput", whole | {"statistic": s}) for s in ("min", "mean", "max"))
    assert least < mean < most  # type: ignore[operator]
    assert outcome.measure("saturation", {"system": "gpu", "of": "open", "process": "even"}) == 1
    few = simulate(small, ["arrivals.open.requests=20"]).outcome
    assert few.measure("saturation", {"system": "gpu", "of": "open", "process": "even"}) is None


def test_variants_that_run_together_give_what_each_gives_alone(small: Path) -> None:
    """Also where they have points in common: of the system that both leave as it is."""
    chat = ["only=[chat]", "loops.chat.batches=[4]", "rounds=2"]
    settings = [chat, [*chat, "systems.both.split=fastest"]]
    together = simulate_each(small, settings, [None, None])[1]
    alone = simulate(small, settings[1])
    assert together.provenance.config == alone.provenance.config
    pd.testing.assert_frame_equal(together.frames()["points"], alone.frames()["points"], rtol=1e-9)


def test_equal_runs_give_equal_tables(small: Path) -> None:
    one, other = (simulate(small).frames() for _ in range(2))
    assert all(one[name].equals(other[name]) for name in one)


def test_loops_that_were_not_run_have_no_value(small: Path) -> None:
    outcome = simulate(small, ["only=[open]"]).outcome
    assert outcome.measure("throughput", {"system": "both", "over": "gpu", "of": "chat", "statistic": "max"}) is None
    assert outcome.measure("throughput", {"system": "both", "batch": 8}) is None


def test_what_has_no_room_is_a_point_with_its_reason(small: Path) -> None:
    points = simulate(
        small, ["systems.gpu.scale=0", "models.mixtral-8x7b.devices=1", "systems.both.split=none"]
    ).frames()
    refused = points["points"].set_index("system")["refused"]
    assert (refused["gpu"] == "").all()
    assert refused["both"].str.contains("one sequence of 160 tokens beside mixtral-8x7b on a xpu: needs").all()


def test_a_statistic_over_a_point_that_has_no_room_has_no_value(small: Path) -> None:
    outcome = simulate(
        small, ["systems.gpu.scale=0", "models.mixtral-8x7b.devices=1", "systems.both.split=none"]
    ).outcome
    for statistic in ("min", "mean", "max"):
        whole = {"system": "both", "over": "gpu", "of": "chat", "statistic": statistic}
        assert outcome.measure("throughput", whole) is None


def test_machines_that_only_arrivals_use_are_told_too(small: Path) -> None:
    assert set(simulate(small, ["only=[open]"]).outcome.inputs["systems"]) == {"duplex-h100"}


def test_no_room_for_arrivals_is_told_by_many_processes_as_by_one(small: Path) -> None:
    """More tasks than one process takes: the refusal comes back from another."""
    many = "rates: [1], processes: [even, poisson, even, poisson, even]"
    text = small.read_text().replace("rates: [1, 500], processes: [even]", many)
    small.write_text(
        text.replace("model: mixtral-8x7b", "model: grok-1").replace("models:\n", "models:\n  grok-1: {devices: 4}\n")
    )
    for only in ("only=[open]", "only=[]"):
        with pytest.raises(CapacityError, match="one sequence of 160 tokens beside grok-1 on a xpu: needs") as caught:
            simulate(small, [only])
        assert caught.value.needed > caught.value.there


def test_an_experiment_in_which_nothing_has_room_is_refused(small: Path) -> None:
    few = ["models.mixtral-8x7b.devices=1", "systems.both.split=none", "only=[chat]"]
    with pytest.raises(TiersimError, match="one sequence of 160 tokens beside mixtral-8x7b on a xpu: needs"):
        simulate(small, few)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "systems.both.dispatch=static_by_layr",
            "systems.both.dispatch: found 'static_by_layr', expected one of by_op",
        ),
        ("systems.both.dispatch=static_by_layr", "did you mean 'static_by_layer'?"),
        ("systems.both.split=greed", "systems.both.split: found 'greed', expected one of none,"),
        ("systems.both.split=greed", "did you mean 'greedy'?"),
        (
            "systems.gpu.split=greedy",
            "systems.gpu.split: found 'greedy' with xpu.xpu, expected two engines over one memory",
        ),
        (
            "loops.chat.systems=[gpu, bot]",
            "loops.chat.systems.1: found 'bot', expected one of gpu, both; did you mean 'both'?",
        ),
        ("loops.chat.lengths.mixtral-8x7=[[8, 8]]", "loops.chat.lengths.mixtral-8x7: found 'mixtral-8x7', expected"),
        ("arrivals.open.model=mixtral", "arrivals.open.model: found 'mixtral', expected 'mixtral-8x7b'"),
        (
            "arrivals.open.systems=[gup]",
            "arrivals.open.systems.0: found 'gup', expected one of gpu, both; did you mean",
        ),
        ("systems.gpu.answers=[xpu.xpu]", "systems.0: found 'gpu', which has answers, expected a system without"),
        ("systems.gpu.hardware=duplex-h10", "systems.gpu: nothing in hwconfigs has this name: found 'duplex-h10'"),
        ("systems.gpu.set=[devices.xpu.cuont=3]", "set of systems.gpu: devices.xpu.cuont: unknown key"),
        ("lengths={spread: 1e9}", "lengths.spread: found 1000000000.0, expected at most 10"),
        ("only=[chats]", "did you mean 'chat'?"),
        ("router=unifrom", "did you mean 'uniform'?"),
        ("systems.both.engines=[xpu.xpu, xpu.pin]", "found 'xpu.pin', expected one of xpu.xpu, xpu.pim"),
        ("models.mixtral-8x7b.devices=3", "systems.gpu.experts: found 3 groups of 3 devices, expected a number that"),
        ("rounds=-1", "rounds: found -1, expected more than 0"),
    ],
)
def test_mistakes_are_named(small: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        simulate(small, [override])
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "condition", "says"),
    [
        ("thruput", {"system": "gpu", "batch": 8}, "did you mean 'throughput'?"),
        ("throughput", {"system": "gpu", "bach": 8}, "did you mean 'batch'?"),
        ("throughput", {"system": "gpu"}, "2 points meet this"),
        ("throughput", {"system": "gpu", "batch": 9}, "no such point"),
        ("throughput", {"system": "gpu", "of": "caht"}, "did you mean 'chat'?"),
        ("throughput", {"system": "both", "over": "gpu", "of": "chat", "statistic": "median"}, "expected statistic="),
        ("saturation", {"system": "both", "of": "open"}, "no arrivals meet this"),
        ("throughput", {"over": "gpu", "of": "chat", "statistic": "max"}, "expected statistic="),
        ("throughput", {"system": "both", "over": "gpu", "of": "open", "statistic": "max"}, "no such closed loops"),
        (
            "throughput",
            {"system": "gpu", "over": "gpu", "of": "chat", "batch": 9, "statistic": "max"},
            "no such point in",
        ),
        ("throughput", {"system": "gpu", "over": "gpu", "of": "chat", "bach": 8, "statistic": "max"}, "mean 'batch'?"),
    ],
)
def test_metrics_that_there_are_not(small: Path, metric: str, condition: dict[str, Any], says: str) -> None:
    outcome = simulate(small).outcome
    with pytest.raises(ConfigError) as caught:
        outcome.measure(metric, condition)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "devices", "scale", "expected"),
    [(1, 4, 1, (1, 4)), (1, 4, 2, (1, 8)), (1, 8, 2, (2, 8)), (2, 8, 2, (4, 8)), (1, 2, 8, (2, 8))],
)
def test_a_node_is_filled_before_there_are_more(
    nodes: int, devices: int, scale: int, expected: tuple[int, int]
) -> None:
    assert scaled(nodes, devices, scale) == expected
