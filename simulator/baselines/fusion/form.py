"""The form of a `fusion` experiment's YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from simulator.baselines.experiment import Experiment
from simulator.config.section import Section
from simulator.units import Count


class Pass(Section):
    """One forward pass of a model (`train`: a step of training), over a batch and a length or context of `tokens`."""

    model: str
    phase: Literal["prefill", "decode", "train"]
    tokens: Count
    batch: Count = 1
    devices: Count
    recompute: str = "none"


class Convolution(Section):
    """A long convolution by Fourier transform: as many points as the product of `factors`, over so many channels."""

    graph: Literal["flash-fft-conv"]
    factors: tuple[Count, ...]
    channels: Count
    batch: Count = 1
    devices: Count = 1


Benchmark: TypeAlias = Pass | Convolution


class Mode(Section):
    """How a benchmark is run: overrides of the machine; `eager`: each operator that PyTorch dispatches by itself."""

    eager: bool = False
    set: tuple[str, ...] = ()


class Intensity(Section):
    """The Monarch example of a paper: which of its operators are one kernel, by the name of the fusion."""

    groups: Annotated[dict[str, list[list[str]]], Field(min_length=1)]


class FusionExperiment(Experiment):
    """The YAML of a `fusion` experiment. `modes` has `unfused`, `software` and `hardware`; `set` is for all of them."""

    kind: Literal["fusion"]
    hardware: str
    benchmarks: Annotated[dict[str, Benchmark], Field(min_length=1)]
    modes: dict[Literal["unfused", "software", "hardware"], Mode]
    intensity: Intensity
    set: tuple[str, ...] = ()

    def only(self, conditions: Sequence[Mapping[str, Any]]) -> FusionExperiment:
        """The same experiment with no more than the benchmarks that the conditions name."""
        named = {condition.get("benchmark") for condition in conditions}
        return self.model_copy(update={"benchmarks": {n: b for n, b in self.benchmarks.items() if n in named}})
