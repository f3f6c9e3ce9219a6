"""How many parameters a model has, by class, and how many bytes its weights and its KV cache take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from simulator.core.resource import Quantity
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.formats.storage import storage
from simulator.workload.model.attention import Attention
from simulator.workload.model.form import Layer, Mixer, Model
from simulator.workload.model.recurrent import LinearAttention, StateSpace
from simulator.workload.model.weights import Weights, predicting, weights


@dataclass(frozen=True)
class Parameters:
    """Parameters of a model by class.

    Attributes:
        embedding: token table, learned positions. A head tied to the table is counted here, and `lm_head` is 0.
        layer_embedding: the table of embeddings that each layer has of its own.
        attention: projections of attention, with their biases, and what chooses or compresses its keys.
        recurrent: linear attention and state spaces.
        ffn: dense FFNs, shared experts with their gate, and the way into a latent and back.
        experts: routed experts, all of them.
        router: routers of the experts.
        norm: all norms, and what mixes copies of the residual stream.
        lm_head: the output projection where it is not tied.
        vision: of a tower, the projection of patches and what hands them to a language model.
        active: those that one token uses: all but the experts that it did not choose. The embedding counts whole.
    """

    embedding: int
    layer_embedding: int
    attention: int
    recurrent: int
    ffn: int
    experts: int
    router: int
    norm: int
    lm_head: int
    vision: int
    active: int

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(getattr(self, field.name) for field in fields(self) if field.name != "active")


def parameters(model: Model) -> Parameters:
    """Parameters by class, from the model's shape alone; of a sparse model, those that are not zero."""
    return _counted(model, weights(model))


def predicting_parameters(model: Model) -> int:
    """Parameters of the layers that predict further tokens, which `parameters` leaves out."""
    return _counted(model, predicting(model)).total


def _counted(model: Model, parts: Iterable[Weights]) -> Parameters:
    counts = dict.fromkeys((field.name for field in fields(Parameters)), 0)
    for each in parts:
        counts[each.part] += round(each.matrices) + each.vectors
    moe = model.moe
    idle = counts["experts"] * (moe.experts - moe.top_k) // moe.experts if moe else 0
    return Parameters(**counts | {"active": sum(counts.values()) - idle})


def weight_bytes(model: Model) -> float:
    """Bytes of all weights, each in the format that it is stored in."""
    return sum(weight_bytes_by_class(model).values())


@lru_cache(maxsize=256)
def weight_bytes_by_class(model: Model) -> Mapping[str, float]:
    """Bytes of all weights by class of `Parameters`: `sum_tensors elements x bytes of one`, with scales and zeros."""
    stored, sizes = storage(model), defaultdict[str, float](float)
    for each in weights(model):
        matrices = each.matrices * stored.matrix(each.tensor).element_bytes if each.matrices else 0.0
        sizes[each.part] += matrices + (each.vectors + each.buffers) * stored.vector_bytes
    return sizes


def kv_bytes_per_layer(model: Model) -> float:
    """Bytes that one token takes in the KV cache of one layer, in the mean over the layers.

    A key and a value for each KV head: `kv_heads (head_dim + v_head_dim)`; MLA: the latent and the shared RoPE key,
    `kv_lora_rank + qk_rope_head_dim`.
    """
    return kv_bytes_per_token(model) / model.layers


def kv_bytes_per_token(model: Model) -> float:
    """Bytes that one token takes in the KV cache of all layers, while no sliding window drops it."""
    return sum(number * _token_bytes(model, layer) for layer, number in model.kinds)


def state_bytes(model: Model) -> float:
    """Bytes of the states of fixed size that a sequence has in all layers, however long it is."""
    return sum(number * layer_state_bytes(model, layer) for layer, number in model.kinds)


def kv_bytes(model: Model, context: Quantity) -> Quantity:
    """Bytes that a sequence of `context` tokens keeps: its KV cache, and states of fixed size.

    A layer with a window or chunks of W keeps min(n, W) tokens; entries that stand for r tokens are n / r.
    """
    each = (number * layer_kv_bytes(model, layer, context) for layer, number in model.kinds)
    return sum(each, start=0.0)


def layer_kv_bytes(model: Model, layer: Layer, context: Quantity) -> Quantity:
    """Bytes that a sequence of `context` tokens keeps in one layer."""
    return sum((mixer_bytes(model, mixer, context) for mixer in layer.mixers), start=0.0)


def mixer_bytes(model: Model, mixer: Mixer, context: Quantity) -> Quantity:
    """Bytes that a sequence of `context` tokens keeps for one mixer of a layer: keys and values, or a state."""
    if not isinstance(mixer, Attention):
        return _state_bytes(model, mixer)
    if model.patches:
        return 0.0
    element = storage(model).kv_bytes(mixer)
    tokens = context if mixer.kept is None else np.minimum(context, mixer.kept)
    return element * (mixer.cached_width * tokens + _entry_width(mixer) * context)


def _token_bytes(model: Model, layer: Layer) -> float:
    a = layer.attention
    return 0.0 if a is None or model.patches else storage(model).kv_bytes(a) * (a.cached_width + _entry_width(a))


def _entry_width(a: Attention) -> float:
    """Numbers a token of compressed entries and of an indexer's keys."""
    ratio = a.compression.ratio if a.compression else 1
    return ((a.head_dim if a.compression else 0) + (a.indexer.head_dim if a.indexer else 0)) / ratio


def layer_state_bytes(model: Model, layer: Layer) -> float:
    """Bytes of the states of fixed size that a sequence has in one layer."""
    states = (mixer for mixer in layer.mixers if not isinstance(mixer, Attention))
    return sum((_state_bytes(model, mixer) for mixer in states), start=0.0)


def _state_bytes(model: Model, mixer: LinearAttention | StateSpace) -> float:
    """The matrix or vectors of a state, and the convolution's inputs: of K taps K - 1, as wide as activations."""
    number = mixer.state if isinstance(mixer, LinearAttention) else mixer.format
    inputs = max(mixer.conv - 1, 0) * mixer.mixed_width * BYTES_PER_ELEMENT[model.dtypes.activations]
    return mixer.state_size * BYTES_PER_ELEMENT[number] + inputs
