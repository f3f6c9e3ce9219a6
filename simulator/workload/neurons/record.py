"""Records which feed-forward neurons a Hugging Face language model activates; needs `pip install 'tiersim[record]'`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, described
from simulator.extra import imported
from simulator.workload.neurons.trace import NeuronTrace, recorded

DOWN = ("fc2", "down_proj", "dense_4h_to_h")
"""What models call the second projection of a feed-forward layer: OPT and Phi, Llama and its kin, Falcon and others."""


def record(model: Any, token_ids: Sequence[int], threshold: float = 0.0) -> NeuronTrace:
    """The neurons that each of `token_ids` activates in one forward pass of a causal language model.

    A neuron is active where the size of what enters the down projection (`DOWN`) is above `threshold`: after ReLU,
    what is not 0; of a gated layer, the product. With activations that are never 0 (SiLU, GELU), and no threshold,
    all are. Layers are numbered as in the model, which is left as it was.

    Raises:
        ConfigError: torch is not installed; no token, or one that the model does not know; a negative threshold; not
            one down projection a layer, or layers of different widths.
    """
    torch = imported("torch", "record", "recording")
    projections = _projections(model)
    known = model.get_input_embeddings().num_embeddings
    ids = np.asarray(token_ids)
    if not (ids.ndim == 1 and ids.size and ids.dtype.kind in "iu" and ids.min() >= 0 and ids.max() < known):
        found, expected = described(str(token_ids)), f"a list of integers from 0 to {known - 1}"
        raise ConfigError("token ids", found=found, expected=expected)
    if not threshold >= 0:
        raise ConfigError(path="threshold", found=threshold, expected="0 or more")
    active: dict[int, NDArray[np.bool_]] = {}

    def note(layer: int) -> Callable[[Any, tuple[Any, ...]], None]:
        def hook(module: Any, inputs: tuple[Any, ...]) -> None:
            entering = inputs[0].detach().reshape(ids.size, module.in_features)  # some flatten their batch, some do not
            active[layer] = (entering.abs() > threshold).cpu().numpy()

        return hook

    hooks = [module.register_forward_pre_hook(note(layer)) for layer, module in enumerate(projections)]
    training = [module for module in model.modules() if module.training]
    try:
        with torch.no_grad():
            model.eval()(torch.tensor(ids[np.newaxis], device=projections[0].weight.device), use_cache=False)
    finally:
        for module in training:
            module.training = True
        for hook in hooks:
            hook.remove()
    layers = [[token.nonzero()[0] for token in active[layer]] for layer in range(len(projections))]
    return recorded(layers, projections[0].in_features)


def record_model(name_or_path: str, text: str, most: int | None = None, threshold: float = 0.0) -> NeuronTrace:
    """`record` of a model by its name or folder, at the first `most` tokens of a text.

    Raises:
        ConfigError: as `record`; transformers is not installed, or cannot load the model or its tokenizer.
    """
    transformers = imported("transformers", "record", "recording")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path)
        model = transformers.AutoModelForCausalLM.from_pretrained(name_or_path)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"cannot load the model: {error}", found=repr(name_or_path)) from None
    return record(model, tokenizer(text)["input_ids"][:most], threshold)


def _projections(model: Any) -> list[Any]:
    """The down projection of each layer."""
    modules = [module for name, module in model.named_modules() if name.rpartition(".")[2] in DOWN]
    layers = model.config.num_hidden_layers
    if len(modules) != layers:
        expected = f"one in each of {layers} layers, called {', '.join(DOWN)}"
        raise ConfigError("down projections", found=f"{len(modules)} in {type(model).__name__}", expected=expected)
    widths = {module.in_features for module in modules}
    if len(widths) != 1:
        raise ConfigError("down projections", found=f"widths {sorted(widths)}", expected="one width")
    return modules
