"""What a method of quantisation says of a model's matrices."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

ROW, MATRIX = -1, -2
"""In place of a group's size: all of a row, or all of a matrix in the mean (which shares a codebook)."""


class Quantised(NamedTuple):
    """What a method says.

    Attributes:
        weights: the format.
        modules: what the config leaves as it is, under the key `key`.
        kept: matrices that stay wide beside these; None: those that the format leaves so.
        group: weights that share a scale; None: as the format has it; `ROW`, `MATRIX`.
        others: modules in other formats, by format.
        kv, compute: formats of the KV cache and of products, where the config says one.
        beside: bytes of the whole model beside the format's own, such as outliers.
    """

    weights: str
    modules: list[str]
    key: str = "modules_to_not_convert"
    kept: tuple[str, ...] | None = None
    group: int | None = None
    kv: str | None = None
    compute: str | None = None
    others: Mapping[str, list[str]] = MappingProxyType({})
    beside: float = 0.0
