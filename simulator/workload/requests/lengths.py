"""How long requests are: tokens of their prompts and of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Protocol, Self, TypeAlias

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import Field, model_validator

from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.units import Count, Unit
from simulator.workload.requests.trace import open_trace

Ints = NDArray[np.int64]
FURTHEST = 0.95
WIDEST = 10.0  # beyond, hardly a draw is near enough
Spread: TypeAlias = Annotated[float, Unit("1"), Ge(0), Le(WIDEST)]
"""Of lengths about their means, as every YAML has it."""


class Law(Protocol):
    """What lengths are drawn of."""

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        """Tokens of prompts and of answers, shape (requests,) each."""
        ...


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


class _Lengths(Section):
    kind: str
    """The law of the lengths."""


class FixedLengths(_Lengths):
    """All alike."""

    kind: Literal["fixed"]
    input: Count
    """Tokens of a prompt."""
    output: Count
    """Tokens of an answer."""

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        return np.full(requests, self.input), np.full(requests, self.output)


class UniformLengths(_Lengths):
    """Any length of a range as likely as any other, prompts and answers apart."""

    kind: Literal["uniform"]
    input: tuple[Count, Count]
    """The fewest and the most tokens of a prompt."""
    output: tuple[Count, Count]
    """The fewest and the most tokens of an answer."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        for name in ("input", "output"):
            low, high = getattr(self, name)
            if low > high:
                with refused(name):
                    raise ConfigError(found=f"{low} to {high}", expected="the fewest first")
        return self

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        prompts, answers = (random.integers(*bounds, requests, endpoint=True) for bounds in (self.input, self.output))
        return prompts, answers


class LogNormalLengths(_Lengths):
    """Many short ones and few that are long, as recorded lengths are, prompts and answers apart."""

    kind: Literal["log_normal"]
    input: Count
    """Mean tokens of a prompt."""
    output: Count
    """Mean tokens of an answer."""
    input_variation: Annotated[float, Unit("1"), Field(ge=0, le=100)] = 1.0
    """Standard deviation of prompts over their mean."""
    output_variation: Annotated[float, Unit("1"), Field(ge=0, le=100)] = 1.0
    """Standard deviation of answers over their mean."""
    longest: Count = 131_072
    """Tokens that no prompt and no answer has more of: what is drawn longer is cut there."""

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        """Tokens as `exp(N(ln mean - s^2 / 2, s^2))`, rounded, at least 1, with `s^2 = ln(1 + variation^2)`.

        So mean and deviation are those that are stated, before rounding and the cut.
        """

        def drawn(mean: int, variation: float) -> Ints:
            square = np.log1p(variation**2)
            tokens = random.lognormal(np.log(mean) - square / 2, np.sqrt(square), requests)
            return np.clip(np.rint(tokens), 1, self.longest).astype(np.int64)

        return drawn(self.input, self.input_variation), drawn(self.output, self.output_variation)


class SpreadLengths(_Lengths):
    """Prompt and answer together always alike long, as in `Lengths`."""

    kind: Literal["spread"]
    input: Count
    """Mean tokens of a prompt."""
    output: Count
    """Mean tokens of an answer."""
    spread: Spread = 0.4
    """Spread of lengths about their means."""
    scale: Count = 256
    """Tokens that a spread of 1 is, at most."""

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        return Lengths(self.input, self.output, self.spread, self.scale).draw(requests, random)


class EmpiricalLengths(_Lengths):
    """As in a trace: each request is as long, prompt and answer, as one of it, drawn by lot."""

    kind: Literal["empirical"]
    trace: str
    """A file of requests, in any form that is known."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        with refused("trace"):
            open_trace(self.trace)
        return self

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Different pairs of lengths, shape (pairs, 2), and how many requests have one up to each."""
        pairs, counts = np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.int64)
        for batch in open_trace(self.trace).batches():
            more = np.column_stack([batch.column(name).to_numpy() for name in ("input_tokens", "output_tokens")])
            both = np.concatenate([pairs, more])
            pairs, place = np.unique(both, axis=0, return_inverse=True)
            ones = np.concatenate([counts, np.ones(len(more), dtype=np.int64)])
            counts = np.bincount(place.ravel(), ones, len(pairs)).astype(np.int64)
        return pairs, np.cumsum(counts)

    def draw(self, requests: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        pairs, upto = self._pairs
        lot = random.integers(upto[-1], size=requests)
        prompts, answers = pairs[np.searchsorted(upto, lot, side="right")].T
        return prompts, answers


LengthsForm: TypeAlias = Annotated[
    FixedLengths | UniformLengths | LogNormalLengths | SpreadLengths | EmpiricalLengths, Field(discriminator="kind")
]
