"""Figures of a model on which nothing depends are told, and change nothing."""

from __future__ import annotations

import pytest

from simulator import estimate, load_model
from simulator.errors import TiersimWarning
from simulator.workload import Model


def result(model: Model) -> tuple[float, ...]:
    found = estimate("dgx-h100", model, 4, 300, 20)
    return found.ttft_s, found.tbt_s, found.e2e_s, found.footprint.total.weights, found.footprint.total.kv


@pytest.mark.parametrize(
    ("shape", "override"),
    [
        ("mixtral-8x7b", "ffn={intermediate: 5000, matrices: 3, activation: silu}"),
        ("llama-3-8b", "attention.window_pattern=[true, false]"),
        ("bloom-176b", "positions.rotary_dim=32"),
    ],
)
def test_a_figure_that_is_told_changes_nothing(shape: str, override: str) -> None:
    path = override.partition("=")[0]
    with pytest.warns(TiersimWarning, match=rf"^--set: {path}: nothing reads it: found .*, expected "):
        model = load_model(shape, [override])
    assert result(model) == result(load_model(shape))
