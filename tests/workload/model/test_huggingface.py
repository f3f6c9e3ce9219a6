"""Models from Hugging Face configs: the same shapes as the shipped ones, and errors that help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import Model, decode, from_huggingface, operator_graph, parameters
from simulator.workload.model.huggingface.keys import SYNONYMS
from simulator.workload.model.huggingface.reader import COMMON, READERS


def config(kind: str, layers: int, hidden: int, heads: int, vocab: int, context: int, **more: Any) -> dict[str, Any]:
    """A config with the keys that most types have."""
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "vocab_size": vocab,
        "max_position_embeddings": context,
        "torch_dtype": "bfloat16",
    } | more


CONFIGS = {
    "llama-2-7b": config("llama", 32, 4096, 32, 32000, 4096, intermediate_size=11008),
    "llama-3-8b": config("llama", 32, 4096, 32, 128256, 8192, intermediate_size=14336, num_key_value_heads=8),
    "llama-3.1-405b": config(
        "llama", 126, 16384, 128, 128256, 131072, intermediate_size=53248, num_key_value_heads=8, mlp_bias=False
    ),
    "mistral-7b": config("mistral", 32, 4096, 32, 32000, 32768, intermediate_size=14336, num_key_value_heads=8),
    "mixtral-8x7b": config(
        "mixtral", 32, 4096, 32, 32000, 32768, intermediate_size=14336, num_key_value_heads=8, sliding_window=None
    ),
    "qwen2-7b": config(
        "qwen2", 28, 3584, 28, 152064, 131072, intermediate_size=18944, num_key_value_heads=4,
        use_sliding_window=False, sliding_window=131072, max_window_layers=28,
    ),
    "qwen2-57b-a14b": config(
        "qwen2_moe", 28, 3584, 28, 151936, 131072, intermediate_size=18944, num_key_value_heads=4, num_experts=64,
        num_experts_per_tok=8, moe_intermediate_size=2560, shared_expert_intermediate_size=20480, decoder_sparse_step=1,
    ),
    "qwen3-8b": config("qwen3", 36, 4096, 32, 151936, 40960, intermediate_size=12288, num_key_value_heads=8),
    "qwen3-30b-a3b": config(
        "qwen3_moe", 48, 2048, 32, 151936, 40960, intermediate_size=6144, num_key_value_heads=4, head_dim=128,
        num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768, mlp_only_layers=[],
    ),
    "falcon-7b": {
        "model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544, "num_attention_heads": 71,
        "vocab_size": 65024, "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False,
        "new_decoder_architecture": False, "torch_dtype": "bfloat16",
    },
    "falcon-40b": {
        "model_type": "RefinedWeb", "n_layer": 60, "hidden_size": 8192, "n_head": 128, "n_head_kv": 8,
        "vocab_size": 65024, "bias": False, "alibi": False, "torch_dtype": "bfloat16",
    },
    "opt-6.7b": config(
        "opt", 32, 4096, 32, 50272, 2048, ffn_dim=16384, activation_function="relu", word_embed_proj_dim=4096
    ),
    "opt-66b": config("opt", 64, 9216, 72, 50272, 2048, ffn_dim=36864, do_layer_norm_before=True),
    "bloom-176b": {
        "model_type": "bloom", "n_layer": 70, "n_embed": 14336, "num_attention_heads": 112, "vocab_size": 250880,
        "seq_length": 2048,
    },
    "deepseek-v3": config(
        "deepseek_v3", 61, 7168, 128, 129280, 163840, intermediate_size=18432, moe_intermediate_size=2048,
        n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=3, moe_layer_freq=1,
        num_nextn_predict_layers=1,
        q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        num_key_value_heads=128, quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]},
    ),
    "grok-1": config(
        "grok-1", 64, 6144, 48, 131072, 8192, intermediate_size=32768, num_key_value_heads=8, num_experts=8
    ),
}  # fmt: skip

NOT_THE_SHAPE = {"name", "aliases", "family", "published", "source"}


@pytest.mark.parametrize("model", CONFIGS)
def test_a_config_gives_the_shape_that_is_shipped(model: str, shipped: Callable[[str], Model]) -> None:
    read, ours = from_huggingface(CONFIGS[model], model), shipped(model)
    assert read.model_dump(exclude=NOT_THE_SHAPE) == ours.model_dump(exclude=NOT_THE_SHAPE)
    assert parameters(read) == parameters(ours)


def test_deepseek_v2_lite_compresses_no_queries() -> None:
    """DeepSeek-V2-Lite's config; its checkpoint has 15,706,484,224 parameters."""
    lite = config(
        "deepseek_v2", 27, 2048, 16, 102400, 163840, intermediate_size=10944, moe_intermediate_size=1408,
        n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, moe_layer_freq=1,
        q_lora_rank=None, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
    )  # fmt: skip
    assert parameters(from_huggingface(lite, "lite")).total == 15_706_484_224


