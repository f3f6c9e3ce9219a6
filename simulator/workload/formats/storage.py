"""How many bytes the elements of weights and of KV caches take in a model's formats, and what computes with them."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.formats.format import BLOCKS, WIDE, Block, Rule
from simulator.workload.formats.named import FORMATS, KV

if TYPE_CHECKING:
    from simulator.workload.model.form import Dtypes, Model


class Matrix(NamedTuple):
    """Bytes of one element with its share of scales and zeros, in the mean over the layers; what products compute in.

    Products with a matrix that is wide in all layers compute as activations.
    """

    element_bytes: float
    dtype: Dtype


class Storage:
    """What a model's formats make of each of its tensors.

    Attributes:
        vector_bytes: of one element of a norm or a bias.
        kv_bytes: of one element of the KV cache, with its share of a scale a head (MLA: of a token's latent).
    """

    def __init__(self, model: Model) -> None:
        wide = _wide(model.dtypes)
        self.vector_bytes = BYTES_PER_ELEMENT[FORMATS[model.dtypes.weights].vectors or wide]
        self.kv_bytes = _kv_block(model).bytes
        self._model, self._wide, self._rules = model, BLOCKS[wide], _rules(model.dtypes)
        self._matrices: dict[str, Matrix] = {}

    def matrix(self, tensor: str) -> Matrix:
        """Of the matrix that an operator of this name reads, such as `ffn.up_proj`.

        A table that is the head too is `embedding` in both of its uses.
        """
        known = self._matrices.get(tensor)
        if known is None:
            known = self._matrices[tensor] = self._matrix(tensor)
        return known

    def _matrix(self, tensor: str) -> Matrix:
        """By the first rule that fits, in its layers; by the next in those that it leaves; else by the format."""
        model, left, size, narrow = self._model, 1.0, 0.0, 0.0
        for rule in self._rules:
            if left and fnmatchcase(tensor, rule.tensor) and rule.when(model):
                share = min(left, rule.layers(model.layers) / model.layers)
                size += share * (self._wide if rule.block == WIDE else BLOCKS[rule.block]).bytes
                narrow += 0.0 if rule.block == WIDE else share
                left -= share
        if left:
            size += left * (_block(model.dtypes).bytes + model.weight_scales)
            narrow += left
        return Matrix(size, model.dtypes.products if narrow else model.dtypes.activations)


@lru_cache(maxsize=256)
def storage(model: Model) -> Storage:
    """What a model's formats make of each of its tensors."""
    return Storage(model)


def element_bytes(model: Model, tensor: str) -> float:
    """Bytes of one element of a matrix (`Storage.matrix`)."""
    return storage(model).matrix(tensor).element_bytes


def _block(dtypes: Dtypes) -> Block:
    block = FORMATS[dtypes.weights].block
    return replace(block, group=dtypes.group) if dtypes.group else block


def _kv_block(model: Model) -> Block:
    block, attention = KV[model.dtypes.kv], model.attention
    if block.group or not block.shared:
        return block
    latent = attention.mla and attention.mla.kv_lora_rank + attention.mla.qk_rope_head_dim
    return replace(block, group=latent or attention.head_dim)


def _rules(dtypes: Dtypes) -> tuple[Rule, ...]:
    """Those of the format; what a model says stays wide takes the place of what the format leaves so."""
    rules = FORMATS[dtypes.weights].rules
    if dtypes.wide is None:
        return rules
    own = (Rule(name, WIDE, partial(_part, share)) for name, share in dtypes.wide)
    return (*own, *(rule for rule in rules if rule.block != WIDE))


def _part(share: float, layers: int) -> float:
    return share * layers


def _wide(dtypes: Dtypes) -> Dtype:
    return dtypes.activations if BYTES_PER_ELEMENT[dtypes.activations] >= 2 else "bf16"
