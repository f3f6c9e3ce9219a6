"""How many sequences fit: the batches that the Duplex paper prints, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import CapacityError
from simulator.hardware import load_system
from simulator.mapping.footprint.held import held
from simulator.mapping.footprint.room import most_sequences
from simulator.workload import load_model
from tests.deployed import deployment


def fits(machine: str, model: str, context: int, prompt: int, asked: int, *overrides: str, **how: Any) -> int:
    return most_sequences(deployment(load_system(machine, overrides), load_model(model), **how), context, prompt, asked)


@pytest.mark.parametrize(
    ("input", "output", "published"), [(2048, 2048, 128), (2048, 4096, 101), (4096, 4096, 75), (8192, 4096, 50)]
)
def test_experts_and_caches_on_two_devices(input: int, output: int, published: int) -> None:
    """Duplex, Fig 5c."""
    how = {"dispatch": "experts_in_memory"}
    assert fits("duplex-hetero", "mixtral-8x7b", input + output, input, 128, **how) == published


def test_a_split_and_a_dense_model() -> None:
    """Duplex, Figs 16 and 14: 74 and 41, by what is counted beside the experts and as activations."""
    half = {"engines": ("answers.xpu", "answers.pim"), "together": True, "split": "greedy", "experts": "tensor"}
    assert 73 <= fits("duplex-split", "mixtral-8x7b", 8192, 0, 128, **half) <= 75
    assert 41 <= fits("duplex-h100", "opt-66b", 2048, 1024, 64) <= 44


def test_a_space_for_prompts_is_kept_from_the_caches() -> None:
    both = {"dispatch": "static_by_layer", "together": True, "split": "spaces"}
    of = deployment(load_system("duplex-node"), load_model("mixtral-8x7b"), **both)
    (with_prompts,), (without,) = (held(of, 128, 4096.0, prompt, beside=True) for prompt in (4096, 0))
    assert with_prompts.kept > without.kept == 0
    own = with_prompts.activations + with_prompts.kept + with_prompts.weights
    assert with_prompts.capacity - own <= 0.75 * with_prompts.capacity
    assert fits("duplex-node", "mixtral-8x7b", 16384, 8192, 128, **both) < fits(
        "duplex-node", "mixtral-8x7b", 16384, 8192, 128, "devices.xpu.count=8", **both
    )


def test_no_room_for_one_sequence_is_refused() -> None:
    with pytest.raises(CapacityError) as caught:
        fits("duplex-h100", "grok-1", 1024, 512, 32)
    assert "one sequence of 1,024 tokens beside grok-1 on a xpu: needs" in str(caught.value)
    assert "more devices" in str(caught.value)


def test_weights_that_do_not_fit_on_devices_of_their_own_are_refused() -> None:
    with pytest.raises(CapacityError, match="beside bloom-176b on a gpu"):
        fits("duplex-hetero", "bloom-176b", 1024, 512, 32, dispatch="experts_in_memory")
