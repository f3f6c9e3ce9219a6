"""What the iterations of a service have computed, and what that demands of a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest

import numpy as np

from simulator.core import Resource, add
from simulator.mapping.stage import Kind
from simulator.serving.iteration.compiled import of_decoding
from simulator.serving.iteration.flow_shop import FlowShop
from simulator.serving.iteration.iterations import DECODING, DRAWS, MIXED, PROMPTS, Iterations
from simulator.serving.stages import EXPERTS


class Work:
    """The features of iterations, summed over those of each kind (`mapping/stage.py`).

    Attributes:
        sums: of each kind the number of its iterations, and then prompts, their tokens, pairs of a new token and a key
            that it sees, sequences that decode, tokens cached of these, tokens of prompts that were computed before;
            and of each cut of the model, pairs and keys of prompts, and keys of those that decode.
        often: iterations by the tokens that are routed in one, and by whether it has prompts.
        loads: models whose weights were copied to memory, to take their turn.
        copied: what all copies have demanded: of keys and values, and of the weights that take their turn.
    """

    def __init__(self) -> None:
        self.sums: dict[Kind, list[float]] = {kind: [0.0] * 7 for kind in (DECODING, PROMPTS, MIXED)}
        self.often: Counter[tuple[int, bool]] = Counter()
        self.loads = 0
        self.copied: dict[Resource, float] = {}

    def mixed(
        self, prompts: int, tokens: int, pairs: float, past: int, decoding: int, context: int,
        cuts: tuple[float, ...] = (), routed: int | None = None,
    ) -> None:  # fmt: skip
        """Add an iteration that computes tokens of prompts, and one of each sequence that decodes.

        `routed`: the tokens that are routed, where they are those of others too.
        """
        sums = self.sums[MIXED if decoding else PROMPTS]
        for place, each in enumerate((1, prompts, tokens, pairs, decoding, context, past)):
            sums[place] += each
        if cuts:
            self._cut(sums, cuts)
        self.often[routed or tokens + decoding, True] += 1

    def decoding(
        self, sequences: int, context: int, number: int, seen: tuple[float, ...] = (), rising: tuple[int, ...] = (),
        routed: int | None = None,
    ) -> None:  # fmt: skip
        """Add a run of iterations in which all decode, with a token of context a sequence more each time.

        Of each cut they see so many keys in the first, and `rising` more each time.
        """
        sums = self.sums[DECODING]
        sums[0] += number
        sums[4] += number * sequences
        sums[5] += number * context + sequences * (number * (number - 1) / 2)
        self.often[routed or sequences, False] += number
        if seen:
            whole = zip(seen, rising, strict=True)
            keys = tuple(number * first + by * (number * (number - 1) / 2) for first, by in whole)
            self._cut(sums, of_decoding(keys))

    def routed(self, tokens: int) -> None:
        """Add an iteration in which experts have tokens of others alone."""
        self.often[tokens, False] += 1

    @staticmethod
    def _cut(sums: list[float], cuts: tuple[float, ...]) -> None:
        """Add features of cuts, behind all others."""
        sums[7:] = [a + b for a, b in zip_longest(sums[7:], cuts, fillvalue=0.0)]

    def merge(self, other: Work) -> None:
        """Add what another has computed."""
        for kind, sums in self.sums.items():
            self.sums[kind] = [a + b for a, b in zip_longest(sums, other.sums[kind], fillvalue=0.0)]
        self.often.update(other.often)
        self.loads += other.loads
        add(self.copied, other.copied)


def demand(iterations: Iterations | FlowShop, works: Iterable[Work]) -> dict[Resource, float]:
    """Total demand of what replicas have computed, as of one device of a replica, or of one of each stage.

    That of the mean iteration of each kind, as often as there were some: of what is affine in the features, exactly.
    Routed experts demand the mean of the draws that they take their time from; those that are lowered with their layer,
    what each number of tokens does.
    """
    total: dict[Resource, float] = {}
    whole = Work()
    for work in works:
        whole.merge(work)
    for stage in iterations.each if isinstance(iterations, FlowShop) else (iterations,):
        _add_computed(total, stage, whole)
    add(total, whole.copied)
    return total


def _add_computed(total: dict[Resource, float], iterations: Iterations, whole: Work) -> None:
    """Add what iterations demand on the devices of one stage."""
    of = iterations.stages
    for kind, (number, *sums) in whole.sums.items():
        if number:
            mean = np.array(sums).reshape(1, 1, -1) / number
            for what, part in of.shared_demand(mean, kind.mixed).items():
                if what != EXPERTS:
                    add(total, part, number)
    if iterations.router is not None:
        for (tokens, mixed), number in whole.often.items():
            add(total, iterations.routed_demand(tokens, mixed), number / DRAWS)
    elif of.model.moe is not None and not of.deployment.whole_layers:
        for mixed in (False, True):
            often = {tokens: number for (tokens, with_prompts), number in whole.often.items() if with_prompts == mixed}
            if often:
                add(total, of.lowered_experts(np.array([*often], float), np.array([*often.values()], float), mixed))
