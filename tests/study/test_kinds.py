"""Runs of several kinds of workload that share a base and cases: each takes of them what its kind reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.study.load import load_study
from simulator.study.results import results_of

Write = Callable[[str], Path]

MIXED = """\
title: copies and reads
base: {workload: {kind: writes, number: 2}}
cases:
  machine:
    phone:
      hardware: phone-ufs4
      mapping: {memory: dram, residency: {home: soc.flash, cache: soc.dram}}
    mac:
      hardware: m1-max
      mapping: {memory: dram, residency: {home: soc.flash, cache: soc.dram}}
      workload: {number: 3}
runs:
  copies: {cases: {machine: all}, axes: {workload.size: [1, 2]}}
  reads: {workload: {kind: flash_reads}, cases: {machine: all}, axes: {workload.chunk: [4 KiB, 16 KiB]}}
  mac: {cases: {machine: [mac]}, axes: {workload.size: [1]}}
metrics:
  both: {of: time_s, run: [reads, mac]}
  all: {of: time_s}
"""


def test_each_run_takes_what_its_kind_reads(yaml: Write) -> None:
    runs = load_study(yaml(MIXED)).runs
    assert set(runs["copies"].sweep.cases["machine"].columns) >= {"mapping.memory", "workload.number"}
    assert set(runs["reads"].sweep.cases["machine"].columns) == {
        "hardware", "mapping.residency.home", "mapping.residency.cache",
    }  # fmt: skip


def test_points_of_all_kinds_are_looked_up_together(yaml: Write) -> None:
    results = results_of(load_study(yaml(MIXED)))
    assert results.measure("bandwidth", {"machine": "phone", "chunk": 4096}) == pytest.approx(1.0761e9, rel=1e-3)
    time = results.measure("time_s", {"machine": "mac", "size": 1})
    assert results.measure("time_s", {"machine": "mac", "size": 2}) == pytest.approx(2 * (time or 0.0))


def test_a_look_up_of_several_runs_sees_no_others(yaml: Write) -> None:
    results = results_of(load_study(yaml(MIXED)))
    with pytest.raises(ConfigError, match=r"several cases: found 3 with machine=mac"):
        results.measure("both", {"machine": "mac"})
    with pytest.raises(ConfigError, match=r"several cases: found 4 with machine=mac"):
        results.measure("all", {"machine": "mac"})
    with pytest.raises(ConfigError, match=r"metrics\.both\.run: no such run: found 'macs', .*did you mean 'mac'"):
        load_study(yaml(MIXED.replace("run: [reads, mac]", "run: [reads, macs]")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("number: 3", "numbr: 3", r":12: cases\.machine\.mac\.workload\.numbr: .*did you mean"),
        ("memory: dram, residency", "memry: dram, residency", r":8: cases\.machine\.phone\.mapping\.memry"),
        ("kind: flash_reads", "kind: flash_reads, number: 1", r"runs\.reads\.workload\.number"),
    ],
)
def test_what_no_kind_reads_is_refused_and_so_is_what_a_run_says_in_vain(
    yaml: Write, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(yaml(MIXED.replace(old, new, 1)))
