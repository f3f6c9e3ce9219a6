"""The form of a `coe` experiment's YAML."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from simulator.baselines.experiment import Experiment
from simulator.config.choose import registered_as
from simulator.config.section import Section
from simulator.units import Bytes, Count, Seconds, Seed, Unit


class Machine(Section):
    """One machine of the comparison; sizes that it leaves out are those of the machine's tiers."""

    hardware: str
    home: str  # the tier where all experts live
    cache: str  # the tier that they are copied to
    links: Count | None = None  # how many of parallel links one copy uses
    home_bytes: Bytes | None = None
    cache_bytes: Bytes | None = None
    footprint: Literal["home", "cache"]  # the tier that must hold all experts where nodes are counted
    set: tuple[str, ...] = ()


class Bookkeeping(Section):
    """What takes up the cache beside experts, and how large an expert is (all its weights unless given)."""

    expert_bytes: Bytes | None = None
    kv_tokens: Count
    router_in_cache: bool = False
    inclusive: bool = True  # the home keeps the experts that are in the cache too


class Calibration(Section):
    """Run time of one prompt on its expert, measured with one model: by the name of the hardware, and output tokens."""

    model: str
    expert_time: dict[str, dict[int, Seconds]]


class Requests(Section):
    """Which expert each prompt needs, over and over: the steady state after `warm_up` rounds is measured for `rounds`.

    A round is as many prompts as there are experts, or a whole recorded trace; the last batch of the warm-up, and that
    of what is measured, is filled up with the prompts that follow.
    """

    warm_up: Count = 1
    rounds: Count = 1


class Cyclic(Requests):
    """Each expert in turn."""

    kind: Literal["cyclic"]


class Uniform(Requests):
    """All experts equally likely."""

    kind: Literal["uniform"]
    warm_up: Count = 10
    rounds: Count = 20
    seed: Seed = 0


class Zipf(Requests):
    """Expert e with probability proportional to `(e + 1)^-exponent`."""

    kind: Literal["zipf"]
    warm_up: Count = 10
    rounds: Count = 20
    exponent: Annotated[float, Unit("1"), Field(ge=0)] = 1.0
    seed: Seed = 0


class Markov(Requests):
    """The same expert again with probability `stay`."""

    kind: Literal["markov"]
    warm_up: Count = 10
    rounds: Count = 20
    stay: Annotated[float, Field(ge=0, le=1)] = 0.9
    seed: Seed = 0


class Recorded(Requests):
    """A CSV of recorded choices, `prompt,expert`."""

    kind: Literal["csv"]
    file: str


Trace: TypeAlias = Annotated[Cyclic | Uniform | Zipf | Markov | Recorded, Field(discriminator="kind")]


class Prompt(Section):
    """Tokens in, and those that the router generates."""

    tokens: Count
    router_tokens: Count


class CoeExperiment(Experiment):
    """The YAML of a `coe` experiment. `calibration: none` takes run times from the operator graph."""

    kind: Literal["coe"]
    model: str
    prompt: Prompt
    trace: Trace
    policy: Annotated[str, registered_as("residency")] = "lru"
    prefetch: Literal["none", "batch", "trace"] = "none"
    group: bool = False
    experts: Annotated[list[Count], Field(min_length=1)]
    batches: Annotated[list[Count], Field(min_length=1)]
    tokens: Annotated[list[Count], Field(min_length=1)]
    nodes_for: Annotated[list[Count], Field(min_length=1)]  # numbers of experts at which nodes are counted
    bookkeeping: Bookkeeping
    systems: Annotated[dict[str, Machine], Field(min_length=1)]
    calibration: Calibration | Literal["none"]
