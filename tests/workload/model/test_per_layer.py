"""What Gemma 3n and Gemma 4 E2B have beside attention and FFN: embeddings of each layer, shared keys and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator import evaluate
from simulator.errors import ConfigError
from simulator.workload import Model, decode, from_huggingface, kv_bytes, kv_bytes_per_token, operator_graph, parameters

SHAPES = json.loads((Path(__file__).parent / "shapes.json").read_text(encoding="utf-8"))
E4B = SHAPES["gemma-3n-E4B-it"]


def read(**changes: Any) -> Model:
    return from_huggingface(E4B | changes, "gemma-3n")


def test_a_config_may_leave_out_what_its_type_has_by_default() -> None:
    assert parameters(from_huggingface({"model_type": "gemma3n"}, "plain")).total == parameters(read()).total


def test_keys_and_values_that_layers_share_are_kept_once() -> None:
    """35 layers, of which the first 20 keep 2 heads of 256 for keys and for values: 16 in a window of 512, 4 whole."""
    token = 2 * 2 * 256 * 2
    assert kv_bytes_per_token(read()) == 20 * token
    assert kv_bytes(read(), 10_000.0) == token * (16 * 512 + 4 * 10_000)


def test_all_layers_read_keys_and_values() -> None:
    amounts = operator_graph(read(), decode(1, 99)).totals().bytes
    token = 2 * 2 * 256 * 2
    assert amounts["kv_read"] == 35 * 100 * token
    assert amounts["kv_write"] == 20 * token


def test_embeddings_of_layers_are_looked_up_by_token() -> None:
    graph = operator_graph(read(), decode(3, 99))
    table = next(operator for operator, _ in graph.operators() if operator.name == "layer_embedding")
    assert table.bytes["weight"] == 3 * 35 * 256 * 2
    assert parameters(read()).layer_embedding == 262_144 * 35 * 256


def test_embeddings_of_layers_may_lie_in_host_memory(tmp_path: Path) -> None:
    """The rows of the tokens cross the link, and the table leaves the memory of the GPU."""
    (tmp_path / "config.json").write_text(json.dumps(E4B), encoding="utf-8")

    def ask(*rules: dict[str, Any]) -> Any:
        work = {"kind": "batch", "phase": "decode", "batch": 4, "input": 100}
        mapping = {"placement": list(rules), "runtime": "ideal"}
        asked = {"hardware": "rtx4090-gen4", "model": str(tmp_path), "mapping": mapping, "workload": work}
        return evaluate(asked).metrics

    here, there = ask(), ask({"of": "layer_embedding", "in": "host.dram"})
    rows = 4 * 35 * 256 * 2
    assert there["tbt_s"] - here["tbt_s"] < 2 * rows / 31e9 + 2e-6
    assert there["tbt_s"] > here["tbt_s"]


def test_a_rule_of_what_a_model_lacks_is_refused() -> None:
    rule = {"of": "layer_embedding", "in": "host.dram"}
    with pytest.raises(ConfigError, match=r"placement.*'layer_embedding', expected a part that llama-3-8b has"):
        evaluate({"hardware": "rtx4090-gen4", "model": "llama-3-8b", "mapping": {"placement": [rule]}})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"num_kv_shared_layers": 35}, "num_kv_shared_layers: layers of kind 'attention' without any"),
        ({"num_kv_shared_layers": 32}, "num_kv_shared_layers: layers of kind 'attention' without any"),
        ({"intermediate_size": [16_384] * 34}, "intermediate_size: a layer list: .*one entry for each of 35 layers"),
        ({"layer_types": E4B["layer_types"][:-1]}, "layer_types: a layer list"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read(**change)


def test_layers_may_have_ffns_of_different_widths() -> None:
    """A model cut out of a larger one has some narrow layers (MatFormer, arXiv 2310.07707)."""
    narrow = parameters(read(intermediate_size=[16_384] * 10 + [8192] * 10 + [16_384] * 15))
    assert parameters(read()).total - narrow.total == 10 * 3 * 2048 * 8192
