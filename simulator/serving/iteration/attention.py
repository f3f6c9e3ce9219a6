"""A kernel whose demands are affine in sums over the sequences of an iteration, in plain floats and over contexts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from operator import mul
from typing import NamedTuple

import numpy as np

from simulator.core.resource import Curve, Resource
from simulator.mapping.gpu.attention_once import Once
from simulator.mapping.stage import FEATURES
from simulator.serving.routed import Array

PLAIN = 1 + len(FEATURES)
"""Coefficients of a row without those of cuts."""


class Bend(NamedTuple):
    """Seconds of a demand where the achieved fraction bends with its size: `factor size ** power` from each knot on."""

    knots: tuple[float, ...]
    factors: tuple[float, ...]
    powers: tuple[float, ...]

    def seconds(self, size: float) -> float:
        at = bisect_right(self.knots, size)
        power = self.powers[at]
        return self.factors[at] * size if power == 1.0 else self.factors[at] * size**power

    def over(self, sizes: Array) -> Array:
        """Of sizes that rise."""
        low, high = bisect_right(self.knots, sizes[0]), bisect_right(self.knots, sizes[-1])
        if low == high:
            of_all: Array = self.factors[low] * sizes ** self.powers[low]
            return of_all
        at = np.searchsorted(self.knots, sizes, side="right")
        seconds: Array = np.take(self.factors, at) * sizes ** np.take(self.powers, at)
        return seconds


class Row(NamedTuple):
    """A demand of a term over its rate: seconds, or units where these bend; coefficients of 1 and of each feature.

    `cuts`: of the features of each cut of the model, none where it has none of them.
    """

    one: float
    prompts: float
    tokens: float
    pairs: float
    decoding: float
    context: float
    past: float
    cuts: tuple[float, ...]
    bend: Bend | None

    @property
    def seen(self) -> tuple[float, ...]:
        """Of keys of those that decode, by cut."""
        return self.cuts[2::3]


class Line(NamedTuple):
    """Iterations in a row in which as many sequences decode: the first, and `more`.

    `context`, and of each cut `seen`, are those of the first; in each iteration they grow, by a token of each sequence
    and by `rising`.
    """

    decoding: int
    context: int
    more: int
    seen: tuple[float, ...] = ()
    rising: tuple[int, ...] = ()


@dataclass(frozen=True)
class Term:
    """A kernel, `times` in an iteration: `latency` (of all of them) and the longest of its rows."""

    rows: tuple[Row, ...]
    times: int
    latency: float

    def seconds(
        self, prompts: float, tokens: float, pairs: float, decoding: float, context: float, past: float,
        cuts: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """Without the latency, by the features of an iteration."""
        longest = 0.0
        for one, by_prompts, by_tokens, by_pairs, by_decoding, by_context, by_past, by_cuts, bend in self.rows:
            each = (
                one
                + by_prompts * prompts
                + by_tokens * tokens
                + by_pairs * pairs
                + by_decoding * decoding
                + by_context * context
                + by_past * past
            )
            if by_cuts:
                each += sum(map(mul, by_cuts, cuts))
            if bend is not None:
                each = bend.seconds(each)
            if each > longest:
                longest = each
        return self.times * longest

    def over(self, decoding: int, contexts: Array, seen: Sequence[Array] = ()) -> Array:
        """The same where all decode, over contexts that rise, and what is seen of them by cut."""
        longest: Array | None = None
        for row in self.rows:
            each = (row.one + row.decoding * decoding) + row.context * contexts
            for by_seen, keys in zip(row.seen, seen, strict=False):
                each = each + by_seen * keys
            if row.bend is not None:
                each = row.bend.over(each)
            longest = each if longest is None else np.maximum(longest, each)
        return np.zeros(len(contexts)) if longest is None else self.times * longest

    def slope(self, line: Line) -> float | None:
        """Seconds that each iteration takes more, where one row is the longest in all of them and none bends."""
        longest = last = -inf
        slope = last_slope = 0.0
        for row in self.rows:
            low, rate = row.one + row.decoding * line.decoding + row.context * line.context, row.context * line.decoding
            if row.cuts:
                low += sum(map(mul, row.seen, line.seen))
                rate += sum(map(mul, row.seen, line.rising))
            high = low + rate * line.more
            if row.bend is not None:
                at = bisect_right(row.bend.knots, low)
                if row.bend.powers[at] != 1.0 or at != bisect_right(row.bend.knots, high):
                    return None
                factor = row.bend.factors[at]
                low, rate, high = low * factor, rate * factor, high * factor
            if low > longest:
                longest, slope = low, rate
            if high > last:
                last, last_slope = high, rate
        return self.times * slope if slope == last_slope else None


@dataclass(frozen=True)
class ModelledTerm:
    """Attention that a model of its kernel times, `times` in an iteration; no shorter than its demands, `least`.

    `once` takes the mean sequence: of those that decode, or of prompts (`workload/operators/attend.py`).
    """

    once: Once
    decode: bool
    least: Term

    @property
    def latency(self) -> float:
        return self.least.latency

    def seconds(
        self, prompts: float, tokens: float, pairs: float, decoding: float, context: float, past: float,
        cuts: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """Without the latency, by the features of an iteration."""
        if self.decode:
            modelled = self.once.seconds(decoding, 1.0, context / decoding + 1.0)
        else:
            queries = tokens / prompts
            modelled = self.once.seconds(prompts, queries, max(pairs / tokens + (queries - 1) / 2, queries))
        least = self.least.seconds(prompts, tokens, pairs, decoding, context, past, cuts)
        return max(self.least.times * modelled, least)

    def over(self, decoding: int, contexts: Array, seen: Sequence[Array] = ()) -> Array:
        """The same where all decode, over contexts that rise."""
        seconds: Array = self.least.times * self.once.over(decoding, contexts / decoding + 1.0)
        last = self.least.seconds(0, 0, 0.0, decoding, contexts.item(-1), 0)
        if not seen and last <= seconds.item(0):  # both rise
            return seconds
        return np.maximum(seconds, self.least.over(decoding, contexts, seen))

    def slope(self, line: Line) -> float | None:
        """No line: blocks go over keys in whole steps."""
        return None


def term(demands: Mapping[Resource, Array], latency: Array, times: int) -> Term | None:
    """The term of an activity with affine demands; None where its latency is no constant, or capacities are arrays."""
    if np.any(latency[1:]) or any(np.ndim(r.capacity) for r in demands):
        return None
    rows = [_row(resource, coefficients) for resource, coefficients in demands.items()]
    kept = [
        row
        for i, (row, least) in enumerate(rows)
        if not any(_covers(other, (row, least), i < j) for j, other in enumerate(rows) if i != j)
    ]
    return Term(tuple(kept), times, times * float(latency[0]))


def _row(resource: Resource, coefficients: Array) -> tuple[Row, Array]:
    """A row, and the seconds that it takes at least, as coefficients."""
    capacity, curve = float(resource.capacity), resource.efficiency
    if not isinstance(curve, Curve):
        seconds = coefficients / (capacity * float(curve))
        return _of(seconds, None), seconds
    return _of(coefficients, _bend(curve, capacity)), coefficients / (capacity * max(curve.fractions))


def _of(coefficients: Array, bend: Bend | None) -> Row:
    plain = coefficients.tolist()
    cuts = tuple(plain[PLAIN:])
    return Row._make([*plain[:PLAIN], cuts if any(cuts) else (), bend])


def _bend(curve: Curve, capacity: float) -> Bend:
    """Seconds of a demand at a curve: between two knots `log(fraction)` is linear in `log(size)`."""
    factors, powers = [1 / (capacity * curve.fractions[0])], [1.0]
    for (size, fraction), (following, larger) in pairwise(zip(curve.sizes, curve.fractions, strict=True)):
        grows = log(larger / fraction) / log(following / size)
        powers.append(1 - grows)
        factors.append(size**grows / (fraction * capacity))
    return Bend(curve.sizes, (*factors, 1 / (capacity * curve.fractions[-1])), (*powers, 1.0))


def _covers(other: tuple[Row, Array], row: tuple[Row, Array], later: bool) -> bool:
    """Whether another row is never shorter: one of two alike is kept."""
    if row[0].bend is not None:
        return False
    return bool(np.all(other[1] >= row[1]) and (np.any(other[1] > row[1]) or other[0].bend is not None or later))
