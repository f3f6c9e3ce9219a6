"""What a predictor says is active, out of a trace of what is: some neurons missed, others named for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.errors import ConfigError
from simulator.workload.neurons.trace import Ints, NeuronTrace, at_least, generator, words


def predicted(trace: NeuronTrace, false_negatives: float, false_positives: float, seed: int = 0) -> NeuronTrace:
    """The neurons that a predictor with independent errors names.

    An active neuron is missed with the chance `false_negatives`, one that is not active is named with the chance
    `false_positives`, at each token and neuron independently: of a share s, `s (1 - fn) + (1 - s) fp` is named. The
    chances are kept to 2^-33. Equal arguments give equal traces.

    Such errors make what a window of tokens names grow faster than was published: five tokens of 7 % false positives
    alone name `1 - 0.93^5` = 30 % of the neurons, while arXiv 2312.11514 (section 3.1) holds 24 % for five
    tokens of a predictor with that rate. Its errors persist from token to token, and its window law (`window_law`) is
    that of the neurons predicted: draw those directly, and take this for what independent errors would cost.

    Raises:
        ConfigError: a chance outside 0 to 1, or a negative seed.
    """
    for name, chance in (("false_negatives", false_negatives), ("false_positives", false_positives)):
        if not 0 <= chance <= 1:
            raise ConfigError(path=name, found=chance, expected="0 to 1")
    at_least(seed=(seed, 0))
    missed_below, named_below = round(false_negatives * 2**32), round(false_positives * 2**32)

    def draw(layer: int) -> Iterator[Ints]:
        random = generator(seed, layer, "predicted")
        for active in trace.layer(layer):
            drawn = words(random, trace.neurons, 32)
            named = drawn < named_below
            named[active] = drawn[active] >= missed_below
            yield named.nonzero()[0]

    return NeuronTrace(trace.layers, trace.neurons, trace.tokens, draw)
