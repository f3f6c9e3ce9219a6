"""What PyTorch dispatches for our operators, one call after another, as the Hugging Face models are written.

An operator of ours is several of PyTorch's: an RMS norm is a power, a mean, a sum, a root and two products. The lists
are data, a file a family (`workloads/eager/`), counted on the models themselves; `docs/eager.md` says how.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from pydantic import Field

from simulator.config import load, validate
from simulator.config.section import Section
from simulator.files import remembered
from simulator.workload.operators.graph import OperatorGraph
from simulator.workload.operators.operator import Operator

FOLDER = "workloads/eager"

EagerPhase: TypeAlias = Literal["prefill", "decode", "training"]
Calls: TypeAlias = tuple[str, ...]

_NAME = re.compile(r"(?:\d+\.)*(?P<stem>.+?)(?:\.(?:prefill|decode))?(?:\.(?P<part>dgrad|wgrad|sum|partial_sum))?")


class Dispatch(Section):
    """What is dispatched for one operator of ours, by part of a pass."""

    forward: Calls | None = None
    """Calls of every forward pass."""
    prefill: Calls | None = None
    """Calls that a prefill has besides."""
    decode: Calls | None = None
    """Calls that a decode step has besides."""
    training: Calls | None = None
    """Calls that training has besides those of a prefill."""
    dgrad: Calls | None = None
    """Calls of the gradient of its input."""
    wgrad: Calls | None = None
    """Calls of the gradient of its weight."""
    sum: Calls | None = None
    """Calls that add up the gradients of those that read what it makes."""


class Measured(Section):
    """Calls counted on the model itself, as `[all, without casts and copies]`."""

    layer: tuple[int, int]
    """Calls in one decoder layer."""
    rest: tuple[int, int]
    """Calls in the rest of the model."""


class Family(Section):
    """A family of models, and what PyTorch dispatches for its operators."""

    family: str
    """The family, as models of it name it."""
    not_counted: Calls
    """Calls that compute nothing and do not count: casts and copies."""
    operators: dict[str, Dispatch]
    """What is dispatched for an operator, by its name or else its kind; one that is not here counts one call."""
    measured: dict[Literal["prefill", "decode", "forward", "backward"], Measured] = Field(default_factory=dict)
    """Calls counted on the model itself, with which the lists are compared."""


def dispatched(family: str, operator: Operator, phase: EagerPhase, *, copies: bool = False) -> int:
    """How many calls PyTorch dispatches for one operator in a pass of this phase; 1 where the lists do not have it.

    Casts and copies into another layout do not count, unless `copies`.

    Raises:
        ConfigError: a family that has no list, or a mistake in one.
    """
    known = eager_family(family)
    skipped = () if copies else known.not_counted
    return sum(call not in skipped for call in calls(known, operator, phase))


def dispatched_calls(graph: OperatorGraph, *, copies: bool = False) -> int:
    """How many calls PyTorch dispatches for a whole pass, or for a step of training.

    A graph that comes of no model is spelled out already: one call an operator.

    Raises:
        ConfigError: see `dispatched`.
    """
    if graph.model is None:
        return sum(repeat for _, repeat in graph.operators())
    family, phase = graph.model.family, phase_of(graph)
    return sum(repeat * dispatched(family, operator, phase, copies=copies) for operator, repeat in graph.operators())


def calls(family: Family, operator: Operator, phase: EagerPhase) -> Calls:
    """The calls themselves, casts and copies too: those of the forward pass and of its phase, or of a gradient.

    An operator is found by its name, without the place of its layer and the phase that it serves, else by its kind.
    """
    match = _NAME.fullmatch(operator.name)
    assert match
    stem, part = match["stem"], (match["part"] or "").removeprefix("partial_")
    entries = [family.operators[key] for key in (stem, operator.kind) if key in family.operators]
    entry = next((entry for entry in entries if getattr(entry, part or "forward") is not None), None)
    if entry is None:
        return (operator.kind,)
    parts = (part,) if part else ("forward", "prefill", "training") if phase == "training" else ("forward", phase)
    return tuple(call for part in parts for call in getattr(entry, part) or ())


def phase_of(graph: OperatorGraph) -> EagerPhase:
    """What a graph is a pass of; a mixed batch is run as a prefill."""
    operators = [operator for operator, _ in graph.operators()]
    if any(operator.kind == "optimizer" for operator in operators):
        return "training"
    return "prefill" if any(operator.phase == "prefill" for operator in operators) else "decode"


@remembered(None)
def eager_family(name: str) -> Family:
    """The lists of a family.

    Raises:
        ConfigError: there are none, or there is a mistake in them.
    """
    return validate(load(name, FOLDER), Family)
