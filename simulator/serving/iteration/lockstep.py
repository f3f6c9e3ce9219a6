"""An iteration of ranks in lockstep: each attends its own sequences, and all share the routed experts of each layer."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.serving.iteration.compiled import of_decoding
from simulator.serving.iteration.iterations import DECODING, MIXED, PROMPTS, Iterations

Sums = tuple[int, int, float, int, int, int]
"""Prompts of a rank, their new tokens, pairs, and past; its sequences that decode, and their context
(`Iterations.mixed`)."""


def lockstep(of: Iterations, ranks: Iterable[tuple[Sums, tuple[float, ...]]]) -> tuple[float, int]:
    """Seconds of one iteration of all ranks, and the tokens that it routes; of each that has some its sums, and what is
    seen by cut.

    `max_r own_r + experts(sum_r tokens_r)`: own is all that a rank computes and sends, but for the kernels of routed
    experts, which share out the rows of all ranks evenly. A host that works before its devices counts in own; of those
    that work beside them, none is done later than the iteration.
    """
    host, own, beside, routed = of.host, 0.0, 0.0, 0
    for (prompts, tokens, pairs, past, decoding, context), seen in ranks:
        kind = (MIXED if decoding else PROMPTS) if prompts else DECODING
        cuts = seen if prompts else of_decoding(seen)
        seconds = of.of_kind(kind).seconds(prompts, tokens, pairs, decoding, context, past, cuts)
        busy = float(host.seconds(of.layers, prompts + decoding, prompts > 0)) if host else 0.0
        own = max(own, seconds if host.overlaps else seconds + busy)
        beside = max(beside, busy)
        routed += tokens + decoding
    together = own + of.of_kind(DECODING).experts[routed]
    return max(together, beside) if host.overlaps else together, routed
