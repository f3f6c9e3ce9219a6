"""When requests arrive, and how long they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.requests.lengths import Ints, Lengths

Process = Literal["poisson", "even"]


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests in the order of their arrival: `arrival` in seconds, tokens of the prompt and of the answer."""

    arrival: NDArray[np.float64]
    input: Ints
    output: Ints

    def __len__(self) -> int:
        return len(self.arrival)


def requests(lengths: Lengths, number: int, rate: float, process: Process = "poisson", seed: int = 0) -> Requests:
    """So many requests at `rate` a second: a Poisson process, or evenly spaced.

    Gaps and lengths come of the same draws at every rate: a higher one is the same run, faster.

    Raises:
        ConfigError: a rate that is not positive, fewer than 1 request.
    """
    if not rate > 0:
        raise ConfigError(path="rate", found=rate, expected="requests a second, above 0")
    if number < 1:
        raise ConfigError(path="requests", found=number, expected="1 or more")
    gaps_of, lengths_of = (np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(2))
    gaps = gaps_of.exponential(1.0, number) if process == "poisson" else np.ones(number)
    return Requests(np.cumsum(gaps) / rate, *lengths.draw(number, lengths_of))
