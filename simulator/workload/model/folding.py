"""Decoder layers as the patterns that repeat: each is built and timed once, however often it occurs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST = 256
"""Layers of a pattern that repeats, at most."""


def folded(layers: Sequence[T]) -> list[tuple[tuple[T, ...], int]]:
    """`layers` as patterns that repeat, in order: `D D D M M` is (D) x 3, (M) x 2; `M D M D` is (M D) x 2.

    At each place it takes the pattern (of at most `LONGEST` layers) whose repetitions cover the most layers, of those
    the shortest.
    """
    patterns, start = [], 0
    while start < len(layers):
        left = layers[start:]
        periods = min(len(left) // 2, LONGEST)
        alike = _alike(left, periods)
        folds = ((period, 1 + alike[period] // period) for period in range(1, periods + 1))
        period, repeat = max(
            folds, key=lambda fold: (fold[0] * fold[1] if fold[1] > 1 else 0, -fold[0]), default=(1, 1)
        )
        patterns.append((tuple(left[:period]), repeat))
        start += period * repeat
    return patterns


def _alike(layers: Sequence[T], places: int) -> list[int]:
    """From each of so many places on, how many layers are as those from the first on: the Z function."""
    alike, left, right = [len(layers)] + [0] * places, 0, 0  # from `left` to before `right`, they are as at the start
    for place in range(1, places + 1):
        count = min(right - place, alike[place - left]) if place < right else 0
        while place + count < len(layers) and layers[count] == layers[place + count]:
            count += 1
        alike[place] = count
        if place + count > right:
            left, right = place, place + count
    return alike
