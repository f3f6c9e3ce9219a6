"""Quantisation in several formats, in MLX's words, and in a file beside the config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.workload import from_huggingface, load_model, weight_bytes
from simulator.workload.formats.storage import element_bytes, storage

LLAMA: dict[str, Any] = {
    "model_type": "llama", "num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "vocab_size": 1000,
    "max_position_embeddings": 512, "intermediate_size": 512, "torch_dtype": "bfloat16",
}  # fmt: skip
NVFP4 = 4 / 8 + 1 / 16


def beside(folder: Path, quantised: dict[str, Any], **more: Any) -> Path:
    config = folder / "maker--m_config.json"
    config.write_text(json.dumps(LLAMA | more), encoding="utf-8")
    (folder / "maker--m_hf_quant_config.json").write_text(json.dumps({"quantization": quantised}), encoding="utf-8")
    return config


def test_a_file_beside_the_config_says_how_weights_are_stored(tmp_path: Path) -> None:
    file = beside(
        tmp_path,
        {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head", "model.layers.0*"]},
    )
    model = load_model(file)
    assert (model.name, model.dtypes.weights, model.dtypes.kv) == ("maker--m", "nvfp4", "fp8")
    assert element_bytes(model, "ffn.up_proj") == 0.75 * NVFP4 + 0.25 * 2
    assert element_bytes(model, "lm_head") == 2


def test_modules_may_each_have_a_format(tmp_path: Path) -> None:
    layers = {f"model.layers.{i}.self_attn.o_proj": {"quant_algo": "FP8"} for i in range(4)}
    layers |= {f"model.layers.{i}.mlp.up_proj": {"quant_algo": "NVFP4"} for i in range(2)}
    model = load_model(beside(tmp_path, {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}))
    assert [element_bytes(model, f"{name}_proj") for name in ("attention.o", "ffn.up", "ffn.down")] == [
        1, (NVFP4 + 2) / 2, 2,
    ]  # fmt: skip
    assert [storage(model).matrix(f"{name}_proj").dtype for name in ("attention.o", "ffn.up", "ffn.down")] == [
        "fp8", "fp4", "bf16",
    ]  # fmt: skip


def test_mlx_stores_embeddings_in_groups_too() -> None:
    quantised = {"group_size": 64, "bits": 4, "model.layers.0.mlp.down_proj": {"bits": 8}, "lm_head": False}
    model = from_huggingface(LLAMA | {"quantization": quantised}, "m")
    assert element_bytes(model, "embedding") == 4 / 8 + 4 / 64
    assert element_bytes(model, "ffn.down_proj") == 0.75 * (4 / 8 + 4 / 64) + 0.25 * (8 / 8 + 4 / 64)
    assert element_bytes(model, "lm_head") == 2


def test_an_unknown_algorithm_of_a_module_is_named() -> None:
    quantised = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": {"a": {"quant_algo": "NVFP5"}},
    }
    with pytest.raises(ConfigError, match="algorithm of modelopt"):
        from_huggingface(LLAMA | {"quantization_config": quantised}, "m")


@pytest.mark.parametrize(("checkpoint", "gib"), [("gpt-oss-120b", 60.8), ("gpt-oss-20b", 12.8)])
def test_a_checkpoint_is_as_large_as_its_makers_say(checkpoint: str, gib: float) -> None:
    """Source: gpt-oss model card, arXiv 2508.10925, table 1, checkpoint size."""
    shapes = json.loads((Path(__file__).parents[1] / "model" / "shapes.json").read_text(encoding="utf-8"))
    left = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    quantised = {"quant_method": "mxfp4", "modules_to_not_convert": left}
    model = from_huggingface(shapes[checkpoint] | {"quantization_config": quantised}, checkpoint)
    assert weight_bytes(model) / 2**30 == pytest.approx(gib, rel=0.01)
