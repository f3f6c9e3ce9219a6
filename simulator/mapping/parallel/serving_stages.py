"""What the devices of a machine are to requests: the stages of a pipeline, or ranks that share the experts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulator.mapping.parallel.pipeline import Replica, layers_of
from simulator.mapping.static_batch import staged
from simulator.workload.model.folding import folded

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment

SEQUENCES, CONTEXT = 64, 2048
"""Sequences that decode, and the tokens that each has cached, by whose iteration layers are divided over stages."""


@dataclass(frozen=True)
class Part:
    """One stage: its place, how often it runs each block of the model, its layers, and those that have experts."""

    index: int
    repeats: tuple[int, ...]
    layers: float
    moe_layers: int


def divided(deployed: Deployment) -> Replica | None:
    """The layers over the stages, so that the slowest takes the least where a typical batch decodes; None of one."""
    return staged(deployed, SEQUENCES, CONTEXT, 2) if deployed.parallel.pipeline > 1 else None


def ranked(deployed: Deployment) -> Deployment:
    """A deployment of requests whose replicas are ranks, where they share whole experts; any other as it is.

    Those of ranks take what uniform routing expects, as in an estimate.
    """
    shared = deployed.experts == "whole" and deployed.parallel.data > 1 and deployed.model.moe is not None
    return replace(deployed, ranks=True) if shared else deployed


def stages_of(deployed: Deployment) -> tuple[Deployment, ...]:
    """A deployment of requests as one for each stage of its pipeline, on devices of its own; of one stage, itself."""
    replica = divided(deployed)
    if replica is None:
        return (deployed,)
    moe = [0, *(sum(layer.moe for layer in layers) for layers, _ in folded(deployed.model.decoder)), 0]
    parts = (
        Part(
            index,
            stage.repeats,
            layers_of(deployed.model, stage.repeats),
            sum(n * each for n, each in zip(stage.repeats, moe, strict=True)),
        )
        for index, stage in enumerate(replica.stages)
    )
    return tuple(replace(deployed, part=part) for part in parts)
