"""Number formats, and the bytes that one element takes."""

from __future__ import annotations

from typing import Literal, TypeAlias

Dtype: TypeAlias = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp6", "fp4", "int4"]

BYTES_PER_ELEMENT: dict[Dtype, float] = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp6": 0.75,
    "fp4": 0.5,
    "int4": 0.5,
}
"""Elements alone: the scales of a block format are not counted (fp8 with one fp32 a 128 x 128 block: 0.02 % more)."""

INDEX_BYTES = 4.0
"""A token id or an expert id, as int32."""
