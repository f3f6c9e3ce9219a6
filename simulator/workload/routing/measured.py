"""How often the experts of a model were picked in a recording: a file of counts, in `workloads/routing`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from pydantic import model_validator

from simulator.config import load, validate
from simulator.config.section import NonEmpty, Section
from simulator.errors import ConfigError, one_of
from simulator.workload.model.types import Count, Width
from simulator.workload.routing.routers import Popular, measured

FOLDER = "workloads/routing"


class MeasuredLayer(Section):
    """One layer of a recording."""

    layer: Width
    """The layer, counted from 0."""
    tokens: Count
    """How many tokens were recorded."""
    counts: NonEmpty[tuple[Width, ...]]
    """How many of them picked each expert, in the order of the experts."""


class MeasuredRouting(Section):
    """How often recorded tokens picked each expert of a model; which of them were picked together is not in it."""

    name: str
    """What the recording is called."""
    experts: Count
    """How many experts a layer has."""
    top_k: Count
    """How many of them each token picked."""
    layers: NonEmpty[tuple[MeasuredLayer, ...]]
    """The layers in which they were counted."""

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        for layer in self.layers:
            if len(layer.counts) != self.experts:
                raise ValueError(f"layer {layer.layer} has counts of {len(layer.counts)} experts, not {self.experts}")
            if sum(layer.counts) != self.top_k * layer.tokens:
                raise ValueError(f"the counts of layer {layer.layer} do not add up to top_k tokens")
            if max(layer.counts) >= layer.tokens:
                raise ValueError(f"an expert of layer {layer.layer} was picked by every token")
        return self

    def router(self, layer: int) -> Popular:
        """Tokens that pick independently, each expert as often as it was picked in that layer.

        Raises:
            ConfigError: the layer was not counted.
        """
        by_layer = {counted.layer: counted for counted in self.layers}
        if layer not in by_layer:
            raise ConfigError(f"{self.name}: layer", found=layer, expected=one_of(map(str, by_layer)))
        return measured(np.array(by_layer[layer].counts) / by_layer[layer].tokens)


def load_measured(name_or_path: str | Path) -> MeasuredRouting:
    """The counts of a shipped name, or of a YAML.

    Raises:
        ConfigError: with file, line and key path.
    """
    return validate(load(name_or_path, FOLDER), MeasuredRouting)
