"""The YAML section `mapping` of a scenario: who computes, from where, in what order and in which formats."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from simulator.config.choose import registered_as
from simulator.config.section import Section
from simulator.units import Bytes, Count, Fraction, Positive
from simulator.workload.formats import ComputingFormat, KvFormat


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Draft(Section):
    model: str
    tokens: Count = 4
    acceptance: Fraction | None = None
    accepted_length: Positive | None = None


class Residency(Section):
    home: str | None = None
    cache: str | None = None
    policy: str | None = None
    links: Count | None = None
    manager: str | None = None
    threads: Count | None = None
    overlap: Literal["none", "layer", "prefetch"] = "none"
    bytes: Bytes | None = None


class Scheduler(Section):
    kind: Literal["continuous"] = "continuous"
    max_sequences: Count | None = None


class MappingForm(Section):
    devices: Count | None = None
    engines: Names = ()
    answers: Names = ()
    tensor: Count | None = None
    pipeline: Count = 1
    data: Count = 1
    expert: Count | None = None
    experts: Literal["whole", "tensor"] | None = None
    expert_reduces: Literal[1, 2] = 1
    split: str = "none"
    split_by: Literal["achieved", "peak"] = "achieved"
    migrate: bool = False
    dispatch: Annotated[str, registered_as("dispatch")] | None = None
    together: bool = False
    memory: str | None = None
    spill: str | None = None
    spill_order: str | None = None
    dtype: ComputingFormat | None = None
    kv: KvFormat | None = None
    activations: str | None = None
    compute: str | None = None
    fusion: Literal["unfused", "conventional", "streaming"] | None = None
    draft: Draft | None = None
    residency: Residency = Field(default_factory=Residency)
    scheduler: Scheduler = Field(default_factory=Scheduler)
