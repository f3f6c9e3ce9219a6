"""Whole numbers that a work of an iteration may hang on alone, so that its seconds are a table over one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.mapping.stage import FEATURES, Kind
from simulator.serving.routed import Array

NUMBERS: Mapping[str, tuple[int, int]] = {
    "tokens": (1, 3),
    "sequences": (0, 3),
    "decoding": (3, 3),
    "keys": (1, 5),
}
"""Each as the sum of two of `FEATURES`, of one itself: new tokens; sequences; those that decode; keys of prompts."""


def numbers_of(kind: Kind) -> tuple[str, ...]:
    """Those that tell iterations of a kind apart; where all decode, each has one new token."""
    if not kind.prompts:
        return ("tokens",)
    return tuple(NUMBERS) if kind.decoding else ("tokens", "sequences", "keys")


def directions(kind: Kind, typical: tuple[float, ...]) -> tuple[Array, dict[str, list[int]]]:
    """Points to look at, the first a start, and of each number those at which it is as large as there.

    Where sequences decode beside prompts, two numbers stay the same when one feature grows by what the other loses.
    """
    base = np.array(typical)
    moves: list[dict[int, float]] = [{2: 3e5}, {4: 5e4}, {5: 800.0}]
    moves += [{place: base[place] / 3} for place in range(len(FEATURES), len(base))]
    if kind.prompts:
        moves += [{0: 3.0}, {1: 99.0}, {1: -99.0, 5: 99.0}]
    if kind.prompts and kind.decoding:
        moves += [{1: 24.0, 3: -24.0}, {0: 24.0, 3: -24.0}, {3: 24.0}]
    points = np.tile(base, (1 + len(moves), 1))
    for point, change in zip(points[1:], moves, strict=True):
        for feature, by in change.items():
            point[feature] += by
    return points, {name: _alike(points, *NUMBERS[name]) for name in numbers_of(kind)}


def at(kind: Kind, name: str, first: int, most: int, features: int) -> Array:
    """Features of iterations in which a number is `first` to before `most`, all else as small as can be.

    Of tokens: of as many sequences, each with one.
    """
    numbers, (one, other) = np.arange(first, most, dtype=np.float64), NUMBERS[name]
    x = np.ones((len(numbers), features))
    x[:, :3], x[:, 3], x[:, 4:6] = kind.prompts, kind.decoding, 0.0
    if other == 3 and kind.decoding:
        x[:, 3] = np.maximum(numbers - (kind.prompts if one != 3 else 0), 1.0)
    else:
        x[:, one] = np.maximum(numbers, 1.0)
        if name == "tokens" and kind.prompts:
            x[:, 0] = x[:, one]
    return x


def _alike(points: Array, one: int, other: int) -> list[int]:
    """Places of points, behind the first, at which the sum of two features is what it is there."""
    sums = points[:, one] + points[:, other]
    return [int(place) for place in np.flatnonzero(sums[1:] == sums[0]) + 1]
