"""A request alone to a model with windows or chunks sees its estimate, as long as it runs beyond them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.scenario.evaluate import estimate
from simulator.scenario.form import Scenario
from simulator.scenario.requests.program import served

COMMON: dict[str, Any] = {"torch_dtype": "bfloat16", "rms_norm_eps": 1e-5, "rope_theta": 1e6}
CONFIGS: dict[str, dict[str, Any]] = {
    "gemma-3-4b": {
        "model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 10240, "sliding_window": 1024,
        "sliding_window_pattern": 6, "vocab_size": 262208, "max_position_embeddings": 131072,
        "tie_word_embeddings": True, "hidden_activation": "gelu_pytorch_tanh",
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss", "hidden_size": 2880, "num_hidden_layers": 24, "num_attention_heads": 64,
        "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2880, "num_local_experts": 32,
        "num_experts_per_tok": 4, "sliding_window": 128, "vocab_size": 201088, "max_position_embeddings": 131072,
        "layer_types": ["sliding_attention", "full_attention"] * 12, "hidden_act": "silu", "attention_bias": True,
        "tie_word_embeddings": False,
    },
    "llama-4-scout": {
        "model_type": "llama4_text", "hidden_size": 5120, "num_hidden_layers": 48, "num_attention_heads": 40,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
        "num_local_experts": 16, "num_experts_per_tok": 1, "attention_chunk_size": 8192, "no_rope_layer_interval": 4,
        "interleave_moe_layer_step": 1, "vocab_size": 202048, "max_position_embeddings": 1048576, "hidden_act": "silu",
        "use_qk_norm": True, "tie_word_embeddings": False,
    },
}  # fmt: skip
"""As their config.json has them."""


@pytest.mark.parametrize(
    ("model", "input", "output", "kernels"),
    [
        ("mistral-7b", 4060, 80, "roofline"), ("mistral-7b", 4060, 80, "modelled"),
        ("gemma-3-4b", 1000, 60, "roofline"),
        ("gpt-oss-20b", 1, 160, "roofline"), ("llama-4-scout", 4080, 40, "roofline"),
    ],
)  # fmt: skip
def test_a_request_alone_is_its_estimate(tmp_path: Path, model: str, input: int, output: int, kernels: str) -> None:
    """Of experts, where no draw of them counts: one token, or a prompt that reaches all."""
    trace, name = tmp_path / "one.csv", model
    trace.write_text(f"request_id,arrival_s,input_tokens,output_tokens\na,0,{input},{output}\n")
    if model in CONFIGS:
        name = str(tmp_path / f"{model}.json")
        Path(name).write_text(json.dumps({**COMMON, **CONFIGS[model]}))
    mapping: dict[str, Any] = {"devices": 8, "runtime": "gpu-libraries", "kernels": kernels}
    asked = {**mapping, "scheduler": {"tokens": 1500 if kernels == "roofline" else 8192}}
    asked |= {"experts": "tensor"} if name != model and model != "gemma-3-4b" else {}
    workload = {"kind": "requests", "trace": str(trace)}
    of = {"hardware": "dgx-h100", "model": name, "mapping": asked, "workload": workload}
    figures = served(Scenario.model_validate(of))[0].figures
    expected = estimate("dgx-h100", name, 1, input, output, **mapping)
    assert figures.e2e.mean - figures.ttft.mean == pytest.approx(expected.e2e_s - expected.ttft_s, rel=1e-9)
    if asked["scheduler"]["tokens"] > input:
        assert figures.ttft.mean == pytest.approx(expected.ttft_s, rel=1e-9)
    else:
        assert figures.ttft.mean > expected.ttft_s, "weights are read for each chunk"
