"""How many experts a batch touches: each distinct one is read once, however many tokens chose it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.core.resource import Quantity, plain
from simulator.errors import ConfigError

Routing: TypeAlias = Callable[[Quantity], Quantity]
"""Gives the distinct experts (expected or counted) that so many tokens touch in one layer."""


def uniform(experts: int, top_k: int) -> Routing:
    """Each token picks `top_k` different ones of `experts`, all equally likely, independent of other tokens.

    A token misses a given expert with probability 1 - k/E, so B tokens touch `E (1 - (1 - k/E)^B)` of them on average:
    exact for picks without replacement within a token.
    """
    return lambda tokens: experts * (1 - (1 - top_k / experts) ** tokens)


def popularity(shares: ArrayLike) -> Routing:
    """Experts of unequal popularity: `shares[e]` is the share of tokens that pick expert e (together they are top_k).

    B tokens touch `sum_e (1 - (1 - s_e)^B)` on average. The sum is concave in the shares, so that skew gives fewer
    distinct experts than uniform routing.

    Raises:
        ConfigError: a share outside 0 to 1.
    """
    share = np.asarray(shares, dtype=np.float64)
    if share.ndim != 1 or not np.all((share >= 0) & (share <= 1)):
        raise ConfigError("expert popularity", found=f"shares {share}", expected="one share in 0..1 an expert")

    def distinct(tokens: Quantity) -> Quantity:
        missed: NDArray[np.float64] = (1 - share) ** np.asarray(tokens, dtype=np.float64)[..., np.newaxis]
        return plain((1 - missed).sum(axis=-1))

    return distinct


def counted(tokens_of_expert: ArrayLike) -> Routing:
    """A recorded or drawn step: the tokens of each expert, shape (..., experts); those with none are not read.

    Leading axes (steps) broadcast with the batch's arrays.
    """
    touched = plain(np.count_nonzero(np.asarray(tokens_of_expert), axis=-1).astype(np.float64))
    return lambda tokens: touched


def tokens_of_expert(choices: ArrayLike, experts: int) -> NDArray[np.int64]:
    """How often each of `experts` occurs among the recorded `choices` (tokens x top_k expert indexes).

    Raises:
        ConfigError: an index that is no integer or outside 0 to `experts` - 1.
    """
    chosen = np.asarray(choices)
    if chosen.size and not (np.issubdtype(chosen.dtype, np.integer) and chosen.min() >= 0 and chosen.max() < experts):
        raise ConfigError("expert index", found=f"{chosen.min()} to {chosen.max()}", expected=f"0 to {experts - 1}")
    return np.bincount(chosen.ravel().astype(np.int64), minlength=experts)
