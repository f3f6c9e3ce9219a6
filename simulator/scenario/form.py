"""The form of a scenario: what every command, sweep, experiment and comparison asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from simulator.config.choose import OfKinds, choose
from simulator.config.section import Section
from simulator.errors import one_of
from simulator.hardware import System
from simulator.mapping.form import MappingForm
from simulator.registry import is_registered, names, registered
from simulator.scenario.reads import instead, is_set, read_beside, value_at, written
from simulator.units import Count, Width
from simulator.workload import Model


class Workload(Section):
    """What is to be computed. Each kind, a registered `evaluator`, has a form of its own."""

    kind: str
    """What evaluates it: `batch`, `requests`, `expert_models`, `sparse_flash`, ..."""

    @classmethod
    def read_as(cls, data: Any) -> type[Workload]:
        """The form that a section is read in: of a static batch unless it says another kind; this, of no such kind."""
        kind = data.get("kind", "batch") if isinstance(data, Mapping) else None
        form: type[Workload] = (
            registered("evaluator", kind).form if isinstance(kind, str) and is_registered("evaluator", kind) else cls
        )
        return form


def _of_its_kind(value: Any) -> Any:
    """A section `workload`, read in the form of its kind: of a static batch unless it says another."""
    if isinstance(value, Workload):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("model_type", "a mapping")
    kind = value.get("kind", "batch")
    if not is_registered("evaluator", kind):
        choose(kind, names("evaluator"), "kind")
    return Workload.read_as(value).model_validate(value)


class Sized(Section):
    """How many devices the machine has for a model, whatever its own file says."""

    devices: Count | None = None
    """Devices of a node, of the machine's first type; null: as many as its file has."""
    nodes: Count | None = None
    """Nodes; null: one where `devices` says how many each has, else as many as the file has."""
    scale: Width = 1
    """Times all devices: a node is filled up to 8 first, then there are more; 0: the machine as its file has it."""


Part = str | dict[str, Any] | None
PARTS = ("hardware", "model", "sized", "costs")
"""What a kind of workload may have no use for."""


class Scenario(Section):
    """A machine, a model, a mapping of one on the other, and a workload."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    hardware: Part | InstanceOf[System] = None
    """A machine by its name or path; or inline, with `extends` and figures by their dotted paths."""
    model: Part | InstanceOf[Model] = None
    """A model by its name or path (a `config.json` too); or inline, with `extends` and figures by their paths."""
    sized: Sized | None = None
    """How many devices the machine has for the model; null: as its file says."""
    mapping: MappingForm = MappingForm()
    """Who computes, from which memory, in what order and which formats."""
    workload: Annotated[
        SerializeAsAny[Workload], BeforeValidator(_of_its_kind), Field(validate_default=True), OfKinds("evaluator")
    ] = Field(
        default_factory=dict  # type: ignore[assignment]  # which is checked, and so becomes a static batch
    )
    """What is to be computed."""
    costs: str | None = None
    """A table of costs of silicon, memory and packages, by its name or path."""

    @model_validator(mode="after")
    def _all_is_read(self) -> Scenario:
        """Refuse a key of the mapping, or a part, that nothing of this kind of workload reads."""
        paths = [key for key in PARTS if getattr(self, key) is not None]
        paths += [f"mapping.{key}" for key in sorted(self.mapping.model_fields_set)]
        paths += [f"mapping.residency.{key}" for key in sorted(self.mapping.residency.model_fields_set)]
        for path in paths:
            read = read_beside(self.workload.kind, path)
            if read is not None and is_set(self, path):
                context = {"at": tuple(path.split(".")), "found": written(value_at(self, path))}
                expected = one_of(sorted(read)) if read else "nothing"
                message = (
                    f"a workload of kind '{self.workload.kind}' does not read it{instead(self.workload.kind, path)}"
                )
                raise PydanticCustomError("name", "not read", {**context, "expected": expected, "message": message})
        return self

    def written(self) -> dict[str, Any]:
        """The scenario as a YAML has it, without what is as it would be anyway."""
        parts: dict[str, Any] = {"hardware": self.hardware, "model": self.model, "costs": self.costs}
        if isinstance(self.hardware, System):
            parts["hardware"] = self.hardware.config.data
        if isinstance(self.model, Model):
            parts["model"] = self.model.model_dump(exclude_unset=True)
        parts["sized"] = self.sized and self.sized.model_dump(exclude_defaults=True)
        sections = {
            "mapping": self.mapping.model_dump(exclude_defaults=True),
            "workload": {"kind": self.workload.kind, **self.workload.model_dump(exclude_defaults=True)},
        }
        return {key: value for key, value in {**parts, **sections}.items() if value}
