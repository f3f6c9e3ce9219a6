"""Bundling by co-activation: each neuron is stored together with the one that is most often active with it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.core.rows import Ints

BLOCK = 512  # neurons counted at once


def friends(tokens: Iterable[Ints], neurons: int) -> Ints:
    """For each neuron of a layer, the other one that shares the most tokens with it; of equals, the first.

    Counts all pairs: `neurons^2` products over the tokens, in blocks.
    """
    active = [np.asarray(token) for token in tokens]
    matrix = np.zeros((len(active), neurons), dtype=np.float32)
    for row, token in zip(matrix, active, strict=True):
        row[token] = 1.0
    best = np.empty(neurons, dtype=np.int32)
    for start in range(0, neurons, BLOCK):
        shared = matrix[:, start : start + BLOCK].T @ matrix
        own = np.arange(len(shared))
        shared[own, start + own] = -1.0
        best[start : start + BLOCK] = shared.argmax(axis=1)
    return best


def reads(missing: Ints, friend: Ints) -> Ints:
    """Which of the missing neurons are read, when each read brings a neuron's friend too: all are covered.

    A neuron is left out that a friend among the missing brings; of two that are each other's friends the first is
    read. What brought a neuron may itself be left out: then the neuron is read after all.
    """
    here = np.zeros(len(friend), dtype=bool)
    here[missing] = True
    brings = friend[missing]
    skips = here[brings] & ~((friend[brings] == missing) & (brings < missing))
    here[brings[skips]] = False
    read = missing[here[missing]]
    covered = np.zeros(len(friend), dtype=bool)
    covered[read] = covered[friend[read]] = True
    return np.union1d(read, missing[~covered[missing]])
