"""How unevenly the tokens of a step fall on its experts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def busiest_over_mean(counts: ArrayLike) -> Array:
    """Tokens of the busiest expert over the mean of all: 1 is even, `experts` is all on one. NaN of no tokens.

    `counts` has shape (..., experts), here and below; the result has shape (...).
    """
    tokens = np.asarray(counts, dtype=np.float64)
    return _over(tokens.max(axis=-1), tokens.mean(axis=-1))


def idle(counts: ArrayLike) -> Array:
    """The share of experts that no token picked, 0 to 1."""
    return np.asarray(np.mean(np.asarray(counts) == 0, axis=-1), dtype=np.float64)


def effective_experts(counts: ArrayLike) -> Array:
    """`exp(H)` of the shares of tokens, H their entropy in nats: so many even experts would be as uneven. 1 or more."""
    tokens = np.asarray(counts, dtype=np.float64)
    share = _over(tokens, tokens.sum(axis=-1, keepdims=True))
    return np.asarray(np.exp(-np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=-1)), dtype=np.float64)


def gini(counts: ArrayLike) -> Array:
    """Gini's coefficient: `sum_i (2 i - E - 1) c_i / (E sum c)` over counts sorted upwards, i from 1 to E.

    0 is even, `1 - 1/E` is all on one. NaN of no tokens.
    """
    tokens = np.sort(np.asarray(counts, dtype=np.float64), axis=-1)
    experts = tokens.shape[-1]
    weight = 2.0 * np.arange(1, experts + 1) - experts - 1
    return _over(tokens @ weight, experts * tokens.sum(axis=-1))


def even(picks: int, experts: int) -> NDArray[np.int32]:
    """Tokens of each expert, shape (experts,), of so many picks that fall as evenly as whole ones can."""
    return ((np.arange(experts) + picks) // experts).astype(np.int32)


def _over(part: Array, whole: Array) -> Array:
    """`part / whole`, NaN where that is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0), dtype=np.float64)
