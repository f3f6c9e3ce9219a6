"""Parameters of public models, from the dimensions that their configs state: a table, checked against transformers.

`shapes.json` has those dimensions (facts, written anew), `counts.csv` a row a public config: the parameters that
transformers builds of it on the meta device, or that the sums here give, without vision, audio and the layers that
predict further tokens, which are counted apart.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from simulator.workload import Model, decode, from_huggingface, operator_graph, parameters, prefill, weight_bytes
from simulator.workload.formats.storage import element_bytes
from simulator.workload.model.parameters import predicting_parameters, weight_bytes_by_class

HERE = Path(__file__).parent
SHAPES: dict[str, dict[str, Any]] = json.loads((HERE / "shapes.json").read_text(encoding="utf-8"))
ROWS = list(csv.DictReader((HERE / "counts.csv").read_text(encoding="utf-8").splitlines()))
BY_SHAPE = {row["shape"]: row for row in reversed(ROWS)}


def model(config: str) -> Model:
    return from_huggingface(SHAPES[config], config)


@pytest.mark.parametrize("config", SHAPES)
def test_a_config_has_the_parameters_that_its_modules_have(config: str) -> None:
    read, row = model(config), BY_SHAPE[config]
    assert parameters(read).total == int(row["parameters"])
    assert predicting_parameters(read) == int(row["predicting"])


def test_the_table_covers_the_public_configs() -> None:
    assert len(ROWS) >= 85
    assert {row["shape"] for row in ROWS} == set(SHAPES)
    assert sum(row["counted_by"] != "hand" for row in ROWS) >= 75


def dense(hidden: int, width: int) -> int:
    return 3 * hidden * width


def latent(hidden: int, heads: int, q: int, kv: int, nope: int, rope: int, v: int) -> int:
    """Multi-head latent attention with its two norms."""
    queries = hidden * q + q + q * heads * (nope + rope)
    return queries + hidden * (kv + rope) + kv + kv * heads * (nope + v) + heads * v * hidden


def mimo() -> int:
    """36 layers of Qwen2's form: biases on queries, keys and values."""
    h, kv = 4096, 8 * 128
    layer = h * h + h + 2 * (h * kv + kv) + h * h + dense(h, 11008) + 2 * h
    return 2 * 151680 * h + 36 * layer + h


def kimi_k2() -> int:
    """61 layers of DeepSeek-V3's form, one dense; 384 experts."""
    h = 7168
    attention = latent(h, 64, 1536, 512, 128, 64, 128) + 2 * h
    moe = 384 * dense(h, 2048) + dense(h, 2048) + 384 * h
    return 2 * 163840 * h + 61 * attention + dense(h, 18432) + 60 * moe + h


