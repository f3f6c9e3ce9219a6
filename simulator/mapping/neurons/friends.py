"""Bundling by co-activation: each neuron is stored together with the one that is most often active with it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.core.rows import Ints

BLOCK = 256  # neurons compared with at once


def friends(tokens: Iterable[Ints], neurons: int) -> Ints:
    """For each neuron of a layer, the other one that shares the most tokens with it; of equals, the first.

    Compares with one block of neurons after another, in their order. A neuron is settled once another shares all its
    tokens: later ones cannot share more. Nor can one that is active no more often than what all unsettled ones share.
    """
    from scipy.sparse import csr_array  # loaded where co-activation is counted alone

    active = list(tokens)
    tokens_of = np.zeros((neurons, len(active)), dtype=np.float32)
    for token, rows in enumerate(active):
        tokens_of[rows, token] = 1.0
    often, sparse = tokens_of.sum(axis=1), csr_array(tokens_of)
    friend, shares = np.zeros(neurons, dtype=np.int32), np.full(neurons, -1.0, dtype=np.float32)
    for start in range(0, neurons, BLOCK):
        unsettled = np.flatnonzero(shares < often)
        least = shares[unsettled].min(initial=np.inf)
        others = start + np.flatnonzero(often[start : start + BLOCK] > least)
        if len(others):
            shared = sparse[unsettled] @ tokens_of[others].T.copy()
            shared[unsettled[:, np.newaxis] == others] = -1.0
            first = shared.argmax(axis=1)
            most = shared[np.arange(len(first)), first]
            better = most > shares[unsettled]
            friend[unsettled[better]], shares[unsettled[better]] = others[first[better]], most[better]
    return friend


def reads(missing: Ints, friend: Ints) -> Ints:
    """Which of the missing neurons are read, when each read brings a neuron's friend too: all are covered.

    A neuron is left out that a friend among the missing brings; of two that are each other's friends the first is
    read. What brought a neuron may itself be left out: then the neuron is read after all.
    """
    read = np.zeros(len(friend), dtype=bool)
    read[missing] = True
    brings = friend[missing]
    skips = read[brings] & ~((friend[brings] == missing) & (brings < missing))
    read[brings[skips]] = False
    covered = read.copy()
    covered[friend[read]] = True
    read[missing[~covered[missing]]] = True
    return read.nonzero()[0]
