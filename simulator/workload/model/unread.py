"""Figures of a model on which nothing depends: each is told, with what it would take."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config import Config, KeyPath
from simulator.errors import warn
from simulator.workload.model.form import Model


def check_read(model: Model, config: Config) -> None:
    """Warn of each section or figure of a model's YAML that no operator and no weight comes from."""
    for path, found, expected in _unread(model):
        warn(config.error(path, "nothing reads it", found=found, expected=expected))


def _unread(model: Model) -> Iterator[tuple[KeyPath, str, str]]:
    attention, positions = model.attention, model.positions
    if model.ffn and all(layer.moe for layer in model.decoder):
        yield (
            ("ffn",),
            "a dense FFN where all layers are mixtures of experts",
            "no such key, or 'moe' with every or first_layer",
        )
    if attention and attention.window is None and "window_pattern" in attention.model_fields_set:
        yield ("attention", "window_pattern"), "'window_pattern' without a window", "'window' beside it"
    if positions.rotary_dim is not None and positions.kind != "rope":
        yield (
            ("positions", "rotary_dim"),
            f"'rotary_dim' of positions of kind '{positions.kind}'",
            "kind 'rope', or no such key",
        )
