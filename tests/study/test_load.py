"""A study's YAML: what it asks for, and what is told of a mistake, at its line and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.study.load import load_study, load_variant
from simulator.study.problem import read_problem
from tests.study.conftest import TWO

Write = Callable[[str], Path]

LOOKED = """\
metrics:
  faster: {of: time_s, over: {machine: small}, inverse: true}
charts:
  map: {kind: heat, run: sizes, x: machine, y: size, of: time_s}
variants:
  slow: {title: half the bandwidth, set: {hardware.devices.gpu.tiers.hbm.bandwidth: 1 TB/s}, runs: [numbers]}
"""


def test_cases_and_axes_are_crossed_in_their_order(yaml: Write) -> None:
    study = load_study(yaml(TWO))
    assert {name: run.points for name, run in study.runs.items()} == {"sizes": 8, "numbers": 3}
    assert study.keys == ["run", "machine", "size", "number"]
    columns = study.runs["sizes"].columns(0, 8)
    assert columns["machine"].tolist() == ["large"] * 4 + ["small"] * 4
    assert columns["workload.size"].tolist() == [1, 2, 4, 8] * 2


def test_a_case_gives_figures_and_the_base_the_others(yaml: Write) -> None:
    sweep = load_study(yaml(TWO)).runs["sizes"].sweep
    given = sweep.scenarios(sweep.space.columns(3, 5))
    assert given["hardware"].tolist() == ["dgx-h100", "dgx-a100"]
    assert given["workload.number"][0] == 3
    assert given["workload.number"][1] != given["workload.number"][1]
    assert "machine" not in given


def test_a_study_without_runs_is_one_run_over_all_cases(yaml: Write) -> None:
    one = TWO.partition("runs:")[0] + "axes: {workload.size: [1, 2]}\n"
    study = load_study(yaml(one))
    assert list(study.runs) == ["points"]
    assert study.runs["points"].points == 4
    assert study.keys == ["machine", "size"]


def test_what_stands_at_the_top_holds_for_every_run(yaml: Write) -> None:
    study = load_study(
        yaml(TWO + "derived: {per_gb: time_s / size}\nconstraints: [size < 8]\nobjectives: {per_gb: min}\n")
    )
    assert all([*run.sweep.derived] == ["per_gb"] and len(run.sweep.constraints) == 1 for run in study.runs.values())


def test_one_of_several_runs_must_be_named(yaml: Write) -> None:
    file = yaml(TWO)
    assert read_problem(file, (), "numbers").points == 3
    with pytest.raises(ConfigError, match=r"run: of several runs: found none, expected one of sizes, numbers"):
        read_problem(file)
    with pytest.raises(ConfigError, match=r"run: found 'size', .*did you mean 'sizes'"):
        read_problem(file, (), "size")


def test_settings_hold_in_every_scenario_whatever_cases_say(yaml: Write) -> None:
    file = yaml(TWO)
    slow = ["hardware.devices.gpu.tiers.hbm.bandwidth=1 TB/s", "workload.number=5"]
    sweep = read_problem(file, slow, "sizes").sweep
    given = sweep.scenarios(sweep.space.columns(0, 8))
    assert set(given["hardware.devices.gpu.tiers.hbm.bandwidth"]) == {1e12}
    assert set(given["workload.number"]) == {5}
    with pytest.raises(ConfigError, match=r"--set: workload.size: found an axis"):
        read_problem(file, ["workload.size=3"], "sizes")
    with pytest.raises(ConfigError, match=r"--set.*bandwith.*did you mean 'bandwidth'"):
        read_problem(file, ["hardware.devices.gpu.tiers.hbm.bandwith=3 GB/s"], "sizes")


def test_a_variant_has_the_runs_that_it_is_computed_for(yaml: Write) -> None:
    file = yaml(TWO + LOOKED)
    study = load_study(file)
    slow = load_variant(study, "slow", file, ())
    assert list(slow.runs) == ["numbers"]
    assert slow.runs["numbers"].sweep.settings == {"hardware.devices.gpu.tiers.hbm.bandwidth": 1e12}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dgx-a100, label", "dgx-a10, label", r":6: cases.machine.small.hardware: .*did you mean 'dgx-a100'"),
        ("{number: 3}", "{numer: 3}", r":7: cases.machine.large.workload.numer: .*did you mean 'number'"),
        ("{number: 3}", "{number: 0}", r":7: cases.machine.large.workload.number: found 0, expected at least 1"),
        ("{number: 3}", "{number: null}", r":7: cases.machine.large.workload.number: found nothing, expected a value"),
        ("number: 2", "number: two", r":3: base.workload.number: found 'two', expected a whole number"),
        ("kind: writes", "kind: write", r":3: base.workload.kind: .*did you mean 'writes'"),
        ("dgx-a100, axes", "dgx-a10, axes", r":10: runs.numbers.hardware: .*did you mean 'dgx-a100'"),
        ("[large, small]", "[large, smal]", r":9: runs.sizes.cases.machine.1: no such case: .*did you mean 'small'"),
        ("{machine: [large", "{machin: [large", r":9: runs.sizes.cases.machin: .*did you mean 'machine'"),
        ("[large, small]", "[large, large]", r":9: runs.sizes.cases.machine.1: a case that is there already"),
        ("label: Small", "lable: Small", r":6: cases.machine.small.lable: unknown key: .*did you mean 'label'"),
        ("workload.number: [1", "workload.numbers: [1", r":10: runs.numbers.axes..workload.numbers.: .*mean 'number'"),
        ("{workload.size: [1, 2,", "{workload.number: [1, 2,", r":5: cases.machine: found workload.number, which an"),
        ("hardware: dgx-a100, axes", "axes", r"base.hardware: missing key: expected a name or a path"),
        (", axes: {workload.size: [1], workload.number: [1, 2, 3]}", "", "axes: nothing varies: expected a path"),
        ("{of: time_s", "{of: times", r"metrics.faster.of: no such metric: found 'times'"),
        ("over: {machine: small}", "over: {machine: smal}", r"metrics.faster.over.machine: .*did you mean 'small'"),
        ("over: {machine: small}", "over: {machin: small}", r"metrics.faster.over.machin: .*did you mean 'machine'"),
        ("y: size", "y: sise", r"charts.map.y: no such column: found 'sise'.*did you mean 'size'"),
        ("run: sizes", "run: size", r"charts.map.run: no such run: .*did you mean 'sizes'"),
        ("kind: heat", "kind: heap", r"charts.map.kind: .*did you mean 'heat'"),
        ("kind: heat, ", "", r"charts.map.kind: .*found nothing, expected"),
        ("of: time_s}", "of: time_s, where: {size: 3}}", r"charts.map.where.size: no case has it: found 3, expected"),
        ("runs: [numbers]", "runs: [number]", r"variants.slow.runs.0: no such run: .*did you mean 'numbers'"),
        ("title: two machines", "search: {methods: [random]}", r"search: found a study without objectives"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line_and_key(yaml: Write, old: str, new: str, message: str) -> None:
    text = TWO + LOOKED
    assert old in text
    with pytest.raises(ConfigError, match=message):
        load_study(yaml(text.replace(old, new)))


def test_a_wrong_variant_is_told_at_its_line(yaml: Write) -> None:
    file = yaml(TWO + LOOKED.replace("tiers.hbm.bandwidth", "tiers.hbm.bandwith"))
    with pytest.raises(
        ConfigError,
        match=r":16: variants.slow.set: --set: hardware.devices.gpu.tiers.hbm.bandwith: .*did you mean 'bandwidth'",
    ):
        load_variant(load_study(file), "slow", file, ())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kind: study\n", r":2: kind: no longer a key: found 'study', expected none: what a study computes stands in"),
        ("kind: serving\n", r":2: kind: no longer a key: .*expected none: `base\.workload\.kind: requests`"),
        ("sweep: other\n", r":2: sweep: no longer a key: found 'other', expected `base`"),
        ("fronts: {}\n", r":2: fronts: no longer a key: .*`charts`, each of kind front"),
        ("base: {kind: pass}\n", r":2: base.kind: no longer a key: found 'pass', expected `workload.kind`"),
        ("base: {set: [a=1]}\n", r":2: base.set: no longer a key: .*figures inside `hardware`"),
        ("base: {mapping: {device: gpu}}\n", r":2: base.mapping.device: no longer a key: .*`mapping.engines`"),
        ("base: {mapping: {home: host}}\n", r":2: base.mapping.home: .*`mapping.residency.home`"),
        ("axes: {mapping.memory_bytes: [1 GB]}\n", r":2: axes.\"mapping.memory_bytes\": .*`mapping.residency.bytes`"),
        ("runs: {a: {mapping: {engine: npu}}}\n", r":2: runs.a.mapping.engine: .*`mapping.engines`"),
    ],
)
def test_an_old_key_is_refused_with_the_one_that_replaces_it(yaml: Write, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(yaml(line))
