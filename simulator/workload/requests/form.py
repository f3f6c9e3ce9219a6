"""The form of a YAML of requests: recorded ones, or such as are drawn by laws."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.units import Count, Seconds, Seed, Unit
from simulator.workload.requests.arrivals import ArrivalsForm, ClosedArrivals, RecordedArrivals
from simulator.workload.requests.lengths import LengthsForm
from simulator.workload.requests.sessions import Sessions
from simulator.workload.requests.trace import open_trace


class Prefixes(Section):
    """Prompts that begin alike, as with the instructions of an application."""

    tokens: Count
    """Tokens at the beginning of each prompt, beside its own."""
    number: Count = 1
    """Different beginnings."""
    exponent: Annotated[float, Unit("1"), Field(ge=0, le=100)] = 1.0
    """The one of rank r is used in proportion to `r^-exponent`: 0 is all alike."""


class RequestsForm(Section):
    """Requests of a service: of a `trace`, or drawn, by `arrivals` and `lengths`."""

    trace: str | None = None
    """A file of requests, in our form or a public one (`docs/traces.md`)."""
    skip_bad: bool = False
    """Skip and count the rows of the trace that are wrong."""
    requests: Count | None = None
    """Requests in all: of a trace, those at its beginning, or all."""
    seconds: Seconds | None = None
    """Only those that come in so many seconds; turns of a session as if answers took no time."""
    arrivals: ArrivalsForm | None = None
    """When they arrive; of a trace, as they were recorded, by default."""
    lengths: LengthsForm | None = None
    """How long they are."""
    prefixes: Prefixes | None = None
    """What their prompts begin with, in common."""
    sessions: Sessions | None = None
    """Several turns of a session, in place of single requests."""
    max_tokens: Count | None = None
    """The limit of an answer that a scheduler knows: no answer is longer."""
    seed: Seed = 0
    """Of all that is drawn."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        with refused():
            self._check_trace() if self.trace is not None else self._check_drawn()
            if self.seconds is not None and isinstance(self.arrivals, ClosedArrivals):
                raise ConfigError(path="seconds", found="beside a closed loop", expected="a number of `requests`")
        return self

    def _check_trace(self) -> None:
        for name in ("lengths", "prefixes", "sessions"):
            if getattr(self, name) is not None:
                raise ConfigError(path=name, found="beside a trace", expected="the trace's own")
        if self.arrivals is None or isinstance(self.arrivals, RecordedArrivals):
            with refused("trace"):
                timed = open_trace(str(self.trace), self.skip_bad).timed
            if not timed:
                expected = "an arrival process, such as {kind: poisson, rate: 2}"
                raise ConfigError("the trace does not say when requests arrive", path="arrivals", expected=expected)

    def _check_drawn(self) -> None:
        for name in ("requests", "arrivals", "lengths"):
            if getattr(self, name) is None and (name != "requests" or self.seconds is None):
                raise ConfigError(path=name, found="nothing", expected="a value, or a trace")
        if isinstance(self.arrivals, RecordedArrivals):
            raise ConfigError(
                path="arrivals.kind", found="'recorded' without a trace", expected="a process, or a trace"
            )
        if self.skip_bad:
            raise ConfigError(path="skip_bad", found="true without a trace", expected="a trace")
