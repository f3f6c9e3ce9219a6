from __future__ import annotations

import pytest

from simulator.errors import ConfigError
from simulator.mapping.neurons.stored import one_ffn, stored
from simulator.workload import load_model, parameters, weight_bytes
from simulator.workload.model.form import Dtypes

OPT, LLAMA, MIXTRAL = (load_model(name) for name in ("opt-6.7b", "llama-2-7b", "mixtral-8x7b"))


def test_neurons_and_the_rest_are_the_model() -> None:
    for model in (OPT, LLAMA, MIXTRAL):
        found = stored(model)
        assert found.fixed_bytes + found.ffn_bytes == pytest.approx(weight_bytes(found.model))
        assert found.ffn_bytes < found.token_bytes < weight_bytes(found.model)


def test_bundles_of_the_paper() -> None:
    """arXiv 2312.11514, section 3.2: OPT at fp16 reads 8 KiB a row and 16 KiB a bundle, at fp32 32 KiB."""
    assert stored(OPT, bundle=1).read_bytes == 8 * 1024
    assert stored(OPT).read_bytes == 16 * 1024
    wide = OPT.model_copy(update={"dtypes": Dtypes(weights="fp32")})
    assert stored(wide).read_bytes == 32 * 1024
    three = stored(LLAMA, bundle=2)
    assert three.reads_per_neuron == 1.5
    assert three.reads_per_neuron * three.read_bytes == three.neuron_bytes == 3 * 4096 * 2
    assert stored(LLAMA, split=2).read_bytes == three.neuron_bytes / 2


def test_scales_of_a_block_format_are_read_too() -> None:
    """arXiv 2406.06282: three rows of 4,096 weights of 4 bits, with their scales, are 7.5 KiB."""
    dtypes = Dtypes(weights="int4", wide=())
    model = load_model("mistral-7b").model_copy(update={"dtypes": dtypes, "weight_scales": 0.125})
    assert stored(model).neuron_bytes == 7.5 * 1024
    counts = parameters(model)
    assert weight_bytes(model) == 0.625 * (counts.total - counts.norm) + 2 * counts.norm


def test_predictors_of_opt_are_2_36_percent_of_it() -> None:
    """`sum rank (hidden + neurons)`: 28 layers of rank 128 and 4 of 1,024."""
    found = stored(OPT, ranks=[(128, 28), (1024, 4)])
    assert found.predictor_bytes == 2 * (28 * 128 + 4 * 1024) * (4096 + 16384)
    assert found.predictor_bytes / weight_bytes(OPT) == pytest.approx(0.0236, abs=1e-4)


def test_experts_are_neurons_of_one_ffn() -> None:
    wide = one_ffn(MIXTRAL)
    assert wide.ffn
    assert wide.ffn.intermediate == 8 * 14336
    assert not any(layer.moe for layer in wide.decoder)
    assert parameters(wide).ffn == parameters(MIXTRAL).experts
    assert stored(MIXTRAL).neurons == 8 * 14336


def test_wrong_ones_are_refused() -> None:
    with pytest.raises(ConfigError, match="bundle: found 3, expected 1 to 2"):
        stored(OPT, bundle=3)
    with pytest.raises(ConfigError, match="ranks: found 31 layers, expected the 32"):
        stored(OPT, ranks=[(128, 31)])
    with pytest.raises(ConfigError, match="none shared"):
        stored(load_model("deepseek-v3"))
