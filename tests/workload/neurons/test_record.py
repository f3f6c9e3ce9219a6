"""Recording: what small models of random weights activate is what their weights say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.neurons.files import load_neurons, save_neurons
from simulator.workload.neurons.record import record, record_model
from simulator.workload.neurons.trace import NeuronTrace, share

IDS = [5, 17, 2, 2, 40, 8, 33]


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers")


def opt(torch: Any, transformers: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.OPTConfig(
        vocab_size=50, hidden_size=16, word_embed_proj_dim=16, ffn_dim=96, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=32, activation_function="relu", init_std=0.5,
    )  # fmt: skip
    return transformers.OPTForCausalLM(config)


def llama(torch: Any, transformers: Any, act: str = "relu") -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=72, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=32, hidden_act=act, initializer_range=0.5,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def falcon(torch: Any, transformers: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.FalconConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, activation="relu",
        initializer_range=0.5,
    )  # fmt: skip
    return transformers.FalconForCausalLM(config)


def phi(torch: Any, transformers: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.PhiConfig(
        vocab_size=50, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=32, hidden_act="relu", initializer_range=0.5,
    )  # fmt: skip
    return transformers.PhiForCausalLM(config)


def persimmon(torch: Any, transformers: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.PersimmonConfig(
        vocab_size=50, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=32, hidden_act="relu2", initializer_range=0.5,
    )  # fmt: skip
    return transformers.PersimmonForCausalLM(config)


def inputs_of(modules: list[Any], model: Any, torch: Any) -> list[Any]:
    """What enters each module, a row a token."""
    seen: list[Any] = []
    hooks = [module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for module in modules]
    with torch.no_grad():
        model.eval()(torch.tensor([IDS]))
    for hook in hooks:
        hook.remove()
    return [entering.reshape(len(IDS), -1) for entering in seen]


def matrix(trace: NeuronTrace) -> NDArray[np.bool_]:
    active = np.zeros((trace.layers, trace.tokens, trace.neurons), dtype=np.bool_)
    for layer in range(trace.layers):
        for token, numbers in enumerate(trace.layer(layer)):
            active[layer, token, numbers] = True
    return active


@pytest.mark.slow
def test_opt_activates_what_its_first_projection_makes_positive(tmp_path: Path, torch: Any, transformers: Any) -> None:
    model = opt(torch, transformers)
    trace = record(model, IDS)
    ups = [layer.fc1 for layer in model.model.decoder.layers]
    with torch.no_grad():
        expected = [
            (x @ up.weight.T + up.bias > 0).numpy() for x, up in zip(inputs_of(ups, model, torch), ups, strict=True)
        ]
    assert (trace.layers, trace.neurons, trace.tokens) == (3, 96, len(IDS))
    np.testing.assert_array_equal(matrix(trace), expected)
    assert 0.2 < np.mean(expected) < 0.8

    by_hand = [np.mean([token.mean() for layer in expected for token in layer])]
    by_hand += [np.mean([layer[t : t + 2].any(axis=0).mean() for layer in expected for t in range(len(IDS) - 1)])]
    np.testing.assert_allclose(share(trace, [1, 2]), by_hand, rtol=1e-12)

    save_neurons(trace, tmp_path / "opt.npz")
    np.testing.assert_array_equal(matrix(load_neurons(tmp_path / "opt.npz", 96, 3)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_gated_neurons_are_active_where_the_product_is(threshold: float, torch: Any, transformers: Any) -> None:
    model = llama(torch, transformers)
    parts = [layer.mlp for layer in model.model.layers]
    with torch.no_grad():
        products = [
            torch.relu(x @ mlp.gate_proj.weight.T) * (x @ mlp.up_proj.weight.T)
            for x, mlp in zip(inputs_of(parts, model, torch), parts, strict=True)
        ]
    expected = [(product.abs() > threshold).numpy() for product in products]
    assert any((product < -threshold).any() for product in products)  # the other factor has any sign
    trace = record(model, IDS, threshold)
    assert trace.neurons == 72
    np.testing.assert_array_equal(matrix(trace), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("build", "neurons"), [(falcon, 64), (phi, 40), (persimmon, 40)])
def test_other_models_are_recorded(
    build: Callable[[Any, Any], Any], neurons: int, torch: Any, transformers: Any
) -> None:
    trace = record(build(torch, transformers), IDS)
    assert (trace.layers, trace.neurons, trace.tokens) == (2, neurons, len(IDS))
    assert 0.2 < share(trace, [1])[0] < 0.8


@pytest.mark.slow
def test_smooth_activations_are_all_active(torch: Any, transformers: Any) -> None:
    assert share(record(llama(torch, transformers, "silu"), IDS), [1])[0] == 1


@pytest.mark.slow
def test_a_model_is_left_as_it_was(torch: Any, transformers: Any) -> None:
    model = opt(torch, transformers).train()
    model.lm_head.eval()
    before = [module.training for module in model.modules()]
    first = matrix(record(model, IDS))
    assert [module.training for module in model.modules()] == before
    assert not any(module._forward_pre_hooks for module in model.modules())
    np.testing.assert_array_equal(matrix(record(model, IDS)), first)  # no dropout, though it trains


@pytest.mark.slow
def test_a_model_is_recorded_by_its_folder(tmp_path: Path, torch: Any, transformers: Any) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = opt(torch, transformers)
    model.save_pretrained(tmp_path)
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({f"w{word}": word for word in range(50)}, unk_token="w0"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path)
    trace = record_model(str(tmp_path), " ".join(f"w{word}" for word in [*IDS, 1, 2, 3]), most=len(IDS))
    np.testing.assert_array_equal(matrix(trace), matrix(record(model, IDS)))


# --- mistakes


@pytest.mark.slow
@pytest.mark.parametrize("ids", [[], [50], [-1], [0.5], [[1, 2]]])
def test_tokens_that_a_model_does_not_know_are_refused(ids: Any, torch: Any, transformers: Any) -> None:
    with pytest.raises(ConfigError, match=r"token ids: found .*, expected a list of integers from 0 to 49"):
        record(opt(torch, transformers), ids)


@pytest.mark.slow
def test_a_negative_threshold_is_refused(torch: Any, transformers: Any) -> None:
    with pytest.raises(ConfigError, match="threshold: found -1, expected 0 or more"):
        record(opt(torch, transformers), IDS, -1)


@pytest.mark.slow
def test_a_model_without_a_known_projection_is_refused(torch: Any, transformers: Any) -> None:
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(ConfigError, match="found 0 in GPT2LMHeadModel, expected one in each of 1 layers, called fc2"):
        record(model, IDS)


@pytest.mark.slow
def test_layers_of_different_widths_are_refused(torch: Any, transformers: Any) -> None:
    model = opt(torch, transformers)
    model.model.decoder.layers[1].fc2 = torch.nn.Linear(8, 16)
    with pytest.raises(ConfigError, match=r"found widths \[8, 96\], expected one width"):
        record(model, IDS)


@pytest.mark.slow
def test_a_model_that_is_not_there_is_no_traceback(tmp_path: Path, torch: Any, transformers: Any) -> None:
    with pytest.raises(ConfigError, match="cannot load the model"):
        record_model(str(tmp_path), "text")


@pytest.mark.parametrize(
    ("package", "call"), [("torch", lambda: record(None, IDS)), ("transformers", lambda: record_model("any", "text"))]
)
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str, call: Callable[[], NeuronTrace]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"recording needs {package}: expected pip install 'tiersim\[record\]'"):
        call()
