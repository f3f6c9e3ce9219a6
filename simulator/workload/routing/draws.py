"""How many tokens each expert gets: drawn step by step and layer by layer, never a mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError
from simulator.workload.routing.routers import Router
from simulator.workload.routing.successive import BYTES, Ints

COUNTS, POOL = 1, 2  # what is drawn, beside the seed: the two never share random numbers
SHARED = 0  # in place of a layer and a block: what the layers of a step share


def counts(router: Router, tokens: ArrayLike, layers: int, seed: int = 0) -> NDArray[np.int32]:
    """Tokens of each expert, shape (steps, layers, experts), for steps of `tokens` tokens (shape (steps,)).

    Each step and layer is a draw of its own, of the exact law of `router`: `counts[i, l]` adds up to
    `tokens[i] top_k`, and no expert has more than `tokens[i]`. Equal arguments give equal counts; a step's depend on
    the whole call, not on that step alone.

    Raises:
        ConfigError: tokens that are no list of whole numbers of 0 or more; fewer than 1 layer; a negative seed.
    """
    numbers = _tokens(tokens)
    _at_least(layers=(layers, 1), seed=(seed, 0))
    shared = router.steps(_random(seed, COUNTS, SHARED, SHARED), numbers.size, layers)
    drawn = np.empty((numbers.size, layers, router.experts), dtype=np.int32)
    rows = max(1, BYTES // (64 * router.experts))
    for block, first in enumerate(range(0, numbers.size, rows)):
        part = slice(first, first + rows)
        for layer in range(layers):
            random = _random(seed, COUNTS, 1 + layer, block)
            drawn[part, layer] = router.counts(random, numbers[part], layer, shared[part])
    return drawn


@dataclass(frozen=True, eq=False)
class Pool:
    """The choices of the first `most` tokens of many draws, so that steps of all sizes share their draws.

    `choices` has shape (draws, layers, most, top_k), in the smallest integers that hold an expert's number.
    """

    experts: int
    choices: NDArray[np.unsignedinteger]

    @property
    def most(self) -> int:
        """Tokens of the largest step."""
        return int(self.choices.shape[2])

    def counts(self, tokens: int, after: int = 0) -> NDArray[np.int32]:
        """Tokens of each expert, shape (draws, layers, experts), among the first `tokens` of each draw.

        Nested: one token more adds `top_k` to each draw and takes nothing away; so those that come `after` the first
        few may be counted alone. Counted anew at each call.

        Raises:
            ConfigError: more tokens than the pool holds, or a negative number.
        """
        if not 0 <= after <= tokens <= self.most:
            found, least = (tokens, 0) if after <= 0 else (f"{tokens} after {after}", after)
            raise ConfigError("tokens of a step", found=found, expected=f"{least} to {self.most}, which the pool holds")
        draws, layers, _, top_k = self.choices.shape
        drawn = np.empty((draws, layers, self.experts), dtype=np.int32)
        number = (tokens - after) * top_k
        rows = max(1, BYTES // (16 * layers * max(self.experts, number)))
        for first in range(0, draws, rows):
            part = self.choices[first : first + rows, :, after:tokens]
            picked = part.reshape(len(part) * layers, number)
            bins = picked + np.arange(len(picked), dtype=np.int64)[:, np.newaxis] * self.experts
            counted = np.bincount(bins.ravel(), minlength=len(picked) * self.experts)
            drawn[first : first + rows] = counted.reshape(-1, layers, self.experts)
        return drawn


def pool(router: Router, most: int, layers: int, draws: int = 2048, seed: int = 0) -> Pool:
    """Draws once which experts `most` tokens pick, for each of `draws` draws and each layer.

    Raises:
        ConfigError: fewer than 1 token, layer or draw; a negative seed.
    """
    _at_least(most=(most, 1), layers=(layers, 1), draws=(draws, 1), seed=(seed, 0))
    shared = router.steps(_random(seed, POOL, SHARED, SHARED), draws, layers)
    choices = np.empty((draws, layers, most, router.top_k), dtype=np.min_scalar_type(router.experts - 1))
    rows = max(1, BYTES // (32 * most * router.top_k))
    for block, first in enumerate(range(0, draws, rows)):
        part = slice(first, first + rows)
        for layer in range(layers):
            random = _random(seed, POOL, 1 + layer, block)
            choices[part, layer] = router.choices(random, most, layer, shared[part])
    choices.setflags(write=False)
    return Pool(router.experts, choices)


@lru_cache(maxsize=16)
def pooled(router: Router, tokens: int, layers: int, seed: int = 0) -> NDArray[np.int32]:
    """The counts of a pool of steps of `tokens` tokens; whoever asks for the same shares them, so that none may write.

    Raises:
        ConfigError: as `pool`.
    """
    counted = pool(router, tokens, layers, seed=seed).counts(tokens)
    counted.setflags(write=False)
    return counted


def _random(seed: int, what: int, layer: int, block: int) -> np.random.Generator:
    """Random numbers by their place and not by their turn: nobody who draws elsewhere shifts them."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, what, layer, block])))


def _tokens(tokens: ArrayLike) -> Ints:
    numbers = np.asarray(tokens)
    if numbers.ndim != 1 or (numbers.size and not (np.issubdtype(numbers.dtype, np.integer) and numbers.min() >= 0)):
        raise ConfigError("tokens of a step", found=f"{numbers}", expected="a list of whole numbers, 0 or more")
    return numbers.astype(np.int64)


def _at_least(**numbers: tuple[int, int]) -> None:
    for name, (number, least) in numbers.items():
        if number < least:
            raise ConfigError(path=name, found=number, expected=f"{least} or more")
