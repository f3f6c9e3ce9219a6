"""How many sequences of requests a deployment has room for at once."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from simulator.errors import CapacityError
from simulator.mapping.footprint.held import Held, held
from simulator.mapping.footprint.kept import largest
from simulator.mapping.parallel.serving_stages import divided

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


def most_sequences(deployed: Deployment, context: int, prompt: int, most: int) -> int:
    """How many of at most `most` sequences of `context` tokens in the end fit, each admitted with room for all of them.

    `prompt` tokens may be computed beside those that decode (0 where prompts are computed elsewhere). Each replica has
    an equal part of the sequences.

    Raises:
        CapacityError: there is no room for one.
    """

    def places(sequences: int) -> tuple[Held, ...]:
        return held(deployed, sequences, float(context), prompt, beside=True)

    copies = deployed.parallel.data
    fits = copies * largest(lambda each: all(h.fits for h in places(each)), ceil(most / copies))
    if fits < 1:
        full = next(h for h in places(1) if not h.fits)
        device = full.tier.partition(".")[0]
        ways = deployed.low.system.count(device)
        raise CapacityError(
            f"one sequence of {context:,} tokens beside {deployed.model.name} on a {device}",
            needed=float(full.used / ways),
            available=full.capacity / ways,
            remedy="a shorter sequence, more devices, or a smaller dtype or kv",
        )
    return min(most, fits)


def most_blocks(deployed: Deployment, size: int, tokens: int) -> int:
    """How many blocks of `size` tokens of keys and values a replica has room for, beside its weights.

    Activations are those of an iteration of `tokens`. A block has its tokens in all layers: those with a window keep
    the whole context too, as programs do whose layers share one table of blocks. Of a pipeline, each stage has the part
    of its own layers, and the one with the least room counts.

    Raises:
        CapacityError: there is no room for one.
    """
    stages = divided(deployed)
    places = held(deployed, 0.0, float(size), float(tokens), stages)
    block_tokens = deployed.software.runtime.kv_block * deployed.parallel.context
    shortest = min((layer.attention.kept or inf for layer, _ in deployed.model.kinds if layer.attention), default=inf)
    blocks = max(min(size, shortest // block_tokens), 1)  # in which no window drops any
    several = held(deployed, 1.0, float(blocks * block_tokens), 0.0, stages)
    fewest = inf
    for place, kept in zip(places, several, strict=True):
        block = float(kept.kv) / (blocks * block_tokens / size)
        free = float(place.capacity - place.used)
        if not place.fits or free < block:
            ways = deployed.low.system.count(place.tier.partition(".")[0])
            raise CapacityError(
                f"a block of {size} tokens beside {deployed.model.name} on a {place.tier.partition('.')[0]}",
                needed=(float(place.used) + block) / ways,
                available=float(place.capacity) / ways,
                remedy="more devices, or a smaller dtype or kv",
            )
        fewest = min(fewest, free / block) if block else fewest
    return int(fewest)
