"""Sparse feed-forward layers: which of their neurons are active at each token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError, described

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TRACES = 64
"""Of each law, so many traces are remembered: a trace takes no memory, and what is known of it goes with it."""


@dataclass(frozen=True, eq=False)
class NeuronTrace:
    """Which neurons of each feed-forward layer are active at each token.

    Attributes:
        layers: how many, numbered from 0.
        neurons: of a layer, numbered from 0.
        tokens: how many, the same in each layer.
        draw: gives of a layer, for each token in order, the active neurons, rising. A layer is the same each time, and
            does not depend on which were asked for before: a trace is never held whole, and is drawn in any order.
    """

    layers: int
    neurons: int
    tokens: int
    draw: Callable[[int], Iterator[Ints]]

    def __post_init__(self) -> None:
        at_least(layers=(self.layers, 1), neurons=(self.neurons, 1), tokens=(self.tokens, 1))

    def layer(self, index: int) -> Iterator[Ints]:
        """The active neurons of each token in a layer, in order, each of shape (active,).

        Raises:
            ConfigError: there is no such layer.
        """
        if not 0 <= index < self.layers:
            raise ConfigError("layer", found=index, expected=f"0 to {self.layers - 1}")
        return self.draw(index)


def share(trace: NeuronTrace, windows: ArrayLike) -> Floats:
    """The aggregated share s(k) for each k of `windows`, shape (windows,).

    s(k) is the mean, over all layers and all `tokens - k + 1` windows of k successive tokens, of the neurons that are
    active at any of these tokens, over all neurons (arXiv 2312.11514, section 3.1). Exact and in one pass: a neuron
    that is active at two tokens g apart, and not between them, is missing from `max(0, g - k)` windows there.

    Raises:
        ConfigError: a window that is no whole number from 1 to the tokens of the trace.
    """
    spans = np.asarray(windows)
    if spans.ndim != 1 or (spans.size and not np.issubdtype(spans.dtype, np.integer)):
        raise ConfigError("windows", found=described(str(windows)), expected="a list of whole numbers")
    if spans.size and not (spans.min() >= 1 and spans.max() <= trace.tokens):
        raise ConfigError("windows", found=f"{spans.min()} to {spans.max()}", expected=f"1 to {trace.tokens} tokens")
    apart = np.zeros(trace.tokens + 2, dtype=np.int64)  # neurons by g; active before the first token and after the last
    for layer in range(trace.layers):
        last = np.full(trace.neurons, -1, dtype=np.int64)
        for token, active in enumerate(trace.layer(layer)):
            _count(apart, token - last[active])
            last[active] = token
        _count(apart, trace.tokens - last)
    missing = np.array([apart[span:] @ np.arange(apart.size - span) for span in spans.tolist()], dtype=np.float64)
    return np.asarray(1 - missing / ((trace.tokens - spans + 1) * float(trace.layers * trace.neurons)))


def recorded(active: Sequence[Sequence[ArrayLike]], neurons: int) -> NeuronTrace:
    """A trace of data in memory: `active[layer][token]` are the neurons active there, rising.

    Raises:
        ConfigError: no layer or token, layers of different tokens, neurons out of range or not rising.
    """
    tokens = len(active[0]) if active else 0
    at_least(layers=(len(active), 1), tokens=(tokens, 1))
    parts: list[NDArray[np.unsignedinteger]] = []
    counts = np.zeros((len(active), tokens), dtype=np.int64)
    for layer, of_layer in enumerate(active):
        if len(of_layer) != tokens:
            expected = f"{tokens}, as in layer 0"
            raise ConfigError(path=f"layer {layer}", found=f"{len(of_layer)} tokens", expected=expected)
        for token, row in enumerate(of_layer):
            numbers = np.asarray(row)
            if not rising(numbers, neurons):
                found, expected = described(str(row)), f"rising numbers from 0 to {neurons - 1}"
                raise ConfigError("neurons", path=f"layer {layer}, token {token}", found=found, expected=expected)
            parts.append(numbers.astype(smallest(neurons)))
            counts[layer, token] = numbers.size
    return stored(np.concatenate(parts), offsets(counts), neurons)


def stored(indices: NDArray[np.integer], begins: Ints, neurons: int) -> NeuronTrace:
    """A trace of flat arrays: layer l, token t has the neurons `indices[begins[l, t] : begins[l, t + 1]]`.

    `begins` has shape (layers, tokens + 1). Both are kept, not copied, and not checked.
    """

    def draw(layer: int) -> Iterator[Ints]:
        bounds = begins[layer].tolist()
        for first, last in pairwise(bounds):
            yield indices[first:last].astype(np.int64)

    return NeuronTrace(begins.shape[0], neurons, begins.shape[1] - 1, draw)


def offsets(counts: Ints) -> Ints:
    """Where each token of each layer begins, and the last one ends, shape (layers, tokens + 1).

    `counts`, shape (layers, tokens), says how many neurons each has; layer follows layer.
    """
    begins = np.zeros((counts.shape[0], counts.shape[1] + 1), dtype=np.int64)
    ends = np.cumsum(counts).reshape(counts.shape)
    begins[:, 1:] = ends
    begins[1:, 0] = ends[:-1, -1]
    return begins


def rising(numbers: NDArray[Any], neurons: int) -> bool:
    """Whether these are numbers of different neurons of a layer, in order."""
    if not numbers.size:
        return numbers.ndim == 1
    inside = numbers.ndim == 1 and np.issubdtype(numbers.dtype, np.integer) and numbers[0] >= 0
    return bool(inside and numbers[-1] < neurons and np.all(numbers[1:] > numbers[:-1]))


def smallest(neurons: int) -> np.dtype[np.unsignedinteger]:
    """The smallest integers that hold a neuron's number."""
    return np.min_scalar_type(neurons - 1)


def generator(seed: int, layer: int, purpose: str) -> np.random.Generator:
    """Random numbers of one layer for one purpose: those of no other layer and no other purpose.

    Raises:
        ConfigError: a negative seed.
    """
    at_least(seed=(seed, 0))
    entropy = [seed, layer, int.from_bytes(purpose.encode(), "little")]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def words(random: np.random.Generator, count: int, bits: int) -> NDArray[np.unsignedinteger]:
    """So many random words of 16 or 32 bits, the same on every machine."""
    drawn = random.bit_generator.random_raw(-(-count * bits // 64))
    return drawn.astype("<u8", copy=False).view(f"<u{bits // 8}")[:count]


def proportions(by_layer: Sequence[float] | None, layers: int) -> Floats:
    """What each layer activates over the mean of all, shape (layers,): `by_layer` over its mean; all 1 where None.

    Raises:
        ConfigError: not one positive number a layer.
    """
    parts = np.ones(layers) if by_layer is None else np.asarray(by_layer, dtype=np.float64)
    if parts.shape != (layers,) or not np.all((parts > 0) & np.isfinite(parts)):
        found, expected = described(str(by_layer)), f"{layers} numbers above 0, one a layer"
        raise ConfigError(path="share_by_layer", found=found, expected=expected)
    return np.asarray(parts / parts.mean())


def at_least(**numbers: tuple[int, int]) -> None:
    """Raises `ConfigError` where a number is below its least."""
    for name, (number, least) in numbers.items():
        if number < least:
            raise ConfigError(path=name, found=number, expected=f"{least} or more")


def _count(counts: Ints, values: Ints) -> None:
    """Adds to `counts[v]` how often v is in `values`."""
    numbers = np.bincount(values)
    counts[: numbers.size] += numbers
