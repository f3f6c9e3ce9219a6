"""Sessions of several turns: each prompt is all that was said before and something new."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.units import Count, Seconds, Unit
from simulator.workload.requests.arrivals import BLOCK, Floats, Random, Variation, gamma
from simulator.workload.requests.lengths import Ints, Law, LengthsForm


class Sessions(Section):
    """People who read an answer before they go on, or agents that run a tool: `arrivals` are those of sessions.

    A turn comes when the one before it is answered and the time to think is over. Lengths are of what is new in it.
    """

    turns: Annotated[float, Unit("1"), Field(ge=1, le=1e4)] = 4.0
    """Turns of a session, on average."""
    turns_law: Literal["geometric", "fixed"] = "geometric"
    """Whether a session may end behind each turn, or all have as many."""
    think: Seconds = 20.0
    """Seconds from the end of an answer to the next turn, on average: of a person, or of a tool."""
    think_variation: Variation = 1.0
    """Standard deviation of these times over their mean, of a Gamma law: 1 is exponential, 0 all alike."""
    later: LengthsForm | None = None
    """Lengths of the turns behind the first, such as what a tool gives; by default they are as the first."""
    longest: Count = 131_072
    """Tokens that the context of a session may have: it ends before a turn that has more."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.turns_law == "fixed" and self.turns % 1:
            with refused("turns"):
                raise ConfigError(found=self.turns, expected="a whole number, where all sessions have as many")
        return self

    @property
    def block(self) -> int:
        """Sessions that are drawn at once."""
        return max(1, int(BLOCK / self.turns))


class Turns:
    """The turns of one block of sessions: of each the place of its session, and its tokens, in their order.

    The first prompt of a session has `prefix` tokens more than is drawn, and no answer more than `limit`.
    """

    def __init__(
        self, form: Sessions, lengths: Law, prefix: int, limit: int | None, random: Random, lengths_of: Random
    ) -> None:
        number = _turns(form, random)
        self.session = np.repeat(np.arange(form.block), number)
        starts = np.cumsum(number) - number
        self.first = np.zeros(len(self.session), dtype=np.bool_)
        self.first[starts] = True
        new, answer = self._drawn(form, lengths, lengths_of)
        answer = answer if limit is None else np.minimum(answer, limit)
        new[self.first] += prefix
        ends = np.cumsum(new + answer)
        before = np.concatenate([[0], ends[:-1]])
        self.context: Ints = before - before[starts][self.session]
        self.input: Ints = self.context + new
        self.output: Ints = answer
        self.think: Floats = np.where(self.first, np.nan, gamma(random, form.think, form.think_variation, len(new)))
        self._keep(self.first | (self.input + self.output <= form.longest))

    def _drawn(self, form: Sessions, lengths: Law, random: Random) -> tuple[Ints, Ints]:
        """What is new in each turn, and its answer."""
        prompts, answers = (np.array(each) for each in lengths.draw(len(self.session), random))
        if form.later is not None:
            later = form.later.draw(len(self.session), random)
            prompts, answers = (
                np.where(self.first, one, other) for one, other in zip((prompts, answers), later, strict=True)
            )
        return prompts, answers

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        for name, column in list(vars(self).items()):
            setattr(self, name, column[rows])


def _turns(form: Sessions, random: Random) -> Ints:
    """Turns of each session of a block: at least 1."""
    if form.turns_law == "geometric":
        return random.geometric(1 / form.turns, form.block)
    return np.full(form.block, int(form.turns), dtype=np.int64)
