"""When requests arrive: processes, in blocks of draws that are the same however many requests are wanted at once.

A process is one of draws at a mean of 1 a second, laid on a clock that runs as fast as requests come: at twice the rate
it is the same run, twice as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.units import Count, Positive, Seconds, Unit
from simulator.workload.requests.lengths import Ints, Lengths

Floats: TypeAlias = NDArray[np.float64]
Random: TypeAlias = np.random.Generator
_Clock: TypeAlias = Callable[[Floats], Floats]

BLOCK = 16_384
"""Requests that are drawn at once."""
PERIODS = 1024  # of on and off, drawn at once
HALVINGS = 60  # of a day, to a nanosecond

PerSecond: TypeAlias = Annotated[float, Unit("1"), Field(gt=0)]
Variation: TypeAlias = Annotated[float, Unit("1"), Field(ge=0, le=100)]
"""Of what is drawn: its standard deviation over its mean."""


class _Arrivals(Section):
    kind: str
    """What makes requests arrive."""


class _Process(_Arrivals):
    rate: PerSecond
    """Requests a second, on average."""

    def times(self, sizes: Iterable[int], random: Random) -> Iterator[Floats]:
        """Seconds at which requests arrive, so many at once, each later than those before."""
        clock, passed = self._clock(random), 0.0
        for size in sizes:
            work = np.cumsum(np.concatenate([[passed], self._gaps(random, size)]))[1:]
            passed = float(work[-1])
            yield clock(work)

    def _gaps(self, random: Random, number: int) -> Floats:
        """Between requests, with a mean of 1."""
        return random.exponential(1.0, number)

    def _clock(self, random: Random) -> _Clock:
        """What makes seconds of how many requests should have come."""
        return lambda work: work / self.rate


class PoissonArrivals(_Process):
    """Requests that do not know of one another."""

    kind: Literal["poisson"]


class EvenArrivals(_Process):
    """Requests at equal distances."""

    kind: Literal["even"]

    def _gaps(self, random: Random, number: int) -> Floats:
        return np.ones(number)


class GammaArrivals(_Process):
    """Gaps of a Gamma law: in clusters where they vary more than at random, nearly even where they vary less."""

    kind: Literal["gamma"]
    variation: Variation = 2.0
    """Standard deviation of the gaps over their mean: 1 is a Poisson process."""

    def _gaps(self, random: Random, number: int) -> Floats:
        return gamma(random, 1.0, self.variation, number)


class OnOffArrivals(_Process):
    """A Poisson process that is on and off in turn, for times that are exponential: none arrives while it is off."""

    kind: Literal["on_off"]
    on: Annotated[float, Unit("s"), Field(gt=0)] = 60.0
    """Seconds that it is on, on average."""
    off: Annotated[float, Unit("s"), Field(gt=0)] = 60.0
    """Seconds that it is off, on average."""

    def _clock(self, random: Random) -> _Clock:
        """Work goes on while it is on, at `rate (on + off) / on`; the state at first is as likely as it lasts."""
        (periods,) = random.spawn(1)
        rate, share = self.rate * (self.on + self.off) / self.on, self.on / (self.on + self.off)
        starts = np.array([0.0 if periods.random() < share else periods.exponential(self.off)])  # seconds
        reached = np.array([0.0])  # requests, by then

        def clock(work: Floats) -> Floats:
            nonlocal starts, reached
            first = np.searchsorted(reached, work[0], side="right") - 1
            starts, reached = starts[first:], reached[first:]
            while reached[-1] <= work[-1]:
                on, off = periods.exponential(self.on, PERIODS), periods.exponential(self.off, PERIODS)
                starts = np.append(starts, starts[-1] + np.cumsum(on + off))
                reached = np.append(reached, reached[-1] + np.cumsum(on) * rate)
            period = np.searchsorted(reached, work, side="right") - 1
            seconds: Floats = starts[period] + (work - reached[period]) / rate
            return seconds

        return clock


class DiurnalArrivals(_Process):
    """A Poisson process whose rate goes up and down with the day, as `rate (1 + swing cos(2 pi (t - peak) / day))`."""

    kind: Literal["diurnal"]
    swing: Annotated[float, Unit("1"), Field(ge=0, le=1)] = 0.5
    """How far the rate goes from its mean, as a share of it."""
    day: Annotated[float, Unit("s"), Field(gt=0)] = 86_400.0
    """Seconds of a day."""
    peak: Seconds = 50_400.0
    """When the rate is highest, in seconds from the start."""

    def _clock(self, random: Random) -> _Clock:
        """The time by which so much work is done, by halving: work grows with time, `swing day / 2 pi` off its mean."""
        turn = 2 * np.pi / self.day
        ahead = self.swing / turn

        def done(seconds: Floats) -> Floats:
            work: Floats = self.rate * (
                seconds + ahead * (np.sin(turn * (seconds - self.peak)) + np.sin(turn * self.peak))
            )
            return work

        def clock(work: Floats) -> Floats:
            low, high = np.maximum(work / self.rate - 2 * ahead, 0.0), work / self.rate + 2 * ahead
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                early = done(middle) < work
                low, high = np.where(early, middle, low), np.where(early, high, middle)
            return high

        return clock


class ClosedArrivals(_Arrivals):
    """Always so many in flight: where one ends, the next one arrives."""

    kind: Literal["closed"]
    in_flight: Count
    """Requests that are served or wait at any time."""

    def times(self, sizes: Iterable[int], random: Random) -> Iterator[Floats]:
        """Nothing but the end of another holds a request back."""
        return (np.zeros(size) for size in sizes)


class RecordedArrivals(_Arrivals):
    """As they were recorded, or faster, or slower."""

    kind: Literal["recorded"]
    speed: Positive = 1.0
    """How fast the record is replayed: 2 halves the times between requests."""


Process: TypeAlias = PoissonArrivals | EvenArrivals | GammaArrivals | OnOffArrivals | DiurnalArrivals | ClosedArrivals
ArrivalsForm: TypeAlias = Annotated[Process | RecordedArrivals, Field(discriminator="kind")]


def gamma(random: Random, mean: float, variation: float, number: int) -> Floats:
    """Draws of a Gamma law by mean and coefficient of variation: 1 is exponential, 0 is the mean itself."""
    if variation == 0 or mean == 0:
        return np.full(number, mean)
    shape = variation**-2
    drawn: Floats = random.gamma(shape, mean / shape, number)
    return drawn


def blocks(number: int) -> Iterator[int]:
    """Sizes of the blocks in which so many are drawn."""
    for start in range(0, number, BLOCK):
        yield min(BLOCK, number - start)


def generators(seed: int) -> list[Random]:
    """Generators of arrivals, of lengths, and of what else a request has: none disturbs another."""
    return [np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(seed).spawn(3)]


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests in the order of their arrival: `arrival` in seconds, tokens of the prompt and of the answer."""

    arrival: Floats
    input: Ints
    output: Ints

    def __len__(self) -> int:
        return len(self.arrival)


def requests(
    lengths: Lengths, number: int, rate: float, process: Literal["poisson", "even"] = "poisson", seed: int = 0
) -> Requests:
    """So many requests at `rate` a second: a Poisson process, or evenly spaced.

    Gaps and lengths come of the same draws at every rate: a higher one is the same run, faster.

    Raises:
        ConfigError: a rate that is not positive, fewer than 1 request.
    """
    if not rate > 0:
        raise ConfigError(path="rate", found=rate, expected="requests a second, above 0")
    if number < 1:
        raise ConfigError(path="requests", found=number, expected="1 or more")
    arrivals = (
        PoissonArrivals(kind="poisson", rate=rate) if process == "poisson" else EvenArrivals(kind="even", rate=rate)
    )
    gaps_of, lengths_of, _ = generators(seed)
    sizes = list(blocks(number))
    times = np.concatenate(list(arrivals.times(sizes, gaps_of)))
    prompts, answers = zip(*(lengths.draw(size, lengths_of) for size in sizes), strict=True)
    return Requests(times, np.concatenate(prompts), np.concatenate(answers))
