"""Figures of a serving experiment, on a small one that runs in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.baselines.reproduction import Reproduction, compare_with_published
from simulator.report import style
from simulator.report.serving import ServingFigures, arrivals, bars, percentiles, shares, statistics
from simulator.report.serving.systems import called, outcome_of

YAML = """\
schema: 1
kind: serving
title: small
systems:
  gpu: {hardware: duplex-h100}
  both: {hardware: duplex-node, dispatch: static_by_layer}
models:
  mixtral-8x7b: {devices: 4}
loops:
  chat: {systems: [gpu, both], lengths: {mixtral-8x7b: [[128, 32], [64, 32]]}, batches: [4, 8]}
arrivals:
  open:
    {systems: [gpu], model: mixtral-8x7b, length: [64, 16], batch: 4, rates: [1, 50], processes: [even], requests: 20}
rounds: 1
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
1,speedup,system=both over=gpu of=chat statistic=mean,prediction,1.5,x,0.1,made up
2,saturation,system=gpu of=open process=even,prediction,20,requests/s,1,made up
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("serving")
    (folder / "experiment.yaml").write_text(YAML)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


@style.publication()
def test_every_figure_is_drawn(small: Reproduction, tmp_path: Path) -> None:
    drawn = list(ServingFigures.draw(small))
    names = [each.name for each in drawn]
    assert names == ["chat_throughput", "chat_energy", "chat_latency", "open", "shares", "statistics"]
    for each in drawn:
        style.save(each.figure, tmp_path / f"{each.name}.png")
        assert each.caption.endswith(".")


@style.publication()
def test_bars_are_as_high_as_the_ratios(small: Reproduction) -> None:
    drawn = bars.draw(small, "chat", "throughput")
    assert drawn
    heights = sorted(patch.get_height() for patch in drawn.figure.axes[0].patches)
    assert heights == pytest.approx(sorted(outcome_of(small).ratios("throughput", "chat", "both", "gpu").values()))
    lines = [line.get_ydata()[0] for line in drawn.figure.axes[0].lines]  # type: ignore[index]
    assert 1.5 in lines, "the published mean"


@style.publication()
def test_what_was_not_run_is_not_drawn(small: Reproduction) -> None:
    form = outcome_of(small).experiment
    object.__setattr__(form, "only", ("nothing",))
    try:
        assert bars.draw(small, "chat", "throughput") is None
        assert percentiles.draw(small, "chat") is None
        assert arrivals.draw(small, "open") is None
        assert shares.draw(small) is None
    finally:
        object.__setattr__(form, "only", ())
    assert statistics.draw(small) is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [("gpu", "GPU"), ("2xgpu", "2x GPU"), ("bank-pim", "Bank-PIM"), ("duplex-pe-et", "Duplex + PE + ET"),
     ("hetero-unlimited", "Hetero-unlimited")],
)  # fmt: skip
def test_systems_are_called_as_the_field_does(name: str, said: str) -> None:
    assert called(name) == said
