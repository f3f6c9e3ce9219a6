"""Figures of a serving experiment, on an outcome made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.baselines.experiment import Simulation
from simulator.baselines.published import Published
from simulator.baselines.reproduction import Compared, Reproduction
from simulator.baselines.serving import ServingOutcome
from simulator.baselines.serving.form import ServingExperiment
from simulator.provenance import Provenance
from simulator.report import style
from simulator.report.serving import ServingFigures, apart, arrivals, latency, shares, statistics, throughput
from simulator.report.serving.systems import called, colours, model

SYSTEMS = ["gpu", "both", "bank-pim", "apart"]
FORM: dict[str, Any] = {
    "kind": "serving",
    "title": "small",
    "systems": {name: {"hardware": "duplex-h100"} for name in SYSTEMS},
    "models": {"mixtral-8x7b": {"devices": 4}, "glam-143b": {"devices": 8}},
    "loops": {
        "chat": {
            "systems": ["gpu", "both"],
            "lengths": {"mixtral-8x7b": [[128, 128], [256, 256]], "glam-143b": [[64, 64]]},
            "batches": [4, 8],
        },
        "alone": {"systems": ["gpu"], "lengths": {"mixtral-8x7b": [[128, 128]]}, "batches": [4]},
        "pim": {
            "systems": ["gpu", "bank-pim"],
            "lengths": {"mixtral-8x7b": [[128, 128]], "glam-143b": [[64, 64]]},
            "batches": [4],
        },
        "two": {"systems": ["gpu", "both", "apart"], "lengths": {"mixtral-8x7b": [[128, 128]]}, "batches": [8]},
    },
    "arrivals": {
        "open": {
            "systems": ["gpu", "both"], "model": "mixtral-8x7b", "length": [64, 16], "batch": 4,
            "rates": [1, 2, 4], "processes": ["poisson", "even"], "requests": 20,
        }
    },
}  # fmt: skip
TIMES = [f"{what}_p{percent}_s" for what in ("tbt", "ttft", "e2e") for percent in (50, 90, 99)]
FASTER = {"gpu": 1.0, "both": 2.0, "bank-pim": 1.5, "apart": 1.25}


def published(metric: str, value: float, figure: str = "1", **condition: Any) -> Compared:
    unit = {"saturation": "requests/s", "admitted": "requests"}.get(metric, "x")
    return Compared(Published(figure, metric, condition, "prediction", value, unit, 0.1, "made up"), value)


ROWS = [
    published("speedup", 1.75, system="both", over="gpu", of="chat", statistic="mean"),
    published("speedup", 2.25, system="both", over="gpu", of="chat", model="glam-143b", batch=4, statistic="max"),
    published("throughput", 1.4, "3", system="bank-pim", over="gpu", model="glam-143b", input=64, output=64, batch=4),
    published("tbt_p50", 0.45, system="both", over="gpu", of="chat", model="mixtral-8x7b", batch=4, statistic="mean"),
    published("saturation", 2, "2", system="both", of="open", process="poisson"),
    published("admitted", 6, "4", system="apart", model="mixtral-8x7b", input=128, output=128, batch=8),
]


def outcome(**changed: Any) -> ServingOutcome:
    form = ServingExperiment.model_validate({**FORM, **changed})
    points = {tuple(p.values()): p for loop in form.loops.values() for p in loop.points()}
    rows = []
    for point in points.values():
        fast = FASTER[point["system"]]
        row = {**point, "admitted": 5 if point["system"] == "apart" else point["batch"], "throughput": 100 * fast}
        row |= {time: 0.01 / fast for time in TIMES} | {"energy_j_per_token": 0.1 / fast, "refused": ""}
        row |= {"decoding_share_experts": 0.5, "decoding_share_attention": 0.25}
        rows.append(row | {"mixed_share_experts": 0.25, "mixed_share_attention": 0.25})
    opened = [
        {"system": s, "model": each.model, "process": p, "rate": rate, "keeps_up": rate < 4}
        | {time: 0.01 * rate / FASTER[s] for time in TIMES}
        for each in form.arrivals.values()
        for s in each.systems
        for p in each.processes
        for rate in each.rates
    ]  # fmt: skip
    return ServingOutcome(form, rows, opened, {})


def reproduced(rows: list[Compared], **changed: Any) -> Reproduction:
    found = outcome(**changed)
    base = Simulation(found.experiment, found, Provenance({}))
    return Reproduction("small", found.experiment, (), rows, base, {}, base.provenance)


def levels(axis: Any) -> set[float]:
    return {float(line.get_ydata()[0]) for line in axis.lines}


def heights(axis: Any) -> list[float]:
    return [round(float(patch.get_height()), 9) for patch in axis.patches]


@style.publication()
def test_every_figure_is_drawn(tmp_path: Path) -> None:
    drawn = list(ServingFigures.draw(reproduced(ROWS)))
    names = [each.name for each in drawn]
    assert names == ["speedups", "latency", "arrivals", "bank_pim", "energy", "shares", "apart", "statistics"]
    for each in drawn:
        style.save(each.figure, tmp_path / f"{each.name}.svg")
        assert each.caption.endswith(".")


@style.publication()
def test_bars_are_as_high_as_the_ratios() -> None:
    small = reproduced(ROWS)
    drawn = throughput.draw(small, "chat", "speedups")
    assert drawn
    mixtral, glam = drawn.figure.axes
    assert heights(mixtral) == [2.0] * 4 and heights(glam) == [2.0] * 2
    energy = throughput.draw(small, "chat", "energy", throughput.ENERGY)
    assert energy and heights(energy.figure.axes[0]) == [0.5] * 4
    later = latency.draw(small, "chat")
    assert later and [heights(axis) for axis in later.figure.axes] == [[0.5, 0.5]] * 5
    stacked = shares.draw(small)
    assert stacked and heights(stacked.figure.axes[0]) == [50, 25, 25, 25, 25, 50]
    two = apart.draw(small, ["two"])
    assert two
    left, right = two.figure.axes
    assert heights(left) == [2.0, 1.25], "of both, and of apart"
    assert heights(right) == [0.6] * 5, "apart over both, above 1"
    assert "5\n(6)" in [text.get_text() for text in left.texts], "room for 5 of 8, and 6 published"


@style.publication()
def test_what_is_published_stands_beside_the_bars() -> None:
    small = reproduced(ROWS)
    drawn = throughput.draw(small, "chat", "speedups")
    assert drawn
    lines = [levels(axis) for axis in drawn.figure.axes]
    assert 1.75 in lines[0] and 1.75 in lines[1], "of all models"
    assert 2.25 not in lines[0] and 2.25 in lines[1], "of one"
    assert [t.get_text() for t in drawn.figure.axes[1].texts if "max" in t.get_text()] == [
        "maximum 2.25\u00d7\n(batch 4)"
    ]
    pim = throughput.draw(small, "pim", "bank_pim")
    assert pim
    assert 1.4 in levels(pim.figure.axes[1])
    opened = arrivals.draw(small, "open")
    assert opened and {2.0} in [set(line.get_xdata()) for line in opened.figure.axes[0].lines]  # type: ignore[arg-type]


@style.publication()
def test_with_nothing_published_all_but_the_statistics_are_drawn() -> None:
    small = reproduced([])
    assert statistics.draw(small) is None
    assert len(list(ServingFigures.draw(small))) == 7


@style.publication()
@pytest.mark.parametrize("changed", [{"only": ("open",)}, {"loops": {}}])
def test_loops_that_were_not_run_are_not_drawn(changed: dict[str, Any]) -> None:
    small = reproduced([], **changed)
    assert [each.name for each in ServingFigures.draw(small)] == ["arrivals"]
    for loop in ("chat", "two", "none"):
        assert throughput.draw(small, loop, "speedups") is None
        assert latency.draw(small, loop) is None
        assert apart.draw(small, [loop]) is None
    assert shares.draw(small) is None
    closed = reproduced([], only=("alone",))
    assert arrivals.draw(closed, "open") is None
    assert [each.name for each in ServingFigures.draw(closed)] == ["shares"]


@style.publication()
def test_a_system_with_no_room_for_any_is_left_out() -> None:
    small = reproduced(ROWS)
    rows = small.base.outcome.points  # type: ignore[attr-defined]
    for row in rows:
        if row["system"] == "bank-pim":
            row.update(throughput=float("nan"), admitted=0)
    assert throughput.draw(small, "pim", "bank_pim") is None


def test_each_system_has_its_own_colour() -> None:
    known = colours(reproduced([]))
    assert list(known) == SYSTEMS and len(set(known.values())) == len(SYSTEMS)


@pytest.mark.parametrize(
    ("name", "said"),
    [("gpu", "GPU"), ("2xgpu", "2x GPU"), ("bank-pim", "Bank-PIM"), ("duplex-pe-et", "Duplex + PE + ET"),
     ("hetero-unlimited", "Hetero-unlimited")],
)  # fmt: skip
def test_systems_are_called_as_the_field_does(name: str, said: str) -> None:
    assert called(name) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [("mixtral-8x7b", "Mixtral-8x7B"), ("glam-143b", "GLaM-143B"), ("opt-66b", "OPT-66B"), ("grok-1", "Grok-1")],
)
def test_models_are_called_as_their_makers_do(name: str, said: str) -> None:
    assert model(name) == said
