"""`quantization_config` of each method: the format, its groups, what stays wide, what computes."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.workload import Model, from_huggingface, load_model, weight_bytes
from simulator.workload.formats.modules import shares
from simulator.workload.formats.quantisation import METHODS
from simulator.workload.formats.storage import element_bytes, storage

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "vocab_size": 128256, "max_position_embeddings": 8192, "intermediate_size": 14336, "num_key_value_heads": 8,
    "torch_dtype": "float16",
}  # fmt: skip
MIXTRAL = LLAMA | {"model_type": "mixtral", "vocab_size": 32000, "sliding_window": None}


def model(quantised: dict[str, Any], config: dict[str, Any] = LLAMA) -> Model:
    return from_huggingface(config | {"quantization_config": quantised}, "m")


def scheme(weights: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    groups = {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": inputs}}
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]} | more


INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}
INT8 = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}
FP8 = {"num_bits": 8, "type": "float", "strategy": "tensor"}
FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}


@pytest.mark.parametrize(
    ("quantised", "weights", "bytes_", "compute"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "awq", 0.5 + 2.5 / 128, "fp16"),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, "awq", 0.5 + 2.5 / 64, "fp16"),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 128, "zero_point": False}, "w4a16", 0.5 + 2 / 128, "fp16"),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True},
            "gptq",
            0.5 + 2.5 / 128,
            "fp16",
        ),
        ({"quant_method": "gptq", "bits": 8, "group_size": 32}, "gptq-int8", 1 + 3 / 32, "fp16"),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "gptq", 0.5 + 2.5 / 4096, "fp16"),
        (
            {
                "quant_method": "bitsandbytes",
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_compute_dtype": "bfloat16",
            },
            "nf4",
            0.5 + 4 / 64,
            "bf16",
        ),
        (
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
            "nf4-double",
            0.5 + (1 + 4 / 256) / 64,
            "fp32",
        ),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8", 1, "int8"),
        ({"quant_method": "fp8"}, "fp8", 1, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block", 1 + 4 / 128**2, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4", 0.5 + 1 / 32, "fp16"),
        (scheme(INT4), "w4a16", 0.5 + 2 / 128, "fp16"),
        (scheme(INT4 | {"symmetric": False, "group_size": 64}), "w4a16-asym", 0.5 + 2.5 / 64, "fp16"),
        (scheme(INT4, INT8 | {"strategy": "token"}), "w4a8", 0.5 + 2 / 128, "int8"),
        (scheme(INT4, FP8), "w4a8-fp8", 0.5 + 2 / 128, "fp8"),
        (scheme(INT8, INT8 | {"strategy": "token"}), "w8a8", 1, "int8"),
        (scheme(INT8), "w8a16", 1, "fp16"),
        (scheme(FP8, FP8), "fp8", 1, "fp8"),
        (scheme(FP8 | {"strategy": "block", "block_structure": [128, 128]}, FP8), "fp8-block", 1 + 4 / 128**2, "fp8"),
        (scheme(FP4, FP4), "nvfp4", 0.5 + 1 / 16, "fp4"),
        (scheme(FP4), "nvfp4a16", 0.5 + 1 / 16, "fp16"),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "ignore": ["lm_head"]},
            "nvfp4",
            0.5 + 1 / 16,
            "fp4",
        ),
        (
            {"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}},
            "fp8",
            1,
            "fp8",
        ),
        (scheme(FP8, FP8) | {"quant_method": "modelopt"}, "fp8", 1, "fp8"),
    ],
)
def test_a_method_gives_its_format(quantised: dict[str, Any], weights: str, bytes_: float, compute: str) -> None:
    found = model(quantised)
    assert found.dtypes.weights == weights
    assert element_bytes(found, "ffn.up_proj") == element_bytes(found, "attention.q_proj") == pytest.approx(bytes_)
    assert storage(found).matrix("ffn.up_proj").dtype == compute
    for tensor in ("embedding", "lm_head"):
        assert element_bytes(found, tensor) == 2
        assert storage(found).matrix(tensor).dtype == "fp16"


def test_a_llama_3_8b_in_awq_is_as_large_as_its_checkpoint() -> None:
    quantised = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
    assert weight_bytes(model(quantised)) == pytest.approx(5.7e9, abs=0.05e9)


def test_modules_that_are_left_stay_wide_in_their_layers() -> None:
    half = [f"model.layers.{i}.self_attn" for i in range(16)]
    found = model(
        {"quant_method": "fp8", "modules_to_not_convert": [*half, "lm_head", "model.layers.0.input_layernorm"]}
    )
    assert element_bytes(found, "attention.o_proj") == 1.5
    assert element_bytes(found, "ffn.down_proj") == 1
    assert storage(found).matrix("attention.o_proj").dtype == "fp8"
    whole = model({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn*", "lm_head"]})
    assert element_bytes(whole, "attention.q_proj") == 2
    assert storage(whole).matrix("attention.q_proj").dtype == "fp16"
    assert element_bytes(whole, "ffn.up_proj") < 0.6
    for name in ("model.layers.*.self_attn", "model.layers.*.self_attn.*", r"re:model\.layers\..*self_attn"):
        assert shares([name], whole) == shares(["self_attn"], whole), name


def test_a_head_that_is_not_left_is_quantised() -> None:
    assert element_bytes(model(scheme(FP8, FP8, ignore=[])), "lm_head") == 1
    assert element_bytes(model({"quant_method": "gptq", "bits": 4, "lm_head": True}), "lm_head") < 0.6
    assert element_bytes(model({"quant_method": "gptq", "bits": 4}), "lm_head") == 2


def test_routers_stay_wide_unless_the_method_takes_all_linear_layers() -> None:
    gate = ["re:.*block_sparse_moe.gate$", "lm_head"]
    assert element_bytes(model(scheme(INT4, ignore=gate), MIXTRAL), "moe.router") == 2
    assert element_bytes(model(scheme(INT4, ignore=gate), MIXTRAL), "moe.experts.gate_proj") < 0.6
    assert element_bytes(model({"quant_method": "awq", "bits": 4}, MIXTRAL), "moe.router") == 2
    assert element_bytes(model({"load_in_4bit": True}, MIXTRAL), "moe.router") < 0.6


def test_a_cache_in_8_bits_is_read() -> None:
    assert model(scheme(FP8, FP8, kv_cache_scheme=FP8)).dtypes.kv == "fp8"
    modelopt = {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}
    assert model(modelopt).dtypes.kv == "fp8"
    assert model(scheme(FP8, FP8)).dtypes.kv == "fp16"


def test_names_of_modules_mean_our_matrices() -> None:
    llama, mixtral = (load_model(name, ["layers=4"]) for name in ("llama-2-7b", "mixtral-8x7b"))
    assert shares(["lm_head"], llama) == {"lm_head": 1.0}
    assert shares(["model.embed_tokens"], llama) == {"embedding": 1.0}
    assert shares(["gate"], mixtral) == {"moe.router": 1.0}  # and not `gate_proj`
    assert shares(["model.layers.1.mlp"], llama)["ffn.up_proj"] == 0.25
    assert shares([r"re:.*layers\.[01]\..*down_proj"], llama)["ffn.down_proj"] == 0.5
    assert shares(["vision_tower", "norm"], llama) == {}


def only_experts() -> dict[str, Any]:
    found = scheme(INT4)
    found["config_groups"]["group_0"]["targets"] = ["re:.*experts.*"]
    return found


@pytest.mark.parametrize(
    ("quantised", "says"),
    [
        (
            {"quant_method": "aqlmm"},
            r"quantization_config\.quant_method: quantisation: found 'aqlmm', expected one of awq",
        ),
        ({"quant_method": "gtpq"}, "did you mean 'gptq'"),
        ({"quant_method": None}, "expected one of awq, gptq"),
        ({"quant_method": "awq", "bits": 3}, r"quantization_config\.bits: bits of awq: found 3, expected 4"),
        ({"quant_method": "gptq", "bits": 5}, "found 5, expected 2, 3, 4 or 8"),
        ({"quant_method": "gptq", "bits": "4"}, r"quantization_config\.bits: found '4', expected a whole number"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"+:.*": {"bits": 8}}}, "formats by module"),
        ({"quant_method": "awq", "modules_to_not_convert": "lm_head"}, "a list of texts"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "rows and columns"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf5"}, "nf4, fp4"),
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": True},
            "load_in_8bit: both 8 and 4 bits",
        ),
        ({"quant_method": "bitsandbytes"}, r"quantization_config\.load_in_4bit: missing key"),
        ({"quant_method": "compressed-tensors"}, "config_groups: missing key"),
        (only_experts(), r"group_0\.targets: some modules by their names"),
        (scheme(FP8, FP8, ignore=["re:*("]), r"quantization_config\.ignore: no regular expression"),
        (scheme({"num_bits": 6, "type": "int"}), r"group_0\.weights\.num_bits.*weights in int6"),
        ({"quant_method": "modelopt", "quant_algo": "W4A4"}, "algorithm of modelopt: found 'W4A4'"),
        (scheme(FP8, kv_cache_scheme={"num_bits": 4, "type": "int"}), r"kv_cache_scheme\.num_bits: KV cache: found 4"),
    ],
)
def test_what_is_not_known_is_refused_by_name(quantised: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        model(quantised)


def test_groups_of_several_formats_are_refused() -> None:
    mixed = scheme(INT4)
    mixed["config_groups"]["group_1"] = {"weights": FP8, "input_activations": FP8}
    with pytest.raises(ConfigError, match="groups of several formats, w4a16, fp8"):
        model(mixed)


def test_every_method_reads_a_config_of_nothing_but_its_name_or_says_what_is_missing() -> None:
    for method in METHODS:
        try:
            assert model({"quant_method": method}).dtypes.weights
        except ConfigError as error:
            assert "quantization_config" in str(error)