def test_missing_keys_have_the_defaults_of_transformers() -> None:
    plain = CONFIGS["llama-2-7b"]
    assert from_huggingface(plain, "m").attention.kv_heads == 32
    assert not from_huggingface(plain, "m").tied_embeddings
    assert from_huggingface(CONFIGS["mistral-7b"], "m").attention.window == 4096
    assert from_huggingface(CONFIGS["mistral-7b"] | {"sliding_window": None}, "m").attention.window is None
    assert from_huggingface(CONFIGS["falcon-40b"], "m").tied_embeddings
    assert from_huggingface(CONFIGS["qwen3-8b"] | {"hidden_size": 1024}, "m").attention.head_dim == 128
    assert from_huggingface(CONFIGS["bloom-176b"], "m").dtypes.weights == "bf16"


def test_the_first_layers_of_qwen_see_everything() -> None:
    model = from_huggingface(
        CONFIGS["qwen2-7b"] | {"use_sliding_window": True, "max_window_layers": 20, "sliding_window": 100}, "m"
    )
    assert [layer.window for layer in model.decoder] == [None] * 20 + [100] * 8
    shape = [(block.name, block.repeat) for block in operator_graph(model, decode(1, 5)).blocks[1:-1]]
    assert shape == [("dense", 20), ("dense-window", 8)]


def test_a_list_of_layers_says_which_of_qwen_have_a_window_whatever_number_stands_beside_it() -> None:
    """As the config class has it: the list is made of `max_window_layers` only where a config has none."""
    window = {"use_sliding_window": True, "max_window_layers": 20, "sliding_window": 100}
    kinds = ["sliding_attention", "full_attention"] * 14
    model = from_huggingface(CONFIGS["qwen2-7b"] | window | {"layer_types": kinds}, "m")
    assert [layer.window for layer in model.decoder] == [100, None] * 14
    assert "layer_types" not in model.not_modelled


def test_dense_layers_between_experts() -> None:
    moe = CONFIGS["qwen3-30b-a3b"]
    layers = from_huggingface(moe | {"decoder_sparse_step": 2}, "m").decoder
    assert [layer.moe for layer in layers[:4]] == [False, True, False, True]
    layers = from_huggingface(moe | {"mlp_only_layers": [0, 1]}, "m").decoder
    assert [layer.moe for layer in layers[:4]] == [False, False, True, True]


@pytest.mark.parametrize(
    ("quantised", "weights", "compute"),
    [({"quant_method": "fp8"}, "fp8", "fp8"), ({"quant_method": "awq", "bits": 4}, "awq", "bf16")],
)
def test_quantised_weights(quantised: dict[str, Any], weights: str, compute: str) -> None:
    dtypes = from_huggingface(CONFIGS["llama-3-8b"] | {"quantization_config": quantised}, "m").dtypes
    assert (dtypes.weights, dtypes.activations, dtypes.products) == (weights, "bf16", compute)


