"""LLM in a flash: 1,000 tokens of OPT-6.7B, 32 layers of 16,384 neurons, through the row buffers of a window of 5.

The trace is drawn, and every token goes through pointers, holes and copies; beside it, the same trace counted without a
buffer, and drawn alone. Bounds: 6 s and 300 MB of resident memory. Beside them, a ruler for the machine: seconds of
1,000 `numpy.multiply` passes over 1,000,000 doubles.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from simulator.mapping.neurons.held import Keeping, held
from simulator.workload.neurons.trace import NeuronTrace
from simulator.workload.neurons.window_law import WindowLaw, renewal

LAYERS, NEURONS, TOKENS, WINDOW = 32, 16384, 1000, 5


def ruler() -> float:
    a = np.ones(1_000_000)
    out = np.empty_like(a)
    start = time.perf_counter()
    for _ in range(1000):
        np.multiply(a, 1.0001, out=out)
    return time.perf_counter() - start


def drawn(trace: NeuronTrace) -> int:
    return sum(len(active) for layer in range(LAYERS) for active in trace.layer(layer))


def counted(trace: NeuronTrace) -> int:
    """Neurons that no token of the window before used, by the token that used each last."""
    missed = 0
    for layer in range(LAYERS):
        last = np.full(NEURONS, -TOKENS, dtype=np.int32)
        for token, active in enumerate(trace.layer(layer)):
            missed += int(np.count_nonzero(last[active] < token - WINDOW))
            last[active] = token
    return missed


def buffered(trace: NeuronTrace) -> int:
    return int(held(trace, Keeping(window=WINDOW)).missed.sum())


if __name__ == "__main__":
    law = WindowLaw.fitted(5, 0.24, 0.024)
    trace, unit, found, took = renewal(law, LAYERS, NEURONS, TOKENS), ruler(), {}, {}
    for run in (buffered, counted, drawn):
        start = time.perf_counter()
        found[run.__name__] = run(trace)
        took[run.__name__] = time.perf_counter() - start
        rulers = took[run.__name__] / unit
        print(f"{run.__name__}: {took[run.__name__]:.2f} s = {rulers:.2f} rulers, {found[run.__name__]:,} neurons")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = found["counted"] / (LAYERS * NEURONS * TOKENS)
    print(f"{memory:.0f} MB resident; {share:.4%} of the neurons loaded a token, the first tokens with them")
    late = [f"buffered: {took['buffered']:.1f} s, more than 6"] if took["buffered"] > 6 else []
    late += [f"{memory:.0f} MB, more than 300"] if memory > 300 else []
    late += ["the buffer and the count disagree"] if found["buffered"] != found["counted"] else []
    sys.exit("; ".join(late) or 0)
