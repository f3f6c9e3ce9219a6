from __future__ import annotations

from pathlib import Path

import pytest

from simulator.baselines.experiment import load_experiment
from simulator.baselines.published import COLUMNS, Published, read_published
from simulator.baselines.simulate import simulate
from simulator.errors import ConfigError

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
        ("kind=cow", "kind.*'cow'.*one of coe"),
        ("policy=lrux", "did you mean 'lru'"),
        ("bookkeeping.kv_tokens=-1", "kv_tokens"),
        ("systems.dgx-a100.home=hosts", "systems.dgx-a100.home.*did you mean 'host'"),
        ("systems.dgx-a100.links=9", "1 to 8"),
        ("systems.dgx-a100.hardware=dgx-a10", "did you mean 'dgx-a100'"),
        ("tokens=[21]", r"calibration.expert_time.sn40l-node.21.*a time, or calibration: none"),
        ("colour=blue", "colour"),
        ("model=llama-2-70b", r"model: found 'llama-2-70b', expected 'llama-2-7b', with which .*calibration=none"),
        ('systems.dgx-a100.set=["devices.gpu.tiers.hbm.bandwidth=9 TB/s"]', "systems.dgx-a100.set.*calibration=none"),
        ("trace={kind: cyclic, seed: 1}", "trace.*seed"),
        ("trace={kind: zipf, exponent: -1}", "exponent"),
        ("systems.dgx-a100.home=gpu.hbm", "another tier"),
    ],
)
def test_a_wrong_experiment_says_what_is_wrong(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate("sn40l-coe", [setting])


def test_recorded_requests_are_served(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("prompt,expert\n" + "".join(f"p{i},{i % 3}\n" for i in range(30)))
    small = ["experts=[10]", "batches=[4]", "tokens=[20]", f"trace={{kind: csv, file: {tmp_path / 'trace.csv'}}}"]
    assert (simulate("sn40l-coe", small).frames()["points"].misses == 0).all()
    tight = [*small, "systems.sn40l-node.cache_bytes=40 GB"]  # two experts beside four KV caches
    points = simulate("sn40l-coe", tight).frames()["points"].set_index("system")
    assert points.misses["sn40l-node"] == 4


def test_another_machine_is_another_provenance() -> None:
    small = ["experts=[10]", "batches=[1]", "tokens=[20]"]
    slower = [*small, 'systems.dgx-a100.set=["links.host<->gpu.hbm.bandwidth=16 GB/s"]']
    config = simulate("sn40l-coe", small).provenance.config
    assert config["systems"]["dgx-a100"] != simulate("sn40l-coe", slower).provenance.config["systems"]["dgx-a100"]


def test_an_unknown_metric_or_point_is_refused() -> None:
    outcome = simulate("sn40l-coe", ["experts=[10]", "batches=[1]", "tokens=[20]"]).outcome
    with pytest.raises(ConfigError, match="did you mean 'latency'"):
        outcome.measure("latencies", {})
    with pytest.raises(ConfigError, match="did you mean 'dgx-a100'"):
        outcome.measure("nodes", {"system": "dgx-a10", "nodes": 2})
    with pytest.raises(ConfigError, match="no such point"):
        outcome.measure("latency", {"system": "dgx-a100", "batch": 1, "tokens": 20, "experts": 11})


def test_equal_settings_give_equal_provenance() -> None:
    one, same = (load_experiment("sn40l-coe")[1].hash for _ in range(2))
    other = load_experiment("sn40l-coe", ["policy=fifo"])[1].hash
    assert one == same != other