@pytest.mark.parametrize(
    ("model", "change", "says"),
    [
        (
            "llama-2-7b",
            {"model_type": "reformer"},
            "model_type: unsupported model: found 'reformer', expected one of",
        ),
        ("llama-2-7b", {"model_type": "lama"}, "did you mean 'llama'"),
        ("llama-2-7b", {"model_type": None}, "model_type: missing key"),
        ("llama-2-7b", {"hidden_size": None}, "hidden_size: missing key"),
        ("llama-2-7b", {"hidden_size": "4096"}, "hidden_size: found '4096', expected a whole number"),
        ("llama-2-7b", {"num_hidden_layers": 0}, "num_hidden_layers: found 0"),
        ("llama-2-7b", {"num_key_value_heads": 5}, "32 heads do not share 5"),
        ("llama-2-7b", {"hidden_act": "tanh"}, "hidden_act: activation: found 'tanh'"),
        ("llama-2-7b", {"torch_dtype": "float8"}, "torch_dtype: number format"),
        ("llama-2-7b", {"quantization_config": {"quant_method": "gguf"}}, "quantization_config"),
        ("llama-2-7b", {"attention_bias": 1}, "attention_bias: found 1, expected true or false"),
        ("opt-6.7b", {"word_embed_proj_dim": 512}, "word_embed_proj_dim"),
        ("opt-6.7b", {"do_layer_norm_before": False}, "do_layer_norm_before"),
        ("deepseek-v3", {"moe_layer_freq": 2}, "moe_layer_freq"),
        ("qwen3-30b-a3b", {"mlp_only_layers": [5]}, "mlp_only_layers"),
        ("qwen3-8b", {"use_sliding_window": True, "layer_types": ["full_attention"] * 35}, "one entry for each of 36"),
        ("qwen3-8b", {"use_sliding_window": True, "layer_types": ["mamba"] * 36}, "layer_types: layers of space"),
    ],
)
def test_an_error_names_the_key(model: str, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_huggingface(CONFIGS[model] | change, model)
    assert str(error.value).startswith("config.json")
    assert says in str(error.value)


def test_an_unknown_type_says_what_else_reads_it() -> None:
    with pytest.raises(ConfigError) as told:
        from_huggingface(CONFIGS["llama-2-7b"] | {"model_type": "gemma9"}, "m")
    assert all(text in str(told.value) for text in ("did you mean 'gemma", "tiersim import-model", "docs/models.md"))


@pytest.mark.parametrize("kind", ["absent", None])
def test_a_config_without_a_type_names_common_ones_and_guesses_none(kind: str | None) -> None:
    broken = {key: value for key, value in CONFIGS["llama-2-7b"].items() if key != "model_type"}
    with pytest.raises(ConfigError, match=r"model_type: missing key: .*llama, qwen3, ") as told:
        from_huggingface(broken if kind else broken | {"model_type": None}, "m")
    assert "did you mean" not in str(told.value)
    assert set(COMMON) <= READERS.keys()


SHIPPED = list(CONFIGS.values())


@given(st.sampled_from(SHIPPED), st.sampled_from(SYNONYMS), st.booleans(), st.data())
@settings(deadline=None, max_examples=60)
def test_a_key_under_two_names_must_say_the_same(
    config: dict[str, Any], same: tuple[str, ...], agree: bool, data: st.DataObject
) -> None:
    first = next((name for name in same if name in config), None)
    assume(first is not None and type(config[first]) is int)
    assert first
    plain = from_huggingface(config, "m")
    other = data.draw(st.sampled_from([name for name in same if name != first]))
    if agree:
        assert parameters(from_huggingface(config | {other: config[first]}, "m")) == parameters(plain)
        return
    try:
        model = from_huggingface(config | {other: config[first] + 1}, "m")
    except ConfigError as error:
        assert first in str(error) and other in str(error)
    else:  # a name that no config of the type has
        assert parameters(model) == parameters(plain)


def test_defaults_give_way_to_a_key_by_any_of_its_names() -> None:
    assert from_huggingface({"model_type": "gpt2", "num_layers": 3}, "m").layers == 3
    assert from_huggingface({"model_type": "bloom", "d_model": 128}, "m").hidden == 128


junk = st.none() | st.booleans() | st.integers(-3, 10**6) | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(sorted(CONFIGS)), st.data())
def test_any_value_of_any_key_gives_a_model_or_a_config_error(model: str, data: st.DataObject) -> None:
    plain = CONFIGS[model]
    keys = sorted({*plain, "sliding_window", "mlp_only_layers", "max_window_layers", "quantization_config", "dtype"})
    keys += ["use_sliding_window", "tie_word_embeddings", "head_dim", "num_ln_in_parallel_attn", "n_shared_experts"]
    change = data.draw(st.dictionaries(st.sampled_from(keys), junk, max_size=3))
    try:
        assert parameters(from_huggingface(plain | change, model)).total > 0
    except ConfigError as error:
        assert "config.json" in str(error)


