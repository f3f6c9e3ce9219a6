"""The kind of experiment `flash`: its keys do what they say, on a model of two layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.baselines.simulate import simulate
from simulator.errors import ConfigError
from simulator.workload.neuron_files import save_neurons
from simulator.workload.window_law import WindowLaw, renewal

MODEL = """\
schema: 1
name: small
family: opt
source: made up for tests
layers: 2
hidden: 256
vocab: 1000
max_context: 512
attention: {heads: 4, kv_heads: 4, head_dim: 64}
ffn: {intermediate: 2048, matrices: 2, activation: relu}
norm: {kind: layer}
positions: {kind: rope}
"""
EXPERIMENT = """\
schema: 1
kind: flash
title: a small model
prompt: 8
tokens: 24
warm_up: 40
models:
  small:
    model: MODEL
    activity: {kind: law, window: 5, share: 24 %, increment: 2.4 %}
    window: 5
systems:
  metal: {hardware: m1-max, engine: gpu, flash: soc.flash, dram: soc.dram, manager: soc.gpu, dtype: fp16, threads: 32}
methods:
  all: {kind: sparse}
runs:
  one: {systems: [metal], models: [small], methods: [all]}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(MODEL, encoding="utf-8")
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.replace("MODEL", str(tmp_path / "small.yaml")), encoding="utf-8")
    return file


def point(experiment: Path, *overrides: str) -> dict[str, Any]:
    return simulate(experiment, overrides).frames()["points"].to_dict("records")[0]  # type: ignore[no-any-return]


def test_errors_of_a_predictor_change_what_is_loaded(experiment: Path) -> None:
    none, missing, named = (
        point(experiment, "methods.all.policy=none", f"models.small.errors={errors}")["missed_share"]
        for errors in ("{}", "{false_negatives: 50 %}", "{false_positives: 10 %}")
    )
    assert missing == pytest.approx(none / 2, rel=0.05)
    assert named == pytest.approx(none + 0.1 * (1 - none), rel=0.05)


def test_a_recorded_trace_is_read(experiment: Path, tmp_path: Path) -> None:
    save_neurons(renewal(WindowLaw.fitted(5, 0.24, 0.024), 2, 2048, 64), tmp_path / "trace.npz")
    drawn, text = point(experiment), experiment.read_text(encoding="utf-8")
    law = "{kind: law, window: 5, share: 24 %, increment: 2.4 %}"
    experiment.write_text(text.replace(law, f"{{kind: file, file: {tmp_path / 'trace.npz'}}}"), encoding="utf-8")
    assert point(experiment) == drawn, "the same tokens as the law draws with seed 0"


def test_share_by_layer_weighs_the_layers(experiment: Path) -> None:
    even, uneven = (point(experiment, f"models.small.share_by_layer={text}") for text in ("[10 %, 10 %]", "[1 %, 5 %]"))
    assert uneven["missed_share"] == pytest.approx(even["missed_share"], rel=0.1)
    assert even["missed_share"] == point(experiment)["missed_share"]


def test_room_by_share_by_budget_and_by_bytes(experiment: Path) -> None:
    whole = point(experiment, "methods.all.policy=lru")
    bytes_ = whole["dram_bytes"] / whole["dram_share"]
    fixed = whole["dram_bytes"] - whole["held_share"] * 2 * 2048 * 1024
    room = point(experiment, "methods.all.policy=lru", "methods.all.room=25 %")
    assert room["held_share"] == 0.25
    memory = point(experiment, "methods.all.policy=lru", f"methods.all.memory={fixed + 0.25 * 2 * 2048 * 1024} B")
    assert memory == room
    budget = point(experiment, "methods.all.policy=lru", f"methods.all.budget={memory['dram_share']}")
    assert budget["dram_bytes"] <= bytes_ * memory["dram_share"] * (1 + 1e-9)
    refused = point(experiment, "methods.all.memory=1 KiB")
    assert "needs" in refused["refused"]


@pytest.mark.filterwarnings("ignore::simulator.errors.TiersimWarning")  # of a DRAM of 3 MB
def test_a_page_cache_takes_what_is_left_of_dram(experiment: Path) -> None:
    cache = "systems.metal.set=[devices.soc.tiers.flash.flash.page_cache=true"
    bare, cached = point(experiment, "methods.all.room=26 %"), point(experiment, "methods.all.room=26 %", f"{cache}]")
    assert cached["read_bytes"] < bare["read_bytes"]
    assert cached["memory_s"] > bare["memory_s"]
    small = f"{cache}, devices.soc.tiers.dram.capacity={bare['dram_bytes'] * 1.05} B]"
    assert point(experiment, "methods.all.room=26 %", small)["read_bytes"] <= bare["read_bytes"]


def test_drafted_tokens_are_means_of_a_token(experiment: Path) -> None:
    drafted = point(experiment, "methods.all.drafted=3", "methods.all.acceptance=0.9")
    assert drafted["io_s"] < point(experiment)["io_s"]


def test_tiers_by_name_and_policies_are_checked(experiment: Path) -> None:
    with pytest.raises(ConfigError, match=r"systems\.metal\.flash: found 'soc\.flsh', .*did you mean 'soc\.flash'"):
        point(experiment, "systems.metal.flash=soc.flsh")
    with pytest.raises(ConfigError, match=r"methods\.all\.policy: found 'windw', .*did you mean 'window'"):
        point(experiment, "methods.all.policy=windw")
    with pytest.raises(
        ConfigError, match=r"methods\.all\.overlap: found 'some', expected one of none, layer, prefetch"
    ):
        point(experiment, "methods.all.overlap=some")
