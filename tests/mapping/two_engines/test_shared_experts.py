from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.two_engines.shared_experts import SharedExperts, shared_experts
from simulator.workload import load_model

MOST = 64


@pytest.fixture(scope="module")
def shared() -> SharedExperts:
    return shared_experts(load_system("duplex-node"), load_model("mixtral-8x7b"), (), "greedy", MOST)


@given(counts=arrays(np.int32, (3, 8), elements=st.integers(1, MOST)))
@settings(max_examples=20, deadline=None)
def test_two_engines_are_no_slower_than_the_faster_of_them(shared: SharedExperts, counts: np.ndarray) -> None:
    assert shared.speedup(counts) >= 1 - 1e-9
    assert shared.speedup(np.concatenate([counts, counts])) == pytest.approx(shared.speedup(counts), rel=1e-12)


def test_engines_are_told_by_their_ridge_and_not_by_their_order(shared: SharedExperts) -> None:
    names = ("xpu.pim", "xpu.xpu")
    other = shared_experts(load_system("duplex-node"), load_model("mixtral-8x7b"), names, "greedy", MOST)
    assert (other.high.each == shared.high.each).all()
    assert (other.low.each == shared.low.each).all()
    assert shared.low.each[1] < shared.high.each[1]  # few tokens wait for memory


@pytest.mark.parametrize(
    ("model", "engines", "how", "message"),
    [
        ("llama-2-7b", (), "greedy", "a model with experts"),
        ("mixtral-8x7b", ("xpu.pim",), "greedy", r"engines: found xpu\.pim, expected two engines"),
        ("mixtral-8x7b", (), "greed", "greedy"),
    ],
)
def test_what_cannot_share_is_refused(model: str, engines: tuple[str, ...], how: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shared_experts(load_system("duplex-node"), load_model(model), engines, how, MOST)