@pytest.mark.parametrize(
    ("kind", "parameters_of_default"),
    [
        ("gpt2", 124_439_808), ("gpt_neo", 1_315_575_808), ("gpt_neox", 20_554_567_680), ("gptj", 6_050_882_784),
        ("gpt_bigcode", 111_446_784), ("opt", 125_239_296), ("bloom", 16_156_544), ("olmo", 6_888_095_744),
        ("mpt", 1_311_213_568), ("persimmon", 9_397_175_296), ("starcoder2", 3_030_371_328), ("lfm2", 2_705_497_600),
        ("falcon_h1", 8_514_961_408),
    ],
)  # fmt: skip
def test_keys_that_a_config_leaves_out_are_those_of_its_type(kind: str, parameters_of_default: int) -> None:
    """As transformers 5.24.0 builds the default config of the type on the meta device."""
    assert parameters(from_huggingface({"model_type": kind}, kind)).total == parameters_of_default


@pytest.mark.parametrize("words", [{"layer_types": ["mamba"] * 32}, {"attn_layer_indices": [0, 1]}])
def test_layers_of_falcon_h1_are_all_alike_whatever_a_list_says(words: dict[str, Any]) -> None:
    """Its class reads none of them: they are told as not modelled."""
    plain, listed = (from_huggingface({"model_type": "falcon_h1", **more}, "m") for more in ({}, words))
    assert listed.not_modelled == tuple(words)
    assert listed.model_copy(update={"not_modelled": ()}) == plain


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2", "n_head": 7}, "n_head: heads that do not divide the hidden size"),
        ({"model_type": "gpt2", "n_embd": 768, "hidden_size": 1020}, "n_embd: another name of 'hidden_size'"),
        ({"model_type": "gpt2", "torch_dtype": "float16", "dtype": "float32"}, "dtype: another name of 'torch_dtype'"),
        ({"model_type": "gpt_neo", "num_layers": 23}, "attention_types: a layer list of 24 entries"),
        ({"model_type": "gpt_neo", "attention_types": [["ring", 12]]}, "attention_types: kinds of layers"),
        ({"model_type": "stablelm", "qk_layernorm": True}, "qk_layernorm"),
        ({"model_type": "mpt", "no_bias": False}, "no_bias: biases of MPT"),
        ({"model_type": "mpt", "attn_config": {"qk_ln": True}}, "attn_config.qk_ln"),
        ({"model_type": "dbrx", "attn_config": {"kv_n_heads": 3}}, "num_kv_heads: KV heads that do not divide"),
        ({"model_type": "dbrx", "ffn_config": {"moe_top_k": 9}}, "top_k 9 of 4 experts"),
        ({"model_type": "chatglm", "add_bias_linear": True}, "add_bias_linear"),
        ({"model_type": "gpt_bigcode", "n_layer": 0}, "n_layer"),
        ({"model_type": "lfm2", "layer_types": ["conv"] * 31}, "layer_types: a layer list"),
        ({"model_type": "lfm2", "layer_types": 7}, "layer_types: a layer list"),
        ({"model_type": "lfm2", "layer_types": [{}] * 32}, "layer_types: layers of type"),
        ({"model_type": "olmo", "layer_types": ["mamba"] * 32}, "layer_types: layers of a state space in a olmo"),
        ({"model_type": "olmo", "sparse_attention_config": {}}, "sparse_attention_config"),
        ({"model_type": "olmo", "compress_ratios": ["4"] * 32}, "compress_ratios: .*a list of whole numbers"),
        ({"model_type": "olmo", "compress_rates": {"a": []}}, "compress_rates: .*whole numbers, by kind of layer"),
        ({"model_type": "falcon_h1", "projectors_bias": True}, "projectors_bias: .*as mamba_proj_bias has it"),
        ({"model_type": "falcon_h1", "mamba_d_head": 64}, "mamba_d_head: the width of a head: found 64, expected 8,"),
        ({"model_type": "lfm2", "block_ffn_dim_multiplier": 0}, "block_ffn_dim_multiplier: .*a number above 0"),
    ],
)
def test_a_config_that_contradicts_its_type_is_refused_by_its_key(config: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        from_huggingface(config, "broken")
