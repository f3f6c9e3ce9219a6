"""What models take in each format: sizes of published files, and laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from simulator.workload import (
    Model,
    OperatorGraph,
    decode,
    kv_bytes_per_token,
    load_model,
    operator_graph,
    parameters,
    prefill,
    weight_bytes,
)
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.formats.format import BLOCKS, TENSORS, WIDE
from simulator.workload.formats.named import FORMATS, KV, UNSAID, computing
from simulator.workload.formats.storage import element_bytes
from simulator.workload.model.form import Dtypes
from simulator.workload.model.parameters import weight_bytes_by_class

GIB = 2**30
SIZES = [
    ("llama-3-8b", "q8_0", 7.96), ("llama-3-8b", "q6_k", 6.14), ("llama-3-8b", "q5_k_m", 5.33),
    ("llama-3-8b", "q5_k_s", 5.21), ("llama-3-8b", "q4_k_m", 4.58), ("llama-3-8b", "q4_k_s", 4.37),
    ("llama-3-8b", "q4_0", 4.34), ("llama-2-7b", "q4_0", 3.56), ("llama-2-7b", "q4_k_m", 3.80),
    ("llama-2-7b", "q8_0", 6.67), ("llama-3-8b", "fp16", 14.96), ("llama-3-70b", "fp16", 131.42),
    ("llama-3-70b", "q4_k_m", 39.59), ("llama-3-8b", "q3_k_m", 3.74), ("llama-3-8b", "q4_1", 4.78),
    ("llama-3-8b", "q5_0", 5.21), ("llama-3-8b", "q5_1", 5.65),
]  # fmt: skip
"""GiB of files. Sources: `llama-quantize --help` (Llama-3-8B), llama-bench of build 1550 (Llama-2-7B), and
github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference (F16 and 70B)."""


BITS = {
    "iq1_s": 2.0042, "iq1_m": 2.1460, "iq2_xxs": 2.3824, "iq2_xs": 2.5882, "iq2_s": 2.7403, "iq2_m": 2.9294,
    "iq3_xxs": 3.2548, "iq3_xs": 3.4977, "iq3_s": 3.6606, "iq3_m": 3.7628, "iq4_xs": 4.4597, "iq4_nl": 4.6818,
    "q2_k_s": 2.9697, "q2_k": 3.1593, "q3_k_s": 3.6429, "q3_k_l": 4.2979, "q4_k_s": 4.6672, "q4_k_m": 4.8944,
    "q5_k_s": 5.5704, "q5_k_m": 5.7036, "q6_k": 6.5633, "q8_0": 8.5008,
}  # fmt: skip
"""Bits a weight of files of Llama-3.1-8B. Source: tools/quantize/README.md, ggml-org/llama.cpp at 311c2c9."""


def in_format(model: Model, weights: str, **more: object) -> Model:
    dtypes = Dtypes.model_validate({"weights": weights, "activations": "fp16", "kv": "fp16", **more})
    return model.model_copy(update={"dtypes": dtypes})


@pytest.mark.parametrize(("model", "weights", "size"), SIZES)
def test_a_gguf_file_is_as_large_as_it_is(model: str, weights: str, size: float) -> None:
    """Files hold the vocabulary too: some megabytes."""
    assert weight_bytes(in_format(load_model(model), weights)) == pytest.approx(size * GIB, rel=0.003)


@pytest.mark.parametrize("weights", BITS)
def test_a_gguf_file_has_so_many_bits_a_weight(weights: str) -> None:
    """The table rounds to four digits behind the point, of bytes without the vocabulary."""
    model = in_format(load_model("llama-3-8b"), weights)
    assert weight_bytes(model) * 8 / parameters(model).total == pytest.approx(BITS[weights], abs=1e-4)


def test_mixes_of_eight_experts_keep_their_keys_and_values() -> None:
    """Mixtral: 8 bits for what heads share, or 4 in types of 2 bits and less; experts by the type's own rule."""
    model = load_model("mixtral-8x7b")
    for weights, keys, output in (("q3_k_m", "q8_0", "q5_k"), ("q3_k_l", "q8_0", "q3_k"), ("iq2_xs", "q4_k", "q5_k")):
        stored = in_format(model, weights)
        assert element_bytes(stored, "attention.k_proj") == BLOCKS[keys].bytes
        assert element_bytes(stored, "attention.o_proj") == BLOCKS[output].bytes
    experts = in_format(model, "mxfp4_moe")
    assert element_bytes(experts, "moe.experts.up_proj") == 17 / 32
    assert element_bytes(experts, "attention.q_proj") == 34 / 32


