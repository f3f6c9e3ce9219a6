"""The law by which a token picks its experts: one after another, each by popularity among those not yet picked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import comb

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SETS = 4096
"""Up to so many sets of `top_k` experts, each set's probability is computed and the sets are drawn as such."""
ROUNDS = 16
"""How often a pick that hit an expert of the same token is drawn again before the rest are drawn among the others."""
CELLS = 1024
"""Of the cumulative popularity, by which so many and more picks are drawn at once."""
BYTES = 64 << 20
"""About the largest array that is made at once."""


def counts(random: np.random.Generator, tokens: Ints, popularity: Floats, top_k: int) -> Ints:
    """Tokens of each expert, shape (steps, experts), where `tokens[i]` tokens pick in step i, each on its own.

    Exact, and the tokens themselves are drawn only where nothing shorter is: for equal popularity, expert after expert
    (`_even`); for few sets of `top_k` experts, a multinomial over the sets.
    """
    if _equal(popularity):
        return _even(random, tokens, popularity.size, top_k)
    if comb(popularity.size, top_k) <= SETS:
        return _by_sets(random, tokens, *sets(popularity, top_k))
    drawn = np.zeros((tokens.size, popularity.size), dtype=np.int64)
    most = max(1, BYTES // (8 * top_k))
    for step, left in enumerate(tokens.tolist()):
        for first in range(0, left, most):
            picks = choices(random, min(most, left - first), popularity, top_k)
            drawn[step] += np.bincount(picks.ravel(order="K"), minlength=popularity.size)
    return drawn


def choices(random: np.random.Generator, tokens: int, popularity: Floats, top_k: int) -> Ints:
    """The experts that each of `tokens` tokens picks, in the order of picking, shape (tokens, top_k).

    Pick j is drawn from all experts and drawn again while it hits one of picks 0..j-1: the conditional law. After
    `ROUNDS` rounds, what is left (one expert has nearly all the popularity) is drawn among the others as the smallest
    of exponential times with the popularities as rates.
    """
    experts = popularity.size
    draw = _drawing(random, popularity, tokens)
    picks = np.empty((top_k, tokens), dtype=np.int64)
    for j in range(top_k):
        picks[j] = draw(tokens)
        pending = np.flatnonzero(_is_among(picks[j], picks[:j]))
        for _ in range(1, ROUNDS):
            if not pending.size:
                break
            picks[j, pending] = drawn = draw(pending.size)
            pending = pending[_is_among(drawn, picks[:j, pending])]
        most = max(1, BYTES // (8 * experts))
        for first in range(0, pending.size, most):
            rows = pending[first : first + most]
            times = random.standard_exponential((rows.size, experts)) / popularity
            np.put_along_axis(times, picks[:j, rows].T, np.inf, axis=1)
            picks[j, rows] = times.argmin(axis=1)
    return picks.T


def _is_among(drawn: Ints, before: Ints) -> NDArray[np.bool_]:
    """Whether each pick is one of those `before` it, shape (picks, tokens)."""
    among = np.zeros(drawn.size, dtype=np.bool_)
    for picks in before:
        among |= picks == drawn
    return among


def _drawing(random: np.random.Generator, popularity: Floats, most: int) -> Callable[[int], Ints]:
    """What draws up to `most` experts by their popularity, each on its own: by a search in the cumulative popularity.

    Of many, most are found without one: `CELLS` equal cells tell the expert of each place in them that is below the
    first bound between two experts there.
    """
    experts, cumulative = popularity.size, np.cumsum(popularity)
    if _equal(popularity):
        return lambda number: random.integers(experts, size=number)

    def search(at: Floats) -> Ints:
        picked: Ints = np.minimum(np.searchsorted(cumulative, at, side="right"), experts - 1)
        return picked

    edges = np.linspace(0, 1 - 1e-12, CELLS + 1) * cumulative[-1]  # a little early, whatever is rounded below
    first = search(edges) if most >= CELLS else None

    def draw(number: int) -> Ints:
        at = random.random(number) * cumulative[-1]
        if first is None or number < CELLS:
            return search(at)
        drawn: Ints = first[(at * (CELLS / cumulative[-1])).astype(np.int64)]
        beyond = np.flatnonzero(at >= cumulative[drawn])
        drawn[beyond] = search(at[beyond])
        return drawn

    return draw


def sets(popularity: Floats, top_k: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The probability of each set of `top_k` experts, and which experts are in it (sets x experts).

    `P({}) = 1`; from a set S of fewer than `top_k`, expert e comes next with `p_e / sum_(i not in S) p_i`: P of a set
    is the sum over the orders in which it can fill.
    """
    p = popularity.tolist()
    reached: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(top_k):
        larger: defaultdict[tuple[int, ...], float] = defaultdict(float)
        for drawn, probability in reached.items():
            others = [e for e in range(len(p)) if e not in drawn]
            rest = sum(p[e] for e in others)
            for e in others:
                larger[tuple(sorted((*drawn, e)))] += probability * p[e] / rest
        reached = larger
    members = np.zeros((len(reached), len(p)), dtype=np.bool_)
    for row, drawn in enumerate(reached):
        members[row, list(drawn)] = True
    chance = np.array(list(reached.values()))
    return chance / chance.sum(), members


def _even(random: np.random.Generator, tokens: Ints, experts: int, top_k: int) -> Ints:
    """All experts equally likely, expert after expert: `experts top_k` binomials a step, however many tokens.

    A token that still lacks j picks with r experts to come picks the next one with probability j / r; `lack[j - 1]`
    counts such tokens. An expert's count is then Binomial(tokens, top_k / experts), and the counts depend as they must.
    """
    lack = np.zeros((top_k, tokens.size), dtype=np.int64)
    lack[-1] = tokens
    missing = np.arange(1.0, top_k + 1)[:, np.newaxis]
    drawn = np.zeros((tokens.size, experts), dtype=np.int64)
    for e in range(experts):
        picked = random.binomial(lack, np.minimum(1.0, missing / (experts - e)))
        lack -= picked
        lack[:-1] += picked[1:]
        drawn[:, e] = picked.sum(axis=0)
    return drawn


def _by_sets(random: np.random.Generator, tokens: Ints, probability: Floats, members: NDArray[np.bool_]) -> Ints:
    """A multinomial over the sets, then the sum over the sets that an expert is in."""
    drawn = np.empty((tokens.size, members.shape[1]), dtype=np.int64)
    inside = members.astype(np.float64)  # as floats, which are exact here and multiply fast
    rows = max(1, BYTES // (8 * probability.size))
    for first in range(0, tokens.size, rows):
        part = slice(first, first + rows)
        drawn[part] = random.multinomial(tokens[part], probability).astype(np.float64) @ inside
    return drawn


def _equal(popularity: Floats) -> bool:
    return bool(np.all(popularity == popularity[0]))
