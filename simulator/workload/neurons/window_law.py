"""The published window law of active neurons, `s(k) = s1 k^p`, and traces that follow it exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from typing import overload

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.neurons.trace import TRACES, Floats, Ints, NeuronTrace, at_least, generator, proportions, words

WORD = 2**16
"""Gaps are looked up by a random word of 16 bits."""

BLOCK = 2**16
"""Gaps drawn at a time."""

FAR = 2**53
"""No window is longer: from here on a double does not hold every whole number."""


@dataclass(frozen=True)
class WindowLaw:
    """The share of a layer's neurons that k successive tokens activate between them: `s(k) = min(1, s1 k^p)`.

    arXiv 2312.11514, Figure 4 and section 3.1, for the neurons that its predictors say are active.

    Attributes:
        share: s1, of one token.
        exponent: p; below 1, since a token activates again some of what the tokens before it did.

    Raises:
        ConfigError: unless `0 < share <= 1` and `0 < exponent <= 1`.
    """

    share: float
    exponent: float

    def __post_init__(self) -> None:
        for name, value in (("share", self.share), ("exponent", self.exponent)):
            if not 0 < value <= 1:
                raise ConfigError(f"window law: {name}", found=value, expected="more than 0, at most 1")

    @classmethod
    def fitted(cls, window: int, share: float, increment: float) -> WindowLaw:
        """The law with `s(window) = share` and `s(window + 1) - s(window) = increment`.

        `p = ln((s + d) / s) / ln((w + 1) / w)` and `s1 = s / w^p`.

        Raises:
            ConfigError: a window below 1; a share outside 0 to 1; an increment that is not above 0, takes the share
                above 1, or above `share / window`, where p would exceed 1.
        """
        if window < 1:
            raise ConfigError(path="window", found=window, expected="1 or more tokens")
        if not 0 < share < 1:
            raise ConfigError(path="share", found=share, expected="more than 0, less than 1")
        bound, why = min((1 - share, "1 - share"), (share / window, "share / window"))
        if not 0 < increment <= bound:
            raise ConfigError(path="increment", found=increment, expected=f"more than 0, at most {bound:.6g} ({why})")
        exponent = min(1.0, log((share + increment) / share) / log((window + 1) / window))
        return cls(share / float(window) ** exponent, exponent)

    @overload
    def at(self, tokens: float) -> float: ...
    @overload
    def at(self, tokens: NDArray[np.integer]) -> Floats: ...
    def at(self, tokens: float | NDArray[np.integer]) -> float | Floats:
        """s(k) of `tokens` successive tokens."""
        share = np.minimum(1.0, self.share * np.power(np.asarray(tokens, dtype=np.float64), self.exponent))
        return np.asarray(share) if isinstance(tokens, np.ndarray) else float(share)

    def increment(self, tokens: int) -> float:
        """`s(k + 1) - s(k)`: the share of neurons that a token activates and the k tokens before it did not."""
        return self.at(tokens + 1) - self.at(tokens)

    @property
    def limit(self) -> int:
        """The last k at which `s1 k^p` is at most 1; at most `FAR`."""
        last = int(exp(min(-log(self.share) / self.exponent, log(FAR))))
        while self.share * float(last) ** self.exponent > 1:
            last -= 1
        while last < FAR and self.share * float(last + 1) ** self.exponent <= 1:
            last += 1
        return last


def survival(law: WindowLaw, most: int | None = None) -> Floats:
    """The chance that more than k tokens lie from one activation of a neuron to its next, k = 0, 1, ..., `law.limit`.

    `P(gap > k) = (k + 1)^p - k^p`; at `law.limit` it is what is left of `sum_k P(gap > k) = 1 / s1`, the mean gap, and
    after that it is 0. With `most`, only the first so many of these `law.limit + 1` terms.

    A neuron whose gaps are drawn so, independently, is active at a share s1 of all tokens. In a stationary process,
    what one token adds to the k before it are the neurons whose last activation was more than k tokens ago:
    `s(k + 1) - s(k) = s1 P(gap > k)`, so that the shares are exactly `s1 k^p` up to `law.limit`, and 1 after it. From
    any token, the next activation is k tokens away with the chance `s1 P(gap > k)` (the forward recurrence time).
    """
    limit = law.limit
    terms = limit + 1 if most is None else min(most, limit + 1)
    after = np.arange(1, terms, dtype=np.float64)
    left = np.ones(terms)
    left[1:] = after**law.exponent * np.expm1(law.exponent * np.log1p(1 / after))
    if terms == limit + 1:
        left[limit] = max(0.0, 1 / law.share - float(limit) ** law.exponent)
    return left


def renewal(
    law: WindowLaw, layers: int, neurons: int, tokens: int, seed: int = 0, by_layer: Sequence[float] | None = None
) -> NeuronTrace:
    """A trace that has the law: each neuron is active with independent gaps of `survival`, from a stationary start.

    `by_layer` has what each layer activates in proportion, of any mean: layer l has `s1 by_layer[l] / mean(by_layer)`
    and the same p. The mean of the layers then has the law up to the smallest of their limits. Equal arguments give
    equal traces.

    Raises:
        ConfigError: fewer than 1 layer, neuron or token; a negative seed; `by_layer` not of one positive number a
            layer, or a layer whose share of one token would exceed 1.
    """
    at_least(layers=(layers, 1), seed=(seed, 0))
    shares = law.share * proportions(by_layer, layers)
    if shares.max() > 1:
        found = f"a share of {shares.max():.4g} at one token in layer {shares.argmax()}"
        raise ConfigError(path="share_by_layer", found=found, expected="at most 1")
    return _trace(tuple(WindowLaw(share, law.exponent) for share in shares.tolist()), neurons, tokens, seed)


@lru_cache(maxsize=TRACES)
def _trace(laws: tuple[WindowLaw, ...], neurons: int, tokens: int, seed: int) -> NeuronTrace:
    """One object for equal arguments, so that what is known of a trace is known of its equals; a law for each layer."""
    return NeuronTrace(
        len(laws), neurons, tokens,
        lambda layer: _renewed(laws[layer], neurons, tokens, generator(seed, layer, "gaps")),
    )  # fmt: skip


def _renewed(law: WindowLaw, neurons: int, tokens: int, random: np.random.Generator) -> Iterator[Ints]:
    """The active neurons of each token in one layer.

    `wait` is how many tokens each neuron still waits. Terms of `survival` after `tokens` do not matter: a gap of
    `tokens + 1` stands for all that long, which end after the trace.
    """
    left = survival(law, tokens + 1)
    gaps = _Gaps(left, random)
    start = np.searchsorted(np.cumsum(law.share * left), random.random(neurons), side="right")
    wait = start.astype(gaps.dtype)
    for _ in range(tokens):
        active = (wait == 0).nonzero()[0]
        wait[active] = gaps.draw(active.size)
        wait -= 1
        yield active


class _Gaps:
    """Draws gaps with the chances `left[k] = P(gap > k)`, none longer than `len(left)`.

    A gap g of chance c fills `floor(2^16 c)` places of a table that a random word is looked up in. Words that meet
    none of them, about `len(left) / 2` of 2^16, go to an inverse CDF of what the floors left out: the law is exact.
    """

    def __init__(self, left: Floats, random: np.random.Generator) -> None:
        parts = WORD * np.maximum(0.0, -np.diff(left, append=0.0))
        places = np.floor(parts).astype(np.int64)
        self.dtype = np.min_scalar_type(left.size + 1)
        self.table = np.zeros(WORD, dtype=self.dtype)
        self.table[: places.sum()] = np.repeat(np.arange(1, left.size + 1), places)
        self.rest = np.cumsum(parts - places)
        self.random = random
        self.ahead = self.table[:0]

    def draw(self, count: int) -> NDArray[np.unsignedinteger]:
        """The next `count` gaps."""
        if count > self.ahead.size:
            self.ahead = np.concatenate([self.ahead, self._block(max(count, BLOCK))])
        drawn, self.ahead = self.ahead[:count], self.ahead[count:]
        return drawn

    def _block(self, count: int) -> NDArray[np.unsignedinteger]:
        gaps = self.table.take(words(self.random, count, 16))
        late = np.flatnonzero(gaps == 0)
        gap = np.searchsorted(self.rest, self.random.random(late.size) * self.rest[-1], side="right")
        gaps[late] = 1 + np.minimum(gap, self.rest.size - 1)
        return gaps
