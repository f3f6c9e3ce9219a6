"""How many bytes the elements of weights and of KV caches take in a model's formats, and what computes with them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.formats.format import BLOCKS, WIDE, Block, Rule
from simulator.workload.formats.named import FORMATS, KV

if TYPE_CHECKING:
    from simulator.workload.model.attention import Attention
    from simulator.workload.model.form import Dtypes, Model


class Matrix(NamedTuple):
    """Bytes of one element with its share of scales and zeros, in the mean over the layers; what products compute in.

    `format` is that of the weights, or of activations where the matrix is wide in all layers.

    Products with a matrix that is wide in all layers compute as activations.
    """

    element_bytes: float
    dtype: Dtype
    format: str


class Storage:
    """What a model's formats make of each of its tensors.

    Attributes:
        vector_bytes: of one element of a norm or a bias.
    """

    def __init__(self, model: Model) -> None:
        wide = _wide(model.dtypes)
        self.vector_bytes = BYTES_PER_ELEMENT[FORMATS[model.dtypes.weights].vectors or wide]
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

    def kv_bytes(self, attention: Attention) -> float:
        """Of one element of the KV cache of a layer, with its share of a scale a head (MLA: of a token's latent)."""
        block = KV[self._model.dtypes.kv]
        if block.shared and not block.group:
            block = replace(block, group=attention.cached_width if attention.mla else attention.head_dim)
        return block.bytes

    def _matrix(self, tensor: str) -> Matrix:
        """By the first rule that fits, in its layers; by the next in those that it leaves; else by the format.

        What the model stores in a format of its own goes before all rules. Products compute as most of its layers do.
        """
        model, left, size = self._model, 1.0, 0.0
        shares: dict[Dtype, float] = defaultdict(float)
        wide, own = model.dtypes.activations, model.dtypes.products
        for rule in self._rules:
            if left and fnmatchcase(tensor, rule.tensor) and rule.when(model):
                share = min(left, rule.layers(model.layers) / model.layers)
                block, computes = self._stored(rule)
                size += share * block.bytes
                shares[computes] += share
                left -= share
        if left:
            size += left * (_block(model.dtypes).bytes + model.weight_scales)
            shares[own] += left
        narrow = {dtype: share for dtype, share in shares.items() if dtype != wide and share}
        if not narrow:
            return Matrix(size, wide, wide)
        return Matrix(size, max(narrow, key=lambda dtype: narrow[dtype]), model.dtypes.weights)

    def _stored(self, rule: Rule) -> tuple[Block, Dtype]:
        """What a rule stores a matrix as, and what products with it compute in."""
        dtypes = self._model.dtypes
        if rule.block == WIDE:
            return self._wide, dtypes.activations
        if rule.block in BLOCKS:
            return BLOCKS[rule.block], dtypes.products
        other = FORMATS[rule.block.removeprefix(MIXED)]
        return other.block, other.compute or dtypes.activations


MIXED = "format:"
"""In place of a block: a format, behind it by name, of its own block and computing."""


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


def _rules(dtypes: Dtypes) -> tuple[Rule, ...]:
    """Those of the format; what a model says stays wide takes the place of what the format leaves so."""
    rules = FORMATS[dtypes.weights].rules
    mixed = tuple(Rule(name, f"{MIXED}{format}", partial(_part, share)) for name, format, share in dtypes.mixed)
    if dtypes.wide is None:
        return (*mixed, *rules)
    own = (Rule(name, WIDE, partial(_part, share)) for name, share in dtypes.wide)
    return (*mixed, *own, *(rule for rule in rules if rule.block != WIDE))


def _part(share: float, layers: int) -> float:
    return share * layers


def _wide(dtypes: Dtypes) -> Dtype:
    return dtypes.activations if BYTES_PER_ELEMENT[dtypes.activations] >= 2 else "bf16"
