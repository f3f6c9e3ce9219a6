"""Methods of quantisation that libraries of their own serve: bits a weight, with what groups and matrices share."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.workload import Model, from_huggingface, weight_bytes
from simulator.workload.formats.storage import element_bytes, storage

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "vocab_size": 32000, "max_position_embeddings": 4096, "intermediate_size": 11008, "torch_dtype": "float16",
}  # fmt: skip
MATRICES = 32 * 7
ELEMENTS = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
MEAN = ELEMENTS // MATRICES


def model(**quantised: Any) -> Model:
    return from_huggingface(LLAMA | {"quantization_config": quantised}, "m")


def torchao(kind: str, **data: Any) -> dict[str, Any]:
    return {"quant_method": "torchao", "quant_type": {"default": {"_type": kind, "_data": data, "_version": 1}}}


@pytest.mark.parametrize(
    ("quantised", "bits", "compute"),
    [
        ({"quant_method": "hqq", "nbits": 4, "group_size": 64}, 4 + 32 / 64, "fp16"),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2, "group_size": 16}}},
            2 + 32 / 16, "fp16",
        ),
        ({"quant_method": "hqq", "nbits": 3, "group_size": 128}, 3.2 + 32 / 128, "fp16"),
        ({"quant_method": "eetq"}, 8, "fp16"),
        ({"quant_method": "quanto", "weights": "int8"}, 8, "fp16"),
        ({"quant_method": "quanto", "weights": "int4"}, 4 + 32 / 128, "fp16"),
        ({"quant_method": "quanto", "weights": "int8", "activations": "int8"}, 8, "int8"),
        (torchao("Int4WeightOnlyConfig", group_size=32), 4 + 32 / 32, "fp16"),
        (torchao("Int8WeightOnlyConfig"), 8, "fp16"),
        (torchao("Int8DynamicActivationInt8WeightConfig"), 8, "int8"),
        (torchao("Float8DynamicActivationFloat8WeightConfig"), 8, "fp8"),
        (
            {"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 256}},
            4 + 32 / 256, "fp16",
        ),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, 4 + 20 / 128, "fp16"),
        ({"quant_method": "intel/auto-round", "bits": 2, "group_size": 32}, 2 + 18 / 32, "fp16"),
        ({"quant_method": "auto-round", "bits": 4, "data_type": "mx_fp", "group_size": 32}, 4 + 8 / 32, "fp16"),
        ({"quant_method": "higgs", "bits": 3, "p": 2, "group_size": 128}, 3 + 16 / 128, "fp16"),
        ({"quant_method": "spqr", "bits": 3, "beta1": 16, "beta2": 16}, 4, "fp16"),
        ({"quant_method": "bitnet"}, 2, "int8"),
        (
            {"quant_method": "aqlm", "in_group_size": 8, "num_codebooks": 1, "nbits_per_codebook": 16},
            2 + 2**16 * 8 * 16 / MEAN, "fp16",
        ),
        ({"quant_method": "aqlm", "num_codebooks": 2, "nbits_per_codebook": 8}, 2 + 2 * 2**8 * 8 * 16 / MEAN, "fp16"),
        (
            {
                "quant_method": "vptq",
                "config_for_layers": {
                    "model.layers.0.mlp.up_proj": {
                        "vector_lens": [-1, 8], "num_centroids": [-1, 65536], "num_res_centroids": [-1, 256],
                    }
                },
            },
            3 + (2**16 + 2**8) * 8 * 16 / MEAN, "fp16",
        ),
    ],
)  # fmt: skip
def test_bits_of_a_weight_with_what_it_shares(quantised: dict[str, Any], bits: float, compute: str) -> None:
    read = model(**quantised)
    for tensor in ("attention.q_proj", "ffn.down_proj"):
        assert element_bytes(read, tensor) * 8 == pytest.approx(bits, rel=1e-6)
        assert storage(read).matrix(tensor).dtype == compute
    assert element_bytes(read, "embedding") == element_bytes(read, "lm_head") == 2


def test_every_matrix_has_a_codebook_of_its_own() -> None:
    read = model(quant_method="aqlm", in_group_size=8, num_codebooks=1, nbits_per_codebook=16)
    wide = 2 * (2 * 32000 * 4096 + 65 * 4096)
    assert weight_bytes(read) == pytest.approx(ELEMENTS / 4 + MATRICES * 2**16 * 8 * 2 + wide, rel=1e-9)


def test_outliers_of_spqr_are_counted_as_its_config_has_them() -> None:
    shapes = {}
    for layer in range(32):
        for module in ("q_proj", "k_proj", "v_proj", "o_proj"):
            name = f"model.layers.{layer}.self_attn.{module}"
            shapes |= {f"{name}.{key}.shape": n for key, n in (("dense_weights", 4096 * 256), ("row_offsets", 4097))}
            shapes |= {f"{name}.col_vals.shape": 150_000, f"{name}.in_perm.shape": 2048}
    plain, read = model(quant_method="spqr"), model(quant_method="spqr", shapes=shapes)
    beside = 128 * 4 * (4097 + 150_000 + 2048)
    assert weight_bytes(read) - weight_bytes(plain) == pytest.approx(beside)
    assert element_bytes(read, "lm_head") == 2
    left = model(quant_method="spqr", shapes=shapes, modules_to_not_convert=["mlp"])
    wide = model(quant_method="spqr", modules_to_not_convert=["mlp"])
    assert weight_bytes(left) - weight_bytes(wide) == pytest.approx(beside)


def test_modules_that_a_config_names_stay_wide() -> None:
    read = model(
        quant_method="auto-round", bits=4, group_size=128, extra_config={"model.layers.3.mlp.down_proj": {"bits": 16}}
    )
    share = element_bytes(read, "ffn.up_proj")
    assert element_bytes(read, "ffn.down_proj") == pytest.approx((31 * share + 2) / 32)
    eetq = model(quant_method="eetq", modules_to_not_convert=["self_attn"])
    assert element_bytes(eetq, "attention.q_proj") == 2
    assert element_bytes(eetq, "ffn.up_proj") == 1


@pytest.mark.parametrize(
    ("quantised", "expected"),
    [
        ({"quant_method": "hqqq"}, r"quant_method: quantisation: found 'hqqq', .*did you mean 'hqq'"),
        ({"quant_method": "hqq", "nbits": 5}, "nbits: hqq, as 5bit: found 5"),
        ({"quant_method": "aqlm", "num_codebooks": 3}, "aqlm, as 3x16"),
        ({"quant_method": "aqlm", "in_group_size": 16}, "in_group_size: vectors of aqlm"),
        ({"quant_method": "vptq"}, "config_for_layers: missing key"),
        ({"quant_method": "eetq", "weights": "int4"}, "weights of eetq"),
        ({"quant_method": "quanto", "weights": "int3"}, "weights of quanto"),
        (torchao("Int5WeightOnlyConfig"), "torchao, as int5_weight_only: .*expected one of int4_weight_only"),
        ({"quant_method": "torchao"}, "quant_type: missing key: expected one of int4_weight_only"),
        ({"desc_act": True}, "quant_method: missing key: expected one of "),
        ({"quant_method": "auto-round", "bits": 5}, "auto-round, as int of 5 bits"),
        ({"quant_method": "higgs", "bits": 8}, "higgs, as 8bit"),
        ({"quant_method": "spqr", "shapes": {"a.col_vals.shape": -1}}, "shapes: found .*by tensor"),
        ({"quant_method": "spqr", "bits": 4}, "bits of spqr: found 4, expected 3"),
    ],
)
def test_what_is_not_known_is_refused_by_name(quantised: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        model(**quantised)
