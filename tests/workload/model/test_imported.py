"""Models from the modules that transformers builds: as many parameters, or the module that has no words here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from simulator.config import Config, Mark, validate
from simulator.errors import ConfigError
from simulator.workload import Model, load_model, parameters
from simulator.workload.model.imported import import_model, model_yaml
from simulator.workload.model.roles import roles_of

_TYPES = """
apertus arcee bamba biogpt bloom codegen cohere cohere2 cwm deepseek_v2 deepseek_v3 deepseek_v32 emu3 ernie4_5
ernie4_5_moe exaone exaone4 falcon falcon_mamba flex_olmo gemma gemma2 gemma3_text glm glm4 glm4_moe
glm_moe_dsa gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granitemoe granitemoehybrid
granitemoeshared helium internlm3 jais2 jamba llama llama4_text mamba mamba2 minicpm3 minimax minimax_m2
ministral3 mistral mixtral mpt nemotron_h olmo2 olmo3 olmoe opt phi phi3 phimoe qwen2 qwen2_moe qwen3
qwen3_5_text qwen3_moe qwen3_next seed_oss smollm3 stablelm starcoder2 xglm
"""
TYPES = _TYPES.split()

installed = pytest.mark.skipif("TIERSIM_TRANSFORMERS" not in os.environ, reason="needs the extra 'import'")


def test_a_layer_is_told_by_the_names_and_shapes_of_its_modules() -> None:
    class Llama:
        num_attention_heads, hidden_size, hidden_act = 4, 64, "silu"

    shapes = {
        "self_attn.q_proj.weight": (64, 64), "self_attn.k_proj.weight": (32, 64), "self_attn.v_proj.weight": (32, 64),
        "self_attn.o_proj.weight": (64, 64), "mlp.gate_proj.weight": (96, 64), "mlp.up_proj.weight": (96, 64),
        "mlp.down_proj.weight": (64, 96), "input_layernorm.weight": (64,), "post_attention_layernorm.weight": (64,),
    }  # fmt: skip
    classes = {"input_layernorm": "LlamaRMSNorm", "post_attention_layernorm": "LlamaRMSNorm"}
    read, left = roles_of(shapes, classes, Llama(), 64)
    assert left == []
    ((_, attention), (_, ffn)) = read["parts"]
    assert (attention["heads"], attention["kv_heads"], attention["head_dim"]) == (4, 2, 16)
    assert (ffn["intermediate"], ffn["matrices"], read["norms"]) == (96, 3, 1)
    _, left = roles_of(shapes | {"self_attn.relative_key": (9, 9)}, classes, Llama(), 64)
    assert left == ["self_attn.relative_key"]


@pytest.mark.parametrize("shown", ["llama-3-8b", "deepseek-v3", "falcon-7b"])
def test_a_written_model_reads_as_the_same(shown: str) -> None:
    model = load_model(shown)
    written = yaml.safe_load(model_yaml(model))
    data = {key: value for key, value in written.items() if key not in ("schema", "role")}
    read = validate(Config(Path("m.yaml"), data, {(): Mark(Path("m.yaml"))}, {}), Model)
    assert parameters(read) == parameters(model)
    assert read.decoder == model.decoder


@installed
@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_default_configs_have_as_many_parameters(kind: str) -> None:
    assert parameters(import_model({"model_type": kind}, kind)).total > 0  # raises unless as many as the modules have


@installed
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diffllama", "rwkv", "bert", "longcat_flash"])
def test_what_has_no_words_here_is_told_by_module(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot express.*found .*\."):
        import_model({"model_type": kind}, kind)