def nemotron_nas() -> int:
    """49 layers with attention and 80 FFNs; widths are two thirds of a multiple of the hidden size, to the next 256."""
    h = 8192
    attention = 2 * h * h + 2 * h * 1024 + h
    widths = {5.25: 49, 2.625: 6, 1.3125: 10, 1.0: 8, 0.5: 6, 3.28125: 1}
    ffns = sum(number * (dense(h, -(-int(2 * m * h / 3) // 256) * 256) + h) for m, number in widths.items())
    return 2 * 128256 * h + 49 * attention + ffns + h


def minimax_m3() -> int:
    """60 layers, 3 dense; 57 with an indexer of 4 heads that has norms on queries and keys."""
    h = 6144
    attention = 2 * h * 8192 + 2 * h * 512 + 2 * 128 + 2 * h
    indexer = h * 512 + h * 128 + 2 * 128
    moe = 129 * dense(h, 3072) + 128 * h
    return 2 * 200064 * h + 60 * attention + 57 * (indexer + moe) + 3 * dense(h, 12288) + h


def kimi_k3() -> int:
    """93 layers: 69 of Kimi delta attention, 24 of latent attention with a gate; experts of a latent of 3,584."""
    h, heads, width = 7168, 96, 96 * 128
    delta = 4 * h * width + width * h + h * heads + h * 128 + 128 * width + 4 * 3 * width + heads + width + 128
    attention = latent(h, heads, 1536, 512, 128, 64, 128) + h * width
    moe = 896 * dense(3584, 3072) + 2 * h * 3584 + dense(h, 2 * 3072) + 896 * h
    return 2 * 163840 * h + 69 * delta + 24 * attention + 93 * 2 * h + dense(h, 33792) + 92 * moe + h


def chatglm() -> int:
    """40 layers: biases on queries and 2 keys and values of 128; the matrix into an FFN is of gate and up."""
    h, qkv = 4096, 32 * 128 + 2 * 2 * 128
    layer = h * qkv + qkv + h * h + dense(h, 13696) + 2 * h
    return 2 * 151552 * h + 40 * layer + h


def step() -> int:
    """45 layers, 3 dense, a gate a head; 288 experts and one that is shared."""
    h = 4096
    attention = 2 * h * 8192 + 2 * h * 1024 + 2 * 128 + h * 64 + 2 * h
    moe = 289 * dense(h, 1280) + 288 * h
    return 2 * 128896 * h + 45 * attention + 3 * dense(h, 11264) + 42 * moe + h


@pytest.mark.parametrize(
    ("config", "by_hand"),
    [
        ("MiMo-7B-Base", mimo()), ("Kimi-K2-Instruct", kimi_k2()), ("MiniMax-M3", minimax_m3()), ("Kimi-K3", kimi_k3()),
        ("Llama-3_3-Nemotron-Super-49B-v1", nemotron_nas()), ("Step-3.7-Flash", step()), ("glm-4-9b-chat", chatglm()),
    ],
)  # fmt: skip
def test_models_that_need_code_of_their_own_are_summed_by_hand(config: str, by_hand: int) -> None:
    assert parameters(model(config)).total == by_hand


@pytest.mark.parametrize("config", SHAPES)
def test_operators_read_each_weight_once(config: str) -> None:
    """But of the embedding the rows of the tokens; matrices that are made by hand of others are read as those."""
    read = model(config)
    experts = float(read.moe.experts if read.moe else 0)
    graph = operator_graph(read, prefill(1, 4), routing=lambda tokens: experts)
    amounts = graph.totals().bytes
    stored = weight_bytes_by_class(read)
    width = read.hidden + (read.layers * read.per_layer.width if read.per_layer else 0)
    rows = 4 * (width + (read.hidden if read.positions.rows else 0)) * element_bytes(read, "embedding")
    table = read.vocab * read.hidden * element_bytes(read, "embedding") if read.tied_embeddings else 0.0
    expected = weight_bytes(read) - stored["embedding"] - stored["layer_embedding"] + table + rows
    assert amounts["weight"] + amounts.get("expert", 0.0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("config", ["Qwen3.5-35B-A3B", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "DeepSeek-V4-Flash"])
def test_a_longer_context_costs_what_its_keys_cost(config: str) -> None:
    read = model(config)
    short, long = (operator_graph(read, decode(1, context)).totals() for context in (1000, 100_000))
    assert long.flops > short.flops
    assert long.bytes["weight"] == short.bytes["weight"]
    assert long.bytes["kv_write"] == short.bytes["kv_write"]


@pytest.mark.slow
@pytest.mark.skipif("TIERSIM_TRANSFORMERS" not in os.environ, reason="needs transformers 5.24.0 (extra 'import')")
@pytest.mark.parametrize("config", [config for config in SHAPES if BY_SHAPE[config]["counted_by"] != "hand"])
def test_transformers_builds_the_same_modules(config: str) -> None:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    assert f"transformers {transformers.__version__}" == BY_SHAPE[config]["counted_by"]
    described = transformers.AutoConfig.for_model(**SHAPES[config])
    with torch.device("meta"):
        try:
            built = transformers.AutoModelForCausalLM.from_config(described)
        except ValueError:
            built = transformers.AutoModelForImageTextToText.from_config(described)
    apart = ("visual", "vision", "mm_projector", "multi_modal", "audio")
    count = sum(each.numel() for key, each in built.named_parameters() if not any(part in key for part in apart))
    assert count == int(BY_SHAPE[config]["parameters"])
