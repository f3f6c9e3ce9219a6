"""Which experts the passes of a static batch need: drawn by a law, or walked through a recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.workload.routing.draws import counts
from simulator.workload.routing.recording import RoutingTrace
from simulator.workload.routing.routers import Router

Counts = NDArray[np.int32]


def generated(routing: Router | RoutingTrace, batch: int, input: int, steps: int, layers: int, seed: int = 0) -> Counts:
    """Tokens of each expert in the prefill and in each decode step, shape (1 + steps, layers, experts).

    By a law each pass and layer is a draw of its own. Of a recording, each of the `batch` sequences has a stretch of
    successive tokens, the stretches begin at even distances, and after the end of the recording comes its start: what
    successive tokens have in common stays. A model of more layers goes through the recorded ones again.
    """
    if not isinstance(routing, RoutingTrace):
        return counts(routing, np.concatenate([[batch * input], np.full(steps, batch)]), layers, seed)
    recorded, length, _ = routing.choices.shape
    first = np.arange(batch)[:, np.newaxis] * length // batch
    places = (first + np.arange(input + steps)) % length
    passes = np.broadcast_to(np.maximum(np.arange(input + steps) - input + 1, 0), places.shape)
    walked = np.zeros((1 + steps, layers, routing.experts), dtype=np.int32)
    for layer in range(layers):
        np.add.at(walked[:, layer], (passes[..., np.newaxis], routing.choices[layer % recorded][places]), 1)
    return walked
