"""The form of a rule of placement: which part of a model lies in which tier, and how it is used from there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from simulator.config.choose import one_among
from simulator.config.section import NonEmpty, Section
from simulator.mapping.placement.amount import Amount
from simulator.mapping.placement.cache import ExpertCache
from simulator.units import Count, Fraction

Part: TypeAlias = Literal["experts", "ffn", "attention", "embedding", "layer_embedding", "head", "kv", "activations"]
PARTS: tuple[Part, ...] = get_args(Part)
DRAFT = "draft"
"""All of the model that drafts."""
State: TypeAlias = Literal["gradients", "optimizer"]
STATE: tuple[State, ...] = get_args(State)
"""What training alone keeps."""
LAYERED: tuple[Part, ...] = ("experts", "ffn", "attention", "kv")
"""Parts that each layer has one of."""
Named: TypeAlias = Part | Literal["draft"] | State
Use: TypeAlias = Literal["read", "copy", "compute"]
AUTO = "auto"
DIVIDED, INTERLEAVED, REPLICATED = "divided", "interleaved", "replicated"


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _layers(value: Any) -> Any:
    """Numbers and runs of layers as one text: `0-19`, `3,7`, `20-`."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _numbered(layers: str) -> str:
    if not re.fullmatch(r"\d+(-\d*)?(,\d+(-\d*)?)*", layers):
        found = {"found": repr(layers), "expected": "layers such as '0-19', '20-' or '3,7'"}
        raise PydanticCustomError("unit", "{found}, expected {expected}", found)
    return layers


Parts: TypeAlias = Annotated[
    NonEmpty[tuple[Annotated[str, one_among(lambda: (*PARTS, DRAFT, *STATE))], ...]],
    BeforeValidator(_several, json_schema_input_type=Named | tuple[Named, ...]),
]
Layers: TypeAlias = Annotated[
    str, AfterValidator(_numbered), BeforeValidator(_layers, json_schema_input_type=str | int | list[int | str])
]


def runs(layers: str) -> Iterator[tuple[int, int | None]]:
    """The runs of layers that a text names, first and last; None: to the end."""
    for run in layers.split(","):
        first, dash, last = run.partition("-")
        yield int(first), (int(last) if last else None) if dash else int(first)


def _add_to_one(shares: Any) -> Any:
    if isinstance(shares, Mapping) and abs(sum(shares.values()) - 1) > 1e-9:
        found, expected = f"shares that add up to {sum(shares.values()):.4g}", "shares that add up to 1"
        raise PydanticCustomError("shares", "{found}, expected {expected}", {"found": found, "expected": expected})
    return shares


class Rule(Section):
    """Which part of a model lies in which tier, and how it is used from there; the first rule that matches counts."""

    of: Parts
    """`experts` (routed ones), `ffn` (also shared experts and routers), `attention` (all that mixes tokens),
    `embedding`, `layer_embedding` (of each layer), `head`, `kv` (also states of fixed size), `activations` (between
    layers; of training those that are kept for the backward pass), `draft` (all of the one that drafts); of training
    also `gradients` and `optimizer` (moments, weights in fp32); one or several."""
    layers: Layers | None = None
    """The layers, counted from 0: `0-19`, `20-`, `3,7`; null: all."""
    phase: Literal["prefill", "decode"] | None = None
    """The phase in which it holds; null: both."""
    amount: Amount | None = None
    """A share such as `80 %`, or bytes such as `64 GB`, spread evenly over what it matches; with `compute` the first
    layers that it has room for, as whole ones; null: all. The rest is for the rules that follow."""
    in_: Annotated[str | NonEmpty[dict[str, Fraction]], AfterValidator(_add_to_one)] = Field(alias="in")
    """The tier by its name, or several with their shares; `interleaved` over the memories of all devices of the engine,
    page by page; or `replicated`, a copy in each."""
    use: Use | None = None
    """`read` where it lies, `copy` ahead of what uses it, or `compute` by the engine of that tier; null: as the engine
    can, in this order, but for flash."""
    by: str | None = None
    """The engine that computes, `device.engine`; null: with `compute` the one that reads the tier."""
    pinned: bool | None = None
    """Whether copies come from pinned memory, or through a buffer that is; null: as the runtime has it."""
    cache: ExpertCache | None = None
    """Of experts alone, which all lie there: those that main memory keeps besides, so that these need no copy."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The rule as a YAML has it."""
        return {"in" if key == "in_" else key: value for key, value in write(self).items()}


class BlockOfBatches(Section):
    """A schedule that runs several batches through a layer before the weights of the next are used (FlexGen)."""

    batch: Count | None = None
    """Sequences of each batch; null: as the workload has them, over the batches."""
    batches: Count
    """Batches that go through a layer in turn."""


def _rules(value: Any) -> Any:
    """One rule is a list of it."""
    return (value,) if isinstance(value, Mapping) else value


def _kind(value: Any) -> str:
    return AUTO if isinstance(value, str) else "rules"


Placement: TypeAlias = Annotated[
    Annotated[Literal["auto"], Tag(AUTO)]
    | Annotated[tuple[Rule, ...], BeforeValidator(_rules, json_schema_input_type=Rule | list[Rule]), Tag("rules")],
    Discriminator(_kind),
]