def test_an_awq_checkpoint_keeps_its_head_and_has_scales_and_zeros() -> None:
    """Llama-3-8B: 5.7 GB, of which the embedding and the head are 2.1 GB."""
    model = in_format(load_model("llama-3-8b"), "awq")
    assert weight_bytes(model) == pytest.approx(5.7e9, abs=0.05e9)
    by_class = weight_bytes_by_class(model)
    assert by_class["embedding"] == by_class["lm_head"] == 2 * 128256 * 4096


# --- laws

weights = st.sampled_from(sorted(FORMATS))
narrow = st.sampled_from(sorted(name for name in FORMATS if FORMATS[name].block.bits < 16))


def read(graph: OperatorGraph) -> float:
    totals = graph.totals().bytes
    return float(totals["weight"] + totals.get("expert", 0.0))


@given(weights=weights)
@settings(max_examples=25)
def test_a_model_is_the_sum_of_its_tensors(weights: str) -> None:
    """The operators read each weight once, but of the embedding the rows of the tokens."""
    for name in ("llama-3-8b", "opt-6.7b", "deepseek-v3", "qwen2-57b-a14b", "falcon-40b"):
        model = in_format(load_model(name), weights)
        experts = float(model.moe.experts if model.moe else 0)
        graph = operator_graph(model, prefill(1, 4), routing=lambda tokens, all_=experts: all_)
        rows = 4 * model.hidden * element_bytes(model, "embedding")
        if model.positions.kind == "learned":
            rows += 4 * model.hidden * element_bytes(model, "position_embedding")
        stored = weight_bytes_by_class(model)
        table = model.vocab * model.hidden * element_bytes(model, "embedding") if model.tied_embeddings else 0.0
        assert read(graph) == pytest.approx(weight_bytes(model) - stored["embedding"] + table + rows, rel=1e-12)


@given(weights=weights)
@settings(max_examples=40)
def test_no_format_is_smaller_than_its_bits(weights: str) -> None:
    block = FORMATS[weights].block
    for name in ("llama-2-7b", "mixtral-8x7b", "falcon-7b", "bloom-176b"):
        model = in_format(load_model(name), weights)
        assert block.bits / 8 * parameters(model).total <= weight_bytes(model) * (1 + 1e-12)
        assert all(element_bytes(model, tensor) >= block.bits / 8 for tensor in TENSORS)


@given(weights=narrow, wide=st.lists(st.sampled_from(TENSORS), unique=True), share=st.floats(0.1, 1.0))
@settings(max_examples=60)
def test_what_stays_wide_is_as_in_16_bits_and_the_rest_as_before(weights: str, wide: list[str], share: float) -> None:
    model = load_model("qwen2-57b-a14b")
    none = in_format(model, weights, wide=[])
    some = in_format(model, weights, wide=[(tensor, share) for tensor in wide])
    for tensor in TENSORS:
        part = share if tensor in wide else 0.0
        mixed = part * 2.0 + (1 - part) * element_bytes(none, tensor)
        by_layer = any(rule.tensor == tensor and rule.block != WIDE for rule in FORMATS[weights].rules)
        if part in (0.0, 1.0) or not by_layer:
            assert element_bytes(some, tensor) == pytest.approx(mixed)


@pytest.mark.parametrize(
    "chain",
    [
        ("gptq-int2", "gptq-int3", "gptq", "gptq-int8"),
        ("q4_0", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "q8_0", "fp16"),
        ("q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q5_k_s"),
        ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_s", "iq3_m", "iq4_xs", "iq4_nl", "q5_0", "q5_1"),
        ("nf4-double", "nf4", "fp8", "fp8-block", "bf16", "fp32"),
    ],
)
def test_more_bits_are_never_smaller(chain: tuple[str, ...], name: str) -> None:
    sizes = [weight_bytes(in_format(load_model(name), weights)) for weights in chain]
    assert sizes == sorted(sizes)


@given(few=st.integers(16, 512), more=st.integers(1, 512), weights=st.sampled_from(["awq", "gptq", "w4a16", "nf4"]))
def test_larger_groups_are_smaller(few: int, more: int, weights: str) -> None:
    model = load_model("llama-2-7b")
    small, large = (weight_bytes(in_format(model, weights, group=group)) for group in (few, few + more))
    assert large < small


