"""Who picks which experts: routers by the popularity that they give the experts, or by a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError
from simulator.workload.routing import successive
from simulator.workload.routing.successive import Floats, Ints

LEAST = 1e-12
"""No popularity is drawn smaller than this part of all: each expert can be picked."""


class Router(Protocol):
    """Draws which experts the tokens of a step pick in a layer; every token picks `top_k` different ones.

    What all layers of a step share (its topics, its place in a recording) is drawn once, by `steps`, and handed back
    as `shared`, one row a step, for each layer. One that is hashed alike draws alike.
    """

    def __hash__(self) -> int: ...

    @property
    def experts(self) -> int:
        """Experts of a layer."""

    @property
    def top_k(self) -> int:
        """How many different ones a token picks."""

    def steps(self, random: np.random.Generator, steps: int, layers: int) -> Ints:
        """What the layers of a step share, shape (steps, ...)."""

    def counts(self, random: np.random.Generator, tokens: Ints, layer: int, shared: Ints) -> Ints:
        """Tokens of each expert, shape (steps, experts), where step i has `tokens[i]` tokens."""

    def choices(self, random: np.random.Generator, tokens: int, layer: int, shared: Ints) -> Ints:
        """The experts that each token picks, shape (steps, tokens, top_k), where each step has `tokens` tokens."""


@dataclass(frozen=True)
class Popular:
    """Tokens that pick independently, by the law of `successive`; `popularity(layer)` has a row a topic.

    The rows (topics x experts) are positive; only ratios within a row count. A step has `per_step` topics, each drawn
    uniformly; its token i follows topic i mod `per_step`. With one topic, all tokens of all steps are alike.
    """

    experts: int
    top_k: int
    popularity: Callable[[int], Floats]
    topics: int = 1
    per_step: int = 1

    def __post_init__(self) -> None:
        _check(self.experts, self.top_k)
        _least_one(topics=self.topics, per_step=self.per_step)

    def steps(self, random: np.random.Generator, steps: int, layers: int) -> Ints:
        """The topics of a step, shape (steps, per_step)."""
        return random.integers(self.topics, size=(steps, self.per_step))

    def counts(self, random: np.random.Generator, tokens: Ints, layer: int, shared: Ints) -> Ints:
        rows = self.popularity(layer)
        drawn = np.zeros((tokens.size, self.experts), dtype=np.int64)
        for slot in range(self.per_step):
            dealt = (tokens - slot + self.per_step - 1) // self.per_step
            for topic in range(self.topics):
                at = np.flatnonzero(shared[:, slot] == topic)
                drawn[at] += successive.counts(random, dealt[at], rows[topic], self.top_k)
        return drawn

    def choices(self, random: np.random.Generator, tokens: int, layer: int, shared: Ints) -> Ints:
        rows = self.popularity(layer)
        drawn = np.empty((len(shared), tokens, self.top_k), dtype=np.int64)
        for slot in range(self.per_step):
            dealt = len(range(slot, tokens, self.per_step))
            for topic in range(self.topics):
                at = np.flatnonzero(shared[:, slot] == topic)
                picks = successive.choices(random, at.size * dealt, rows[topic], self.top_k)
                drawn[at, slot :: self.per_step] = picks.reshape(at.size, dealt, self.top_k)
        return drawn


@dataclass(frozen=True, eq=False)
class Recorded:
    """A step's tokens are as many neighbours in a recording, from a random place on; after its end comes its start.

    `recording` holds the experts of each token, shape (layers, tokens, top_k): layers of the same tokens, so that a
    step reads all of them from one place. A model of more layers goes through them again, from another place.
    """

    experts: int
    recording: NDArray[np.integer]

    def __post_init__(self) -> None:
        shape = self.recording.shape
        if len(shape) != 3 or not self.recording.size:
            raise ConfigError("recording", found=f"shape {shape}", expected="layers x tokens x top_k")
        _check(self.experts, self.top_k)
        if not (self.recording.min() >= 0 and self.recording.max() < self.experts):
            found = f"experts {self.recording.min()} to {self.recording.max()}"
            raise ConfigError("recording", found=found, expected=f"experts 0 to {self.experts - 1}")

    @property
    def top_k(self) -> int:
        """How many different experts a token picks."""
        return int(self.recording.shape[2])

    def steps(self, random: np.random.Generator, steps: int, layers: int) -> Ints:
        """The first token of a step, one for each time that the model goes through the recorded layers."""
        recorded, tokens, _ = self.recording.shape
        return random.integers(tokens, size=(steps, -(-layers // recorded)))

    def counts(self, random: np.random.Generator, tokens: Ints, layer: int, shared: Ints) -> Ints:
        recorded, length, _ = self.recording.shape
        before = np.zeros((length + 1, self.experts), dtype=np.int64)  # tokens of each expert before token i
        np.add.at(before[1:], (np.arange(length)[:, np.newaxis], self.recording[layer % recorded]), 1)
        np.cumsum(before, axis=0, out=before)
        start = shared[:, layer // recorded]
        rounds, end = np.divmod(start + tokens, length)
        drawn: Ints = rounds[:, np.newaxis] * before[-1] + before[end] - before[start]
        return drawn

    def choices(self, random: np.random.Generator, tokens: int, layer: int, shared: Ints) -> Ints:
        recorded, length, _ = self.recording.shape
        places = (shared[:, layer // recorded, np.newaxis] + np.arange(tokens)) % length
        picks: Ints = self.recording[layer % recorded][places].astype(np.int64)
        return picks


def uniform(experts: int, top_k: int) -> Popular:
    """All experts equally likely."""
    return Popular(experts, top_k, lambda layer: np.ones((1, experts)))


def zipf(experts: int, top_k: int, exponent: float = 1.0, seed: int = 0) -> Popular:
    """Popularity `r^-exponent` for the expert of rank r = 1, 2, ...; each layer ranks them in an order of its own."""
    if not 0 <= exponent < np.inf:
        raise ConfigError(path="exponent", found=exponent, expected="0 or more")
    falling = np.arange(1, experts + 1, dtype=np.float64) ** -exponent
    return Popular(experts, top_k, lambda layer: _random(seed, layer).permutation(falling)[np.newaxis])


def dirichlet(experts: int, top_k: int, concentration: float = 1.0, seed: int = 0) -> Popular:
    """Popularity drawn a layer from a symmetric Dirichlet law: nearly even for a large `concentration`, else peaked.

    A popularity p has mean 1/E and variance `(1/E) (1 - 1/E) / (E concentration + 1)`.
    """
    return topics(experts, top_k, topics=1, concentration=concentration, seed=seed)


def topics(
    experts: int, top_k: int, topics: int = 8, concentration: float = 1.0, per_step: int = 1, seed: int = 0
) -> Popular:
    """Each of `topics` topics has a popularity of its own, drawn a layer as by `dirichlet`.

    The tokens of a step share its `per_step` topics, the same in all layers: their choices are correlated, and a step
    is more skewed than the mean over steps.
    """
    if not (isfinite(concentration) and concentration > 0):
        raise ConfigError(path="concentration", found=concentration, expected="more than 0")

    def popularity(layer: int) -> Floats:
        drawn = _random(seed, layer).dirichlet(np.full(experts, concentration), size=topics)
        return np.asarray(np.maximum(drawn, LEAST), dtype=np.float64)

    return Popular(experts, top_k, popularity, topics, per_step)


def popular(shares: ArrayLike, top_k: int) -> Popular:
    """Given popularities, shape (experts) or (layers, experts); layers beyond the last begin again with the first.

    Raises:
        ConfigError: a popularity that is not positive and finite.
    """
    popularity = np.atleast_2d(np.asarray(shares, dtype=np.float64))
    if popularity.ndim != 2 or not popularity.size or not np.all((popularity > 0) & np.isfinite(popularity)):
        raise ConfigError("expert popularity", found=f"{popularity}", expected="one positive number an expert")
    popularity = popularity / popularity.sum(axis=1, keepdims=True)
    return Popular(popularity.shape[1], top_k, lambda layer: popularity[layer % len(popularity), np.newaxis])


def measured(shares: ArrayLike) -> Popular:
    """Tokens that pick independently, so that expert e is picked by `shares[..., e]` of them; those add up to top_k.

    Shape (experts) or (layers, experts). The popularity is `-ln(1 - share)`: picking one after another by it is to
    order the experts by exponential times of these rates; the first top_k of them are on average those before time 1,
    which an expert is with probability `share` (Rosen, On sampling with probability proportional to size, J. Stat.
    Plan. Inference 62, 1997). Exact for top_k = 1 (there it is the share itself) and for equal shares; else the shares
    come out within 3 % for the 60 and more experts of today's models, and within 12 % for 2 of 8 very uneven ones.

    Raises:
        ConfigError: a share outside 0 to 1, or shares that do not add up to a whole number.
    """
    rates = np.asarray(shares, dtype=np.float64)
    if rates.ndim not in (1, 2) or not rates.size or not np.all((rates >= 0) & (rates < 1)):
        raise ConfigError("share of tokens", found=f"{rates}", expected="0 or more and less than 1 for each expert")
    sums = rates.sum(axis=-1)
    top_k = round(float(np.max(sums)))
    if top_k < 1 or not np.allclose(sums, top_k, rtol=0, atol=1e-3):
        raise ConfigError("shares of tokens", found=f"a sum of {sums}", expected="top_k, a whole number")
    return popular(np.maximum(rates if top_k == 1 else -np.log1p(-rates), LEAST), top_k)


def recorded(choices: ArrayLike | Sequence[ArrayLike], experts: int) -> Recorded:
    """Steps sampled from recorded `choices`, shape (layers, tokens, top_k): nothing is invented, see `Recorded`."""
    return Recorded(experts, np.asarray(choices))


ROUTERS: dict[str, Callable[..., Popular]] = {
    "uniform": uniform,
    "zipf": zipf,
    "dirichlet": dirichlet,
    "topics": topics,
}
"""Routers by name, each called with `experts`, `top_k` and what else it takes; equal seeds give equal popularities."""


def _random(seed: int, layer: int) -> np.random.Generator:
    """What draws the popularities of one layer."""
    if seed < 0:
        raise ConfigError(path="seed", found=seed, expected="0 or more")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, layer])))


def _check(experts: int, top_k: int) -> None:
    """Raises `ConfigError` unless a token can pick so many different ones."""
    _least_one(experts=experts, top_k=top_k)
    if top_k > experts:
        raise ConfigError(path="top_k", found=top_k, expected=f"{experts} or less, the number of experts")


def _least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(path=name, found=number, expected="1 or more")
