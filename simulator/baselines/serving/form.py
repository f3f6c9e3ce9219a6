"""The form of a `serving` experiment's YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.baselines.experiment import Experiment
from simulator.config.choose import choose, one_among, registered_as
from simulator.config.section import Section
from simulator.serving.lengths import Spread
from simulator.units import Positive, Seed, Width
from simulator.workload.model import Count
from simulator.workload.routers import ROUTERS

Length: TypeAlias = tuple[Count, Count]
NODE = 8  # devices that share a host, at most


class SystemForm(Section):
    """A machine, and how it serves (`mapping/deployment.py`).

    `scale` times the devices that a model is given (`ModelForm`), up to 8 in a node, then more nodes; 0: the machine as
    its YAML has it. With `answers`, those engines decode, and `engines` compute prompts (`serving/split.py`). `set`
    holds overrides of this machine alone.
    """

    hardware: str
    engines: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    dispatch: Annotated[str, registered_as("dispatch")] = "xpu_only"
    together: bool = False
    split: Annotated[str, registered_as("split", "none")] = "none"
    experts: Literal["whole", "tensor"] = "whole"
    expert_reduces: Literal[1, 2] = 1
    split_by: Literal["achieved", "peak"] = "achieved"
    migrate: bool = False
    scale: Width = 1
    set: tuple[str, ...] = ()


class ModelForm(Section):
    """How many devices serve a model."""

    nodes: Count = 1
    devices: Count


class LengthsForm(Section):
    """How lengths are spread about their means (`serving/lengths.py`)."""

    spread: Spread = 0.0
    scale: Count = 256


class Loops(Section):
    """Closed loops: each system with each of the models at each of its lengths and of the batch sizes."""

    systems: Annotated[list[str], Field(min_length=1)]
    lengths: Annotated[dict[str, list[Length]], Field(min_length=1)]  # by model: tokens in and out
    batches: Annotated[list[Count], Field(min_length=1)]

    def points(self) -> Iterator[dict[str, Any]]:
        for model, lengths in self.lengths.items():
            for input, output in lengths:
                for batch in self.batches:
                    for system in self.systems:
                        yield {"system": system, "model": model, "input": input, "output": output, "batch": batch}


class Arrivals(Section):
    """Open loops: requests that arrive at each of the rates, by each process; at most `batch` in a stage."""

    systems: Annotated[list[str], Field(min_length=1)]
    model: str
    length: Length
    batch: Count
    rates: Annotated[list[Positive], Field(min_length=1)]  # requests a second, rising
    processes: Annotated[list[Literal["poisson", "even"]], Field(min_length=1)]
    requests: Count


class ServingExperiment(Experiment):
    """The YAML of a `serving` experiment. `set` holds overrides of its machines, as `--set` takes them.

    `rounds`: how often each place of a closed loop is taken anew, on average. `router`: who picks the experts, by name.
    `only`: the loops to run, where not all are.
    """

    kind: Literal["serving"]
    systems: Annotated[dict[str, SystemForm], Field(min_length=1)]
    models: Annotated[dict[str, ModelForm], Field(min_length=1)]
    lengths: LengthsForm = LengthsForm()
    router: Annotated[str, one_among(lambda: ROUTERS)] = "uniform"
    rounds: Positive = 20.0
    seed: Seed = 0
    set: tuple[str, ...] = ()
    loops: dict[str, Loops] = Field(default_factory=dict)
    arrivals: dict[str, Arrivals] = Field(default_factory=dict)
    only: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_there(self) -> Self:
        runs = {**self.loops, **self.arrivals}
        for name, loop in self.loops.items():
            for place, system in enumerate(loop.systems):
                choose(system, self.systems, "loops", name, "systems", place)
            for model in loop.lengths:
                choose(model, self.models, "loops", name, "lengths", model)
        for name, each in self.arrivals.items():
            for place, system in enumerate(each.systems):
                at = "arrivals", name, "systems", place
                if self.systems[choose(system, self.systems, *at)].answers:
                    told = {"at": at, "found": f"'{system}', which has answers", "expected": "a system without"}
                    raise PydanticCustomError("name", "no such name", told)
            choose(each.model, self.models, "arrivals", name, "model")
        for place, name in enumerate(self.only):
            choose(name, runs, "only", place)
        return self

    def runs(self, name: str) -> bool:
        """Whether a loop, or arrivals, of this name are to be run."""
        return not self.only or name in self.only