@given(kv=st.sampled_from(sorted(KV)), weights=weights)
@settings(max_examples=25)
def test_a_format_of_the_cache_changes_the_cache_alone(kv: str, weights: str) -> None:
    for name in ("llama-3-8b", "deepseek-v3"):
        plain, other = (in_format(load_model(name), weights, kv=each) for each in ("fp16", kv))
        assert weight_bytes(plain) == weight_bytes(other)
        before, after = (operator_graph(each, decode(3, 900)).totals() for each in (plain, other))
        assert before.flops == after.flops
        ratio = kv_bytes_per_token(other) / kv_bytes_per_token(plain)
        assert KV[kv].bits / 16 <= ratio
        for operand, amount in before.bytes.items():
            factor = ratio if operand in ("kv_read", "kv_write") else 1.0
            assert after.bytes[operand] == pytest.approx(amount * factor), operand


def test_a_cache_of_4_bits_has_a_scale_and_a_zero_a_head(small: Callable[..., Model]) -> None:
    plain = kv_bytes_per_token(small(dtypes={"kv": "fp8"}))
    assert kv_bytes_per_token(small(dtypes={"kv": "int4"})) == plain / 2 + 4 * 2 * 2 * 4.0  # layers, K and V, heads


@given(weights=weights)
@settings(max_examples=40)
def test_weight_only_formats_compute_as_wide_ones(weights: str) -> None:
    """FLOPs are the same in every format; what computes is the format's, and 16 bits for what stays wide."""
    model, wide = in_format(load_model("llama-3-8b"), weights), in_format(load_model("llama-3-8b"), "fp16")
    assert operator_graph(model, decode(2, 100)).totals().flops == operator_graph(wide, decode(2, 100)).totals().flops
    dtypes = {operator.name: operator.dtype for operator, _ in operator_graph(model, decode(2, 100)).operators()}
    expected = FORMATS[weights].compute or "fp16"
    assert dtypes["ffn.up_proj"] == expected
    assert dtypes["attention.scores.decode"] == "fp16"
    kept = any(rule.tensor == "lm_head" and rule.block == WIDE for rule in FORMATS[weights].rules)
    assert dtypes["lm_head"] == ("fp16" if kept else expected)


def test_every_shipped_model_has_a_size_and_a_pass_in_every_format(name: str) -> None:
    model = load_model(name)
    sizes = []
    for weights in FORMATS:
        other = in_format(model, weights)
        assert read(operator_graph(other, decode(2, 100))) > 0
        sizes.append(weight_bytes(other))
    assert min(sizes) > 0
    assert max(sizes) == weight_bytes(in_format(model, "fp32"))


def test_number_formats_of_a_few_bits_do_not_say_what_computes() -> None:
    for name, others in UNSAID.items():
        with pytest.raises(ValueError, match=others[0]):
            computing(name)
        assert all(computing(other) == other for other in others)
    assert set(UNSAID) == {name for name in BYTES_PER_ELEMENT if BYTES_PER_ELEMENT[name] < 1}


def test_every_rule_is_about_a_matrix_and_a_block_that_there_is() -> None:
    for format in FORMATS.values():
        assert format.source
        for rule in format.rules:
            assert rule.tensor in TENSORS
            assert rule.block == WIDE or rule.block in BLOCKS
            layers = np.array([rule.layers(n) / n for n in (1, 7, 8, 16, 32, 80, 126)])
            assert ((layers >= 0) & (layers <= 1)).all()


@given(weights=weights, kv=st.sampled_from(sorted(KV)), wide=st.none() | st.lists(st.sampled_from(TENSORS)))
def test_formats_survive_the_way_to_yaml_and_back(weights: str, kv: str, wide: list[str] | None) -> None:
    dtypes = Dtypes.model_validate({"weights": weights, "kv": kv, "wide": wide})
    assert Dtypes.model_validate(dtypes.model_dump()) == dtypes
    assert Dtypes.model_validate_json(dtypes.model_dump_json()) == dtypes


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"weights": "q4_k"}, "q4_k_m"),
        ({"kv": "awq"}, "q8_0"),
        ({"weights": "bf16", "group": 128}, "no groups"),
        ({"weights": "awq", "wide": ["lm_heads"]}, "no such name"),
        ({"weights": "awq", "wide": [["lm_head", 1.5]]}, "less than or equal to 1"),
    ],
)
def test_what_fits_no_format_is_refused(data: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Dtypes.model_validate(data)
