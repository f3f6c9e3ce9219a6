"""The forms of a section `trace`: which expert model each prompt needs, and over how many prompts it is measured."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.units import Count, Seed, Unit
from simulator.workload.trace import GENERATORS, cyclic, load_trace


class _Rounds(Section):
    """A round is as many prompts as there are experts, or a whole recorded trace."""

    kind: str

    warm_up: Count = 1
    """Rounds before those that are measured; of a law, the first asks for each expert in turn."""
    rounds: Count = 1
    """Rounds that are measured: as many whole batches as they have, and at least one."""

    def served(self, experts: int, batch: int) -> tuple[int, list[int]]:
        """The batches of the warm-up, and the expert of each prompt of all batches."""
        prompts = self._round(experts)
        warm_up = -(-self.warm_up * prompts // batch)
        batches = max((self.warm_up + self.rounds) * prompts // batch, warm_up + 1)
        return warm_up, self._choices(experts, batches * batch).tolist()

    def _round(self, experts: int) -> int:
        return experts

    def _choices(self, experts: int, prompts: int) -> NDArray[np.int64]:
        """Each expert in turn, and then by the law: no miss that is measured is a first one."""
        law = self.model_dump(exclude={"kind", *_Rounds.model_fields})
        drawn = GENERATORS[self.kind](experts, prompts - experts, **law)
        return np.concatenate([cyclic(experts, experts).choices, drawn.choices])


class CyclicTrace(_Rounds):
    """Each expert in turn: the worst case of a cache that keeps what was used last."""

    kind: Literal["cyclic"]


class UniformTrace(_Rounds):
    """All experts equally likely."""

    kind: Literal["uniform"]
    warm_up: Count = 2
    rounds: Count = 30
    seed: Seed = 0
    """Of the draws."""


class ZipfTrace(_Rounds):
    """Expert e with probability proportional to `(e + 1)^-exponent`."""

    kind: Literal["zipf"]
    warm_up: Count = 2
    rounds: Count = 30
    exponent: Annotated[float, Unit("1"), Field(ge=0)] = 1.0
    """How fast the probability falls; 0: all are equally likely."""
    seed: Seed = 0
    """Of the draws."""


class MarkovTrace(_Rounds):
    """The same expert again with probability `stay`."""

    kind: Literal["markov"]
    warm_up: Count = 2
    rounds: Count = 30
    stay: Annotated[float, Unit("1"), Field(ge=0, le=1)] = 0.9
    """The probability of the same expert again."""
    seed: Seed = 0
    """Of the draws."""


class RecordedTrace(_Rounds):
    """A CSV of recorded choices, `prompt,expert`."""

    kind: Literal["recorded"]
    file: str
    """The CSV, by its path."""

    @model_validator(mode="after")
    def _is_recorded(self) -> Self:
        with refused("file"):
            load_trace(self.file)
        return self

    def _round(self, experts: int) -> int:
        return len(load_trace(self.file, experts))

    def _choices(self, experts: int, prompts: int) -> NDArray[np.int64]:
        return np.resize(load_trace(self.file, experts).choices, prompts)


TraceForm: TypeAlias = Annotated[
    CyclicTrace | UniformTrace | ZipfTrace | MarkovTrace | RecordedTrace, Field(discriminator="kind")
]
