"""Recorded routing: the experts that each token picked in each layer, and where each forward pass begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.routing.files import LayerRows, read_layers
from simulator.workload.routing.routers import Recorded

STARTUP = 16
"""From so many tokens on, a recording that begins with one and the same set of experts begins with dummy tokens."""


@dataclass(frozen=True, eq=False)
class RoutingTrace:
    """The experts that recorded tokens picked, `choices` of shape (layers, tokens, top_k).

    Attributes:
        experts: experts of a layer.
        choices: layer after layer, the same tokens in each.
        layers: the number that each layer has in its model.
        passes: the first token of each forward pass, shape (passes,); the first is 0.
        dropped: start-up tokens that the recording began with, and that are not in `choices`.
    """

    experts: int
    choices: NDArray[np.integer]
    layers: tuple[int, ...]
    passes: NDArray[np.int64]
    dropped: int = 0

    def __len__(self) -> int:
        return int(self.choices.shape[1])

    @property
    def top_k(self) -> int:
        """How many different experts a token picks."""
        return int(self.choices.shape[2])

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens of each forward pass, shape (passes,)."""
        return np.diff(self.passes, append=len(self))

    @cached_property
    def counts(self) -> NDArray[np.int32]:
        """Tokens of each expert in each forward pass, shape (passes, layers, experts)."""
        counted = np.zeros((len(self.passes), len(self.layers), self.experts), dtype=np.int32)
        place = np.repeat(np.arange(len(self.passes)), self.tokens)[:, np.newaxis]
        for layer, choices in enumerate(self.choices):
            np.add.at(counted[:, layer], (place, choices), 1)
        counted.setflags(write=False)
        return counted

    @property
    def popularity(self) -> NDArray[np.float64]:
        """The share of all tokens that picked an expert, shape (layers, experts); a layer's add up to `top_k`."""
        return np.asarray(self.counts.sum(axis=0, dtype=np.int64) / len(self), dtype=np.float64)

    def router(self) -> Recorded:
        """Draws steps from neighbouring tokens of the recording, whatever pass they were in."""
        return Recorded(self.experts, self.choices)


def load_routing(
    path: str | Path | Sequence[str | Path],
    experts: int | None = None,
    top_k: int | None = None,
    layers: int | None = None,
    keep_startup: bool = False,
) -> RoutingTrace:
    """Reads recorded routing from one file, or from several that hold other layers of the same tokens.

    The forms (JSONL, CSV, Parquet, NPZ) are those of `routing_files`. `experts` is else what the file states, or the
    largest number in it and one; `top_k` and `layers` say how many there must be.

    Servers warm up on dummy tokens, which all get one and the same set of experts and would pass for a hot set. Where
    at least `STARTUP` tokens at the beginning do, in every layer, and a set is not all experts, they are left out as
    `dropped`, unless `keep_startup`.

    Raises:
        ConfigError: with the file, and the line or row: what cannot be read, an empty recording, an expert out of range
            or twice in a token, tokens of different numbers of experts, layers of different tokens, a layer in two
            files, or numbers other than asked for.
    """
    files = [Path(path)] if isinstance(path, str | Path) else [Path(file) for file in path]
    if not files:
        raise ConfigError("recorded routing", found="no file", expected="one or more")
    recorded = [layer for file in files for layer in read_layers(file, experts, top_k)]
    recorded.sort(key=lambda layer: layer.number)
    _same_tokens(recorded)
    if layers is not None and len(recorded) != layers:
        numbers = ", ".join(str(layer.number) for layer in recorded)
        expected = f"{layers} of them"
        raise ConfigError("layers", file=files[0], found=f"{len(recorded)}: {numbers}", expected=expected)
    total = experts or max(layer.experts for layer in recorded)
    choices = np.stack([layer.choices for layer in recorded]).astype(np.min_scalar_type(total - 1))
    startup = 0 if keep_startup or choices.shape[2] == total else _startup(choices)
    if startup == choices.shape[1]:
        raise ConfigError("nothing but start-up tokens", file=files[0], found=f"{startup} tokens of one set of experts")
    begins = np.maximum(recorded[0].passes - startup, 0)
    passes = np.unique(begins)  # those that were dropped whole, and what is left of the last one, begin at 0
    kept = np.ascontiguousarray(choices[:, startup:])
    kept.setflags(write=False)
    return RoutingTrace(total, kept, tuple(layer.number for layer in recorded), passes, startup)


def _startup(choices: NDArray[np.integer]) -> int:
    """Tokens at the beginning that all pick the same set, in the layer where they are fewest; 0 if under `STARTUP`."""
    picked = np.sort(choices, axis=-1)
    other = (picked != picked[:, :1]).any(axis=-1).any(axis=0)
    same = int(np.argmax(other)) if other.any() else choices.shape[1]
    return same if same >= STARTUP else 0


def _same_tokens(layers: Sequence[LayerRows]) -> None:
    """Raises `ConfigError` unless all layers are of the same tokens, and each is there once."""
    first = layers[0]
    for layer, before in zip(layers[1:], layers, strict=False):
        if layer.number == before.number:
            expected = "each layer in one file"
            raise ConfigError(file=layer.file, found=f"layer {layer.number}, as in {before.file}", expected=expected)
        like = f"as in layer {first.number}, {first.file}"
        if layer.choices.shape != first.choices.shape:
            (tokens, top_k), (others, picks) = layer.choices.shape, first.choices.shape
            message, found, expected = f"layer {layer.number}", f"{tokens} tokens x {top_k}", f"{others} x {picks}"
            raise ConfigError(message, file=layer.file, found=found, expected=f"{expected} {like}")
        if not np.array_equal(layer.passes, first.passes):
            raise ConfigError(f"layer {layer.number}", file=layer.file, found="other passes", expected=like)
