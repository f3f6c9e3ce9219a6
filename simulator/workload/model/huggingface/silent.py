"""What a config says on which no figure here depends, and what says nothing of shapes, bytes or operations."""

from __future__ import annotations

import re

from simulator.workload.model.huggingface.keys import Keys

_CONSTANTS = re.compile(
    r".*(_tokens?|_token_ids?|_token_index|_drop(out)?|pdrop|_prob|initializer_range|_eps|epsilon|_coef|_theta|rope_.*|"
    r"_rope|scaling|_factor|use_cache|pretraining_tp|_init|_beta|_alpha|_method|_func|_function|topk_.*|_mean|_std|"
    r"_limits?|_min|_max|_floor|_multipliers?|_scale|_implementation|_length|softcapping|logits_to_keep|_interleave|"
    r"_sections?)"
)
"""Names of tokens, constants inside functions, training."""

TOWER = "vision_config (a model of its own, CONFIG#vision)"

_GENERAL = """
_attn_implementation _name_or_path add_cross_attention architectures attention_bias auto_map bad_words_ids
begin_suppress_tokens chunk_size chunk_size_feed_forward cross_attention_hidden_size diversity_penalty
do_sample dtype early_stopping encoder_no_repeat_ngram_size ep_size finetuning_task head_dim hidden_act
id2label ignore_index intermediate_size is_decoder is_encoder_decoder label2id length_penalty mamba_hidden_act
max_length max_window_layers model_type moe_layer_freq moe_router_dtype n_positions no_repeat_ngram_size
norm_topk_prob num_beam_groups num_beams num_key_value_heads num_return_sequences output_attentions
output_hidden_states output_router_logits output_scores prefix problem_type pruned_heads quantization_config
query_pre_attn_scalar remove_invalid_values rescale_prenorm_residual residual_in_fp32 return_dict
return_dict_in_generate scale_attn_weights seq_aux sliding_window suppress_tokens swiglu_limit
task_specific_params temperature tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torch_dtype
torchscript transformers_version typical_p use_bfloat16 use_mamba_kernels use_sliding_window
"""
"""Keys that every config may have, and those whose worth shows in others."""


def left(keys: Keys, outer: Keys) -> list[str]:
    """Keys of a text part, and of what stands around it, that nothing reads: `tiersim show` lists them."""
    parts = {"text_config", "llm_config", "language_config", "thinker_config", "tie_word_embeddings"}
    names = keys.left() + ([] if keys is outer else [name for name in outer.left() if name not in parts])
    silent = set(_GENERAL.split())
    names = [TOWER if name == "vision_config" else name for name in names]
    return sorted(name for name in set(names) if name not in silent and not _CONSTANTS.fullmatch(name))
