"""How long requests are: tokens of their prompts and of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.units import Unit

Ints = NDArray[np.int64]
FURTHEST = 0.95
WIDEST = 10.0  # beyond, hardly a draw is near enough
Spread: TypeAlias = Annotated[float, Unit("1"), Ge(0), Le(WIDEST)]
"""Of lengths about their means, as every YAML has it."""


@dataclass(frozen=True)
class Lengths:
    """Requests of about `input` and `output` tokens, whose sum is the same for all.

    A prompt has `input - d` tokens and an answer `output + d`, with `d = (min(scale, input, output) - 1) z` rounded and
    z normal of standard deviation `spread`, drawn again beyond +-0.95; `spread` 0 makes all alike.

    Raises:
        ConfigError: lengths below 1, a spread below 0 or above 10, a scale below 1.
    """

    input: int
    output: int
    spread: float = 0.0
    scale: int = 256

    def __post_init__(self) -> None:
        for name, least in (("input", 1), ("output", 1), ("spread", 0), ("scale", 1)):
            if not getattr(self, name) >= least:
                raise ConfigError(path=name, found=getattr(self, name), expected=f"{least} or more")
        if self.spread > WIDEST:
            raise ConfigError(path="spread", found=self.spread, expected=f"at most {WIDEST:g}")

    @property
    def longest_input(self) -> int:
        """Tokens that no prompt has more of."""
        return self.input + (min(self.scale, self.input, self.output) if self.spread else 0)

    @property
    def total(self) -> int:
        """Tokens that a request keeps in the KV cache in the end."""
        return self.input + self.output

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        """Tokens of prompts and of answers, shape (requests,) each."""
        z = random.normal(0.0, self.spread, requests) if self.spread else np.zeros(requests)
        while (far := np.abs(z) > FURTHEST).any():
            z[far] = random.normal(0.0, self.spread, int(far.sum()))
        d = np.rint((min(self.scale, self.input, self.output) - 1) * z).astype(np.int64)
        return self.input - d, self.output + d
