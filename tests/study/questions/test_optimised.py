"""The cheapest design is that of brute force, and what is told where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.study.questions.margin import margins
from simulator.study.space.expression import parse


def brute_force(designs: Path, folder: Path, where: str = "tbt_s > 0"):
    frame = simulator.sweep(designs, folder, workers=1).points()
    return frame[frame["feasible"]].query(where)


def test_the_cheapest_is_that_of_brute_force(designs: Path, tmp_path: Path) -> None:
    feasible = brute_force(designs, tmp_path / "store", "tbt_s <= 0.004")
    found = simulator.optimise(designs, where=["tbt_s <= 0.004"], workers=1)
    assert (found.cost, found.way, found.enumerated) == ("dies_mm2", "min", True)
    assert found.tally.points == 144
    assert found.tally.feasible == len(feasible) < 144
    ordered = feasible.sort_values(["dies_mm2", "tokens_per_s"], ascending=[True, False], kind="stable")
    assert found.best["dies_mm2"].tolist() == ordered["dies_mm2"].head(5).tolist()
    assert found.best["tokens_per_s"].tolist() == ordered["tokens_per_s"].head(5).tolist()
    assert found.best["hbm"].iloc[0] == ordered["hardware.devices.gpu.tiers.hbm.bandwidth"].iloc[0]
    assert set(found.best["bound_by"]) <= set(feasible["bound_by"])


def test_another_cost_and_one_to_maximise(designs: Path, tmp_path: Path) -> None:
    feasible = brute_force(designs, tmp_path / "store")
    price = simulator.optimise(designs, "price_usd", workers=1)
    assert price.best["price_usd"].iloc[0] == feasible["price_usd"].min()
    fast = simulator.optimise(designs, "tokens_per_s", workers=1)
    assert fast.way == "max"
    assert fast.best["tokens_per_s"].iloc[0] == feasible["tokens_per_s"].max()
    assert simulator.optimise(designs, "batch", workers=1).best["batch"].iloc[0] == 1


def test_the_slack_of_each_constraint(designs: Path) -> None:
    found = simulator.optimise(designs, where=["devices in (1, 2)", "tokens_per_s >= 100"], workers=1)
    best, slack = found.best.iloc[0], found.slack.set_index("constraint")
    assert slack.loc["tbt_s <= 0.02", "value"] == best["tbt_s"]
    assert slack.loc["tbt_s <= 0.02", "slack"] == pytest.approx(0.02 - best["tbt_s"])
    assert slack.loc["dies_mm2 <= 3000", "slack_percent"] == pytest.approx(100 * (1 - best["dies_mm2"] / 3000))
    assert slack.loc["tokens_per_s >= 100", "slack"] == pytest.approx(best["tokens_per_s"] - 100)
    assert np.isnan(slack.loc["devices in (1, 2)", "value"])
    assert (slack["slack"].dropna() >= 0).all()


def test_a_larger_space_is_searched(designs: Path) -> None:
    whole = simulator.optimise(designs, workers=1)
    found = simulator.optimise(designs, limit=100, evaluations=144)
    assert not found.enumerated
    assert found.best["dies_mm2"].iloc[0] == whole.best["dies_mm2"].iloc[0]
    some = simulator.optimise(designs, limit=100, evaluations=40)
    assert some.tally.points == 40
    assert some.best["dies_mm2"].iloc[0] >= whole.best["dies_mm2"].iloc[0]


def test_none_is_feasible(designs: Path, tmp_path: Path) -> None:
    frame = simulator.sweep(designs, tmp_path / "swept", workers=1).points()
    least = frame["tbt_s"].min()
    with pytest.raises(ConfigError) as error:
        simulator.optimise(designs, where=[f"tbt_s <= {0.8 * least}", "devices != 3"], workers=1)
    said = str(error.value)
    out = (frame["dies_mm2"] > 3000).sum()
    assert f"none of 144 points; 'dies_mm2 <= 3000' rules out {out}" in said or "'tbt_s <= 0.02' rules" in said
    assert f"'tbt_s <= {0.8 * least}' rules out 144" in said
    assert "weaker constraints: the nearest design (batch 1" in said
    assert f"misses 'tbt_s <= {0.8 * least}' by 25 %" in said


def test_mistakes(designs: Path, sweep_file) -> None:
    with pytest.raises(ConfigError, match=r"--for: no such metric: found 'prize_usd', .*did you mean 'price_usd'"):
        simulator.optimise(designs, "prize_usd")
    with pytest.raises(ConfigError, match=r"--where: in 'tbt <= 1': unknown name: found 'tbt', .*did you mean 'tbt_s'"):
        simulator.optimise(designs, where=["tbt <= 1"])
    with pytest.raises(ConfigError, match=r"--where: no expression"):
        simulator.optimise(designs, where=["tbt_s <="])
    with pytest.raises(ConfigError, match=r"e2e_s: no design to choose: found \d+ feasible designs, none of which has"):
        simulator.optimise(designs, "e2e_s", workers=1)
    with pytest.raises(ConfigError, match=r"--for: no objective is to be small: found nothing"):
        simulator.optimise(sweep_file(designs.read_text().removeprefix("schema: 1\n").replace(", dies_mm2: min", "")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x <= 2 * y", ["x <= 2 * y"]),
        ("0.05 >= x", ["x <= 0.05"]),
        ("1 <= x < 3", ["x >= 1", "x <= 3"]),
        ("x > 1 and y < 858e-6", ["x >= 1", "y <= 858e-6"]),
        ("x == 1", []),
        ("x < 1 or y < 1", []),
        ("x < 1 and z in ('a', 'b')", []),
    ],
)
def test_the_sides_of_a_constraint(text: str, said: list[str]) -> None:
    assert [margin.text for margin in margins(parse(text))] == said


def test_slack_and_excess() -> None:
    upper, lower = margins(parse("x <= 4")) + margins(parse("x >= 4"))
    x = {"x": np.array([2.0, 5.0])}
    assert upper.slack(x)[2].tolist() == [2, -1]
    assert lower.slack(x)[2].tolist() == [-2, 1]
    assert upper.excess(x).tolist() == [0, 0.25]
    assert lower.excess(x).tolist() == [0.5, 0]
