"""The form of a `decode` experiment's YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.baselines.experiment import Experiment
from simulator.config.section import Section
from simulator.units import Count


class Run(Section):
    """One model on so many devices of a machine: a static batch for each pair of `tokens`."""

    hardware: str
    model: str
    devices: Count
    batch: Count = 1
    tokens: Annotated[list[tuple[Count, Count]], Field(min_length=1)]  # of the prompt, and generated
    speculative: bool = False  # whether what is published had a draft model, which this run has not

    def points(self, name: str) -> Iterator[dict[str, Any]]:
        """What tells the points of this run, of that name, from all others."""
        machine = {"run": name, "system": self.hardware, "model": self.model, "devices": self.devices}
        for input, output in self.tokens:
            yield {**machine, "batch": self.batch, "input": input, "output": output}


class DecodeExperiment(Experiment):
    """The YAML of a `decode` experiment. `set` holds overrides of each of its machines, as `--set` takes them."""

    kind: Literal["decode"]
    runs: Annotated[dict[str, Run], Field(min_length=1)]
    set: tuple[str, ...] = ()

    def only(self, conditions: Sequence[Mapping[str, Any]]) -> DecodeExperiment:
        """The same experiment with no more than the points that meet one of the conditions."""
        runs = {}
        for name, run in self.runs.items():
            points = [p for p in run.points(name) if any(condition.items() <= p.items() for condition in conditions)]
            if points:
                runs[name] = run.model_copy(update={"tokens": [(p["input"], p["output"]) for p in points]})
        return self.model_copy(update={"runs": runs})
