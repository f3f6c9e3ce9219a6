"""The steps of a decode run over a trace of active neurons: a token each, or several that were drafted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from simulator.core.row_policies import Step
from simulator.core.rows import Ints
from simulator.errors import ConfigError
from simulator.workload.neurons.trace import NeuronTrace


def token_steps(trace: NeuronTrace, layer: int) -> Iterator[Step]:
    """A step a token."""
    return (Step(active, (active,)) for active in trace.layer(layer))


def advances(tokens: int, drafted: int, acceptance: float, seed: int = 0) -> NDArray[np.int64]:
    """Tokens that each speculative step gives, until fewer than `drafted + 1` of a trace are left.

    Each of the drafted tokens is accepted with probability `acceptance`, and none after the first that is not; the
    large model adds one: 1 to `drafted + 1`, on average `mapping.speculative.expected_length`.

    Raises:
        ConfigError: a rate outside 0 to 1, or no drafted token.
    """
    if not 0 <= acceptance <= 1:
        raise ConfigError(path="acceptance", found=acceptance, expected="a rate from 0 to 1")
    if drafted < 1:
        raise ConfigError(path="drafted", found=drafted, expected="1 or more")
    accepted = np.random.default_rng(seed).random((tokens, drafted)) < acceptance
    each = 1 + np.cumprod(accepted, axis=1).sum(axis=1)
    starts = np.cumsum(each) - each
    return np.asarray(each[starts + drafted < tokens], dtype=np.int64)


@dataclass(frozen=True)
class SpeculativeSteps:
    """Each step needs the neurons of `drafted + 1` tokens at once, and goes on by what `advance` says.

    The first `acceptance (drafted + 1)` of them, rounded and 1 at least, count as used: the window ends there (arXiv
    2312.11514, section 4.4), each once. Tokens that are drafted and refused are taken to need what the trace has at
    their place.
    """

    drafted: int
    acceptance: float
    advance: tuple[int, ...]

    def __call__(self, trace: NeuronTrace, layer: int) -> Iterator[Step]:
        counts = max(1, round(self.acceptance * (self.drafted + 1)))
        tokens = trace.layer(layer)
        ahead: list[Ints] = []
        counted = 0  # of those ahead, by the step before
        for step in self.advance:
            ahead += islice(tokens, self.drafted + 1 - len(ahead))
            needed = np.zeros(trace.neurons, dtype=bool)
            needed[np.concatenate(ahead)] = True
            yield Step(needed.nonzero()[0], tuple(ahead[counted:counts]))
            ahead, counted = ahead[step:], max(max(counts, counted) - step, 0)
