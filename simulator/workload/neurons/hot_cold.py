"""Two populations of neurons, hot and cold: the simplest trace that has a window law, and how far it is from one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from simulator.errors import ConfigError
from simulator.workload.neurons.trace import TRACES, Floats, Ints, NeuronTrace, at_least, generator, proportions, words
from simulator.workload.neurons.window_law import WindowLaw

COLDEST = 1e-6
"""The lowest rate that a fit tries."""

GRID, KEEP, ROUNDS = 33, 4, 20
"""A fit tries a grid of so many rates each, then one of so many old steps either side of the best, and so on."""

ALIKE = 1e-12
"""Populations whose shares differ by less, squared and summed, are one."""


@dataclass(frozen=True)
class HotCold:
    """Neurons that are active at each token independently: a share `hot` of them at `hot_rate`, the others at another.

    Raises:
        ConfigError: one of them is not between 0 and 1.
    """

    hot: float
    hot_rate: float
    cold_rate: float

    def __post_init__(self) -> None:
        for name, value in (("hot", self.hot), ("hot_rate", self.hot_rate), ("cold_rate", self.cold_rate)):
            if not 0 <= value <= 1:
                raise ConfigError(path=name, found=value, expected="0 to 1")

    def at(self, tokens: ArrayLike) -> Floats:
        """The share that k successive tokens activate: `h (1 - (1 - q_h)^k) + (1 - h) (1 - (1 - q_c)^k)`."""
        span = np.asarray(tokens, dtype=np.float64)
        return np.asarray(self.hot * _seen(self.hot_rate, span) + (1 - self.hot) * _seen(self.cold_rate, span))


def fit_hot_cold(law: WindowLaw, most: int = 30) -> HotCold:
    """The two populations whose shares are nearest to a law's: least squares of the relative error at k = 1, ..., most.

    The share of hot neurons is linear given the two rates, and these are searched on a grid of their logarithms that
    closes in on the best; the result is good to about 1e-8, and the same on each call.

    Raises:
        ConfigError: `most` is below 3, the number of parameters.
    """
    at_least(most=(most, 3))
    span = np.arange(1, most + 1)
    target = law.at(span)
    low, high = np.full(2, np.log(COLDEST)), np.zeros(2)
    best = HotCold(0.0, 1.0, COLDEST)
    for _ in range(ROUNDS):
        hot_rates, cold_rates = np.exp(np.linspace(low, high, GRID)).T
        hot = (_seen(hot_rates[:, np.newaxis], span) / target)[:, np.newaxis]
        cold = (_seen(cold_rates[:, np.newaxis], span) / target)[np.newaxis]
        apart, cooler = hot - cold, cold_rates < hot_rates[:, np.newaxis]
        square = np.sum(apart**2, axis=-1)
        ratio = np.sum(apart * (1 - cold), axis=-1) / np.maximum(square, ALIKE)
        share = np.where(square > ALIKE, np.clip(ratio, 0, 1), 0.0)
        error = np.sum((share[..., np.newaxis] * apart + cold - 1) ** 2, axis=-1)
        i, j = np.unravel_index(np.argmin(np.where(cooler, error, np.inf)), error.shape)
        best = HotCold(float(share[i, j]), float(hot_rates[i]), float(cold_rates[j]))
        centre, reach = np.log([best.hot_rate, best.cold_rate]), KEEP * (high - low) / (GRID - 1)
        low, high = centre - reach, np.minimum(centre + reach, 0)
    return best


def errors(model: HotCold, law: WindowLaw, most: int = 30) -> Floats:
    """How far the populations are from a law, relative to it, at k = 1, ..., `most`, shape (most,)."""
    span = np.arange(1, most + 1)
    return np.asarray(model.at(span) / law.at(span) - 1)


def hot_cold(
    model: HotCold, layers: int, neurons: int, tokens: int, seed: int = 0, by_layer: Sequence[float] | None = None
) -> NeuronTrace:
    """A trace of the two populations; which neurons are hot is drawn once a layer, `round(hot neurons)` of them.

    `by_layer` has what each layer activates in proportion, of any mean: layer l has both rates times
    `by_layer[l] / mean(by_layer)`. Rates are kept to 2^-33. Equal arguments give equal traces.

    Raises:
        ConfigError: fewer than 1 layer, neuron or token; a negative seed; `by_layer` not of one positive number a
            layer, or a layer where a rate would exceed 1.
    """
    at_least(layers=(layers, 1), seed=(seed, 0))
    parts = proportions(by_layer, layers)
    rates = np.outer(parts, (model.hot_rate, model.cold_rate))
    if rates.max() > 1:
        found = f"a rate of {rates.max():.4g} in layer {parts.argmax()}"
        raise ConfigError(path="share_by_layer", found=found, expected="at most 1")
    return _trace(model.hot, tuple(map(tuple, rates.tolist())), neurons, tokens, seed)


@lru_cache(maxsize=TRACES)
def _trace(share: float, rates: tuple[tuple[float, float], ...], neurons: int, tokens: int, seed: int) -> NeuronTrace:
    """One object for equal arguments, so that what is known of a trace is known of its equals; rates of each layer."""

    def draw(layer: int) -> Iterator[Ints]:
        random = generator(seed, layer, "hot and cold")
        hot = np.sort(random.permutation(neurons)[: round(share * neurons)])
        hot_below, cold_below = (round(rate * 2**32) for rate in rates[layer])
        for _ in range(tokens):
            drawn = words(random, neurons, 32)
            active = drawn < cold_below
            active[hot] = drawn[hot] < hot_below
            yield active.nonzero()[0]

    return NeuronTrace(len(rates), neurons, tokens, draw)


def _seen(rate: float | Floats, tokens: Floats | Ints) -> Floats:
    """The chance to be active at one of so many independent tokens."""
    return np.asarray(1 - (1 - np.asarray(rate)) ** tokens)
