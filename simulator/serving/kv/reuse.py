"""What is used of the beginning of a prompt that lies behind memory, and which tiers are worth a way there and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.copies import Copies, Moves

Alone = Callable[[int, int, Mapping[tuple[int, int], int]], float]
"""Seconds of a prompt alone: of so many tokens, of which so many are cached, these after such copies of blocks."""


def chunk_of(scheduler: Any) -> float:
    """Tokens of a prompt that a scheduler computes in an iteration at most, where nothing else is there."""
    return float("inf") if getattr(scheduler, "whole", False) else getattr(scheduler, "tokens", float("inf"))


def alone(iterations: Iterations, copies: Copies, chunk: float) -> Alone:
    """The prompt alone in chunks of at most so many tokens, of which the first waits for the copies."""

    @lru_cache(maxsize=1 << 16)
    def computed(tokens: int, cached: int) -> tuple[float, float]:
        """Seconds of the first chunk, and of all others."""
        first = rest = 0.0
        done = cached
        while done < tokens:
            new = int(min(tokens - done, chunk))
            pairs = new * done + new * (new + 1) / 2
            seen = tuple(float(f) for cut in iterations.cuts for f in (cut.pairs(new, done), cut.keys(new, done), 0.0))
            seconds = iterations.mixed(1, new, pairs, done, 0, 0, seen=seen)
            first, rest = (seconds, rest) if done == cached else (first, rest + seconds)
            done += new
        return first, rest

    def seconds(tokens: int, cached: int, moves: Moves) -> float:
        first, rest = computed(tokens, cached)
        return copies.beside(moves, first) + rest

    return seconds


def worth(copies: Copies, alone: Alone, size: int, longest: int) -> Copies:
    """The same without room in tiers from which no prompt of the model's context is had sooner than computed anew.

    What is found in a tier was written there once, for a block lies in one tier: so `n` blocks cost the way there (from
    the tier before) and the way back. A tier counts where these together take less than computing the blocks does, for
    some n = 1, 2, 4, ... Copies that go on beside a computation are no cheaper here: another's wait for them.
    """
    blocks, before = list(copies.blocks), 0
    most = max(longest // size - 1, 1)
    numbers = [*(1 << power for power in range(most.bit_length())), most]
    for place in range(1, len(blocks)):

        def pays(n: int, way: tuple[int, int] = (before, place), back: tuple[int, int] = (place, 0)) -> bool:
            tokens = (n + 1) * size
            anew = alone(tokens, 0, {}) - alone(tokens, n * size, {})
            return copies.seconds({way: n, back: n}) < anew

        if any(pays(n) for n in numbers):
            before = place
        else:
            blocks[place] = 0
    return replace(copies, blocks=tuple(blocks))
