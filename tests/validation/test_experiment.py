from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.study.load import load_study
from simulator.validation.published import COLUMNS, Published, read_published
from simulator.validation.simulate import simulate

HEADER = ",".join(COLUMNS)


def test_a_row_agrees_within_3_percent_or_its_tolerance_and_an_exact_one_exactly() -> None:
    def row(published: float, tolerance: float) -> Published:
        return Published("1", "m", {}, "prediction", published, "ms", tolerance, "s")

    assert row(100.0, 1.0).agrees(103.0) and not row(100.0, 1.0).agrees(103.1)
    assert row(10.0, 1.0).agrees(11.0)
    assert row(10.0, 0.0).agrees(10.0) and not row(10.0, 0.0).agrees(10.001)
    assert row(100.0, 1.0).from_si(0.1) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("figure,metric\n", "csv:1: header"),
        (f"{HEADER}\n1,m,a=1,guess,1,ms,0,s\n", "csv:2: role: found 'guess', expected one of input, assumption"),
        (f"{HEADER}\n", "csv:1: no rows"),
        (f"{HEADER}\n1,m,batch 8,prediction,1,ms,0,s\n", "csv:2: condition: found 'batch', expected key=value"),
        (f"{HEADER}\n1,m,a=1,prediction,x,ms,0,s\n", "csv:2: published: found 'x', expected a number"),
        (f"{HEADER}\n" + "1,m,a=1,prediction,1,ms,0,s\n" * 2, "csv:3: this row occurs twice"),
    ],
)
def test_wrong_published_values_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "published.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_published(tmp_path / "published.csv")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("kind=cow", "kind: no longer a key: found 'cow'"),
        ("base.mapping.residency.policy=lrux", "did you mean 'lru'"),
        ("base.workload.kv_tokens=-1", "base.workload.kv_tokens: found -1"),
        ("cases.system.dgx-a100.mapping.residency.home=hosts", "dgx-a100.mapping.residency.home.*did you mean 'host'"),
        ("cases.system.dgx-a100.hardware=dgx-a10", "did you mean 'dgx-a100'"),
        ("colour=blue", "colour"),
        ("base.workload.trace={kind: cyclic, seed: 1}", "base.workload.trace.seed: unknown key"),
        ("base.workload.trace={kind: zipf, exponent: -1}", "base.workload.trace.exponent: found -1"),
        ("base.workload.trace={kind: recorded, file: nowhere.csv}", "base.workload.trace.file: nowhere.csv"),
    ],
)
def test_a_wrong_experiment_says_what_is_wrong(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate("sn40l-coe", [setting])


SMALL = [f"runs.service.axes.workload.{axis}" for axis in ("experts=[10]", "batch=[1]", "output.values=[20]")]
ALONE = [*SMALL, "runs.footprint.axes.workload.experts.range=[100, 200, 100]"]


def test_another_machine_is_another_provenance() -> None:
    slower = 'cases.system.dgx-a100.hardware={extends: dgx-a100, "links.host<->gpu.hbm.bandwidth": 16 GB/s}'
    one, other = (simulate("sn40l-coe", [*ALONE, *more]) for more in ([], [slower]))
    assert one.provenance.config["hardware"] != other.provenance.config["hardware"]
    assert one.provenance.hash != other.provenance.hash


def test_an_unknown_metric_or_point_is_refused() -> None:
    results = simulate("sn40l-coe", ALONE)
    with pytest.raises(ConfigError, match="did you mean 'switching'"):
        results.measure("switchings", {})
    with pytest.raises(ConfigError, match="did you mean 'dgx-a100'"):
        results.measure("nodes_from", {"system": "dgx-a10", "nodes": 2})
    with pytest.raises(ConfigError, match="no case has it"):
        results.measure("latency", {"system": "dgx-a100", "batch": 1, "tokens": 20, "experts": 11})


def test_equal_settings_give_equal_provenance() -> None:
    one, same, other = (
        load_study("sn40l-coe", [f"base.mapping.residency.policy={policy}"]).config.hash
        for policy in ("lru", "lru", "fifo")
    )
    assert one == same != other
