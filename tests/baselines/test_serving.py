"""Serving experiments of one's own: what they give, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.baselines.serving.run import keeps_up, sized
from simulator.baselines.simulate import simulate
from simulator.errors import ConfigError, TiersimError
from simulator.serving.served import Served

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
    {systems: [gpu], model: mixtral-8x7b, length: [128, 32], batch: 8, rates: [1, 500], processes: [even], requests: 60}
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


def test_an_experiment_in_which_nothing_has_room_is_refused(small: Path) -> None:
    few = ["models.mixtral-8x7b.devices=1", "systems.both.split=none", "only=[chat]"]
    with pytest.raises(TiersimError, match="one sequence of 160 tokens beside mixtral-8x7b on a xpu: needs"):
        simulate(small, few)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("systems.both.dispatch=static_by_layr", "no such dispatch: found static_by_layr"),
        ("systems.both.dispatch=static_by_layr", "did you mean 'static_by_layer'?"),
        ("systems.both.split=greed", "did you mean 'greedy'?"),
        ("systems.gpu.split=greedy", "split: found 'greedy' with xpu.xpu, expected two engines over one memory"),
        ("loops.chat.systems=[gpu, bot]", "found 'bot', expected one of gpu, both; did you mean 'both'?"),
        ("only=[chats]", "did you mean 'chat'?"),
        ("router=unifrom", "did you mean 'uniform'?"),
        ("systems.both.engines=[xpu.xpu, xpu.pin]", "found no engine pin, expected one of xpu, pim"),
        ("models.mixtral-8x7b.devices=3", "experts"),
        ("rounds=-1", "rounds"),
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
    assert sized(nodes, devices, scale) == expected


def test_a_queue_that_grows_does_not_keep_up() -> None:
    import numpy as np

    def seen(queued: Any) -> Served:
        none = np.empty(0)
        return Served(none, np.asarray(queued, dtype=float), none, none, none, none, 0.0, 1.0)

    assert keeps_up(seen(np.ones(100)))
    assert not keeps_up(seen(np.arange(100)))
