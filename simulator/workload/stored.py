"""How many bytes the elements of weights and of KV caches take in a model's formats, and what computes with them."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from simulator.workload.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.format import BLOCKS, WIDE, Block, Rule
from simulator.workload.formats import FORMATS, KV

if TYPE_CHECKING:
    from simulator.workload.model import Dtypes, Model


def element_bytes(model: Model, tensor: str) -> float:
    """Bytes of one element of a matrix, with its share of scales and zeros; in the mean over the layers.

    `tensor` is the name of the operator that reads it, such as `ffn.up_proj`. Of a table that is the head too, both
    read the same: the head's name is `embedding` then.
    """
    return sum(share * block.bytes for share, block in _shares(model, tensor, BLOCKS[_wide(model.dtypes)]))


def vector_bytes(model: Model) -> float:
    """Bytes of one element of a norm or a bias."""
    return BYTES_PER_ELEMENT[FORMATS[model.dtypes.weights].vectors or _wide(model.dtypes)]


def product_dtype(model: Model, tensor: str) -> Dtype:
    """What products with a matrix compute in: as the format says; of one that is wide in all layers, as activations."""
    widest = Block(0)
    narrow = any(share and block is not widest for share, block in _shares(model, tensor, widest))
    return model.dtypes.products if narrow else model.dtypes.activations


def kv_element_bytes(model: Model) -> float:
    """Bytes of one element of the KV cache; scales of a head count with it (MLA: of a token's latent)."""
    block, attention = KV[model.dtypes.kv], model.attention
    if block.group is None and block.shared:
        row = attention.mla.kv_lora_rank + attention.mla.qk_rope_head_dim if attention.mla else attention.head_dim
        block = replace(block, group=row)
    return block.bytes


def _shares(model: Model, tensor: str, wide: Block) -> tuple[tuple[float, Block], ...]:
    """The share of the layers in which a matrix is stored so, for each of its blocks; `wide` for what stays wide."""
    dtypes, left, shares = model.dtypes, 1.0, []
    for rule in _rules(dtypes):
        if left and fnmatchcase(tensor, rule.tensor) and rule.when(model):
            share = min(left, rule.layers(model.layers) / model.layers)
            shares.append((share, wide if rule.block == WIDE else BLOCKS[rule.block]))
            left -= share
    block = FORMATS[dtypes.weights].block
    if dtypes.group:
        block = replace(block, group=dtypes.group)
    block = Block(8 * (block.bytes + model.weight_scales))
    return (*shares, (left, block)) if left else tuple(shares)


@lru_cache(maxsize=256)
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
