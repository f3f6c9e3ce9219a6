"""Towers of images: a table of parameters, checked against transformers, and what their passes cost.

`towers.json` has the dimensions that public configs state of towers, projectors and the widths of language models (the
rest of a language model is small here), `towers.csv` what transformers builds of them beside the language model.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import Model, kv_bytes, load_model, operator_graph, parameters, prefill, weight_bytes
from simulator.workload.model.parameters import weight_bytes_by_class

HERE = Path(__file__).parent
CONFIGS: dict[str, dict[str, Any]] = json.loads((HERE / "towers.json").read_text(encoding="utf-8"))
ROWS = list(csv.DictReader((HERE / "towers.csv").read_text(encoding="utf-8").splitlines()))
COUNTS = {row["shape"]: row for row in ROWS}


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("towers")
    for name, data in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    return {name: load_model(f"{folder}/{name}.json#vision") for name in CONFIGS}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_tower_has_the_parameters_that_its_modules_have(towers: dict[str, Model], config: str) -> None:
    assert parameters(towers[config]).total == int(COUNTS[config]["parameters"])
    assert towers[config].name == f"{config}#vision"


@pytest.mark.slow
@pytest.mark.skipif("TIERSIM_TRANSFORMERS" not in os.environ, reason="needs transformers 5.24.0 (extra 'import')")
@pytest.mark.parametrize("config", CONFIGS)
def test_transformers_builds_the_same_modules(config: str) -> None:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    assert f"transformers {transformers.__version__}" == COUNTS[config]["counted_by"]
    described = transformers.AutoConfig.for_model(**CONFIGS[config])
    kind = (
        transformers.AutoModel if "vision_config" not in CONFIGS[config] else transformers.AutoModelForImageTextToText
    )
    with torch.device("meta"):
        built = kind.from_config(described)
    text = ("language_model.", "lm_head.")
    count = sum(each.numel() for key, each in built.named_parameters() if not any(part in key for part in text))
    assert count == int(COUNTS[config]["parameters"])


@pytest.mark.parametrize("config", CONFIGS)
def test_operators_read_each_weight_once_and_keep_nothing(towers: dict[str, Model], config: str) -> None:
    tower = towers[config]
    amounts = operator_graph(tower, prefill(1, 64)).totals().bytes
    rows = 64 * tower.hidden * 2 if weight_bytes_by_class(tower)["embedding"] else 0
    expected = weight_bytes(tower) - weight_bytes_by_class(tower)["embedding"] + rows
    assert amounts["weight"] == pytest.approx(expected, rel=1e-3)
    assert not {"kv_read", "kv_write"} & amounts.keys()
    assert kv_bytes(tower, 1000.0) == 0


def scores(tower: Model, patches: int) -> dict[str, float]:
    """FLOPs of the scores of each different layer."""
    return {
        operator.name: float(operator.flops)
        for operator, _ in operator_graph(tower, prefill(3, patches)).operators()
        if "scores" in operator.name
    }


@given(st.integers(2, 5000))
def test_every_patch_sees_every_patch_of_its_image(patches: int) -> None:
    tower = small()
    assert sum(scores(tower, patches).values()) == pytest.approx(2 * 3 * 8 * 8 * patches**2)


@given(st.integers(1, 80))
def test_within_windows_a_patch_sees_its_own(windows: int) -> None:
    tower = small(attention={"heads": 8, "kv_heads": 8, "head_dim": 8, "bidirectional": True, "chunk": 64})
    patches = 64 * windows
    assert sum(scores(tower, patches).values()) == pytest.approx(2 * 3 * 8 * 8 * patches * 64)


def small(**changes: Any) -> Model:
    return Model.model_validate(
        {
            "name": "tower", "family": "test", "layers": 2, "hidden": 64, "max_context": 10_000,
            "attention": {"heads": 8, "kv_heads": 8, "head_dim": 8, "bidirectional": True},
            "ffn": {"intermediate": 128, "matrices": 2, "activation": "gelu"}, "norm": {"kind": "layer"},
            "positions": {"kind": "none"}, "patches": {"size": 14, "positions": 100},
        } | changes
    )  # fmt: skip


def test_an_image_goes_in_as_pixels_and_comes_out_as_fewer_tokens() -> None:
    tower = small(projector={"merge": 4, "widths": (256, 96), "bias": True})
    first, *_, last = (operator for operator, _ in operator_graph(tower, prefill(2, 400)).operators())
    assert first.bytes["input"] == 2 * 400 * 14 * 14 * 3 * 2
    assert last.bytes["output"] == 2 * 100 * 96 * 2
    assert last.flops == 2 * 100 * (2 * 256 * 96 + 96)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"vision_config": None}, "vision_config: .*a config with a tower of images"),
        ({"vision_config": {"model_type": "siglip2_vision_model"}}, "did you mean 'siglip_vision_model'"),
        ({"model_type": "llava_onevision"}, "model_type: a projector: found 'llava_onevision'"),
        ({"mm_tokens_per_image": 100}, "mm_tokens_per_image: .*found 100, expected a divisor of 4,096"),
        ({"vision_config": {**CONFIGS["gemma-3-27b-it"]["vision_config"], "vision_use_head": True}}, "vision_use_head"),
        (
            {"vision_config": {**CONFIGS["gemma-3-27b-it"]["vision_config"], "num_attention_heads": 7}},
            "vision_config.num_attention_heads.*a divisor of 1,152",
        ),
    ],
)
def test_what_is_no_known_tower_is_refused_by_its_key(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIGS["gemma-3-27b-it"] | change), encoding="utf-8")
    with pytest.raises(ConfigError, match=expected):
        load_model(f"{file}#vision")


def test_a_part_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found '#audio', expected #vision"):
        load_model(tmp_path / "config.json#audio")
    with pytest.raises(ConfigError, match=r"expected that of a Hugging Face config.json"):
        load_model("llama-3-8b#vision")
