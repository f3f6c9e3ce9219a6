"""Experts on a GPU: every pick is somebody's, skew never helps, and the device with most is the one that is timed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.moe import MOE, ROWS, MoeLibrary, counts, load_of

CHIP = chip_of(load_system("h100-sxm"))
DISTRIBUTIONS = st.sampled_from(["balanced", "power_law_1.01", "power_law_1.2"])
SHAPE = {"op": "moe_ffn", "m": 256, "n": 2048, "k": 4096, "experts": 128, "top_k": 8}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.sampled_from([(8, 2), (64, 6), (128, 8), (160, 6)]), DISTRIBUTIONS, st.integers(0, 3))
def test_every_pick_is_of_one_expert(tokens: int, of: tuple[int, int], distribution: str, seed: int) -> None:
    experts, top_k = of
    drawn = counts(tokens, experts, top_k, 1, distribution, seed)
    assert np.all(drawn.sum(axis=1) == tokens * top_k)
    assert np.all((drawn >= 0) & (drawn <= tokens) & (drawn == np.round(drawn)))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 700), DISTRIBUTIONS, st.sampled_from([2, 4, 16]))
def test_the_device_that_counts_has_its_share_or_more(tokens: int, distribution: str, ways: int) -> None:
    rows = counts(tokens, 64, 6, ways, distribution).sum(axis=1)
    assert np.all(rows >= np.floor(tokens * 6 / ways) - 6 * (distribution == "balanced"))


def test_balanced_loads_differ_by_the_stride_alone() -> None:
    drawn = counts(1024, 64, 8, 1, "balanced")
    assert drawn.min() == drawn.max() == 1024 * 8 / 64


def test_tiles_hold_all_rows() -> None:
    load = load_of(300, 64, 6, 1, "power_law_1.2")
    assert all(tiles * rows >= load.rows for tiles, rows in zip(load.tiles, ROWS, strict=True))
    assert load.active <= 64


def test_the_same_seed_draws_the_same() -> None:
    assert np.array_equal(counts(99, 64, 6, 4, "power_law_1.2", 7), counts(99, 64, 6, 4, "power_law_1.2", 7))
    assert not np.array_equal(counts(99, 64, 6, 4, "power_law_1.2", 7), counts(99, 64, 6, 4, "power_law_1.2", 8))


def test_more_of_anything_takes_longer() -> None:
    base = MOE.seconds(SHAPE, CHIP, MoeLibrary())
    for change in ({"m": 4096}, {"n": 4096}, {"k": 8192}):
        assert MOE.seconds({**SHAPE, **change}, CHIP, MoeLibrary()) > base
    for ways in ({"tp": 4}, {"ep": 4}):
        assert MOE.seconds({**SHAPE, **ways}, CHIP, MoeLibrary()) < base


def test_experts_without_a_gate_take_less_and_are_a_kernel_of_their_own() -> None:
    plain = {**SHAPE, "matrices": 2}
    assert MOE.seconds(plain, CHIP, MoeLibrary()) < MOE.seconds(SHAPE, CHIP, MoeLibrary())
    assert MOE.work(plain)[0] == 2 / 3 * MOE.work(SHAPE)[0]
    assert str(MOE.variant(plain)) == "bf16 ungated"


def test_no_layer_is_faster_than_its_roofline() -> None:
    for tokens in (1, 64, 4096):
        shape = {**SHAPE, "m": tokens, "n": 16384}
        flops, _ = MOE.work(shape)
        weights = 3 * load_of(tokens, 128, 8, 1, "balanced").active * 16384 * 4096 * 2
        seconds = MOE.seconds(shape, CHIP, MoeLibrary(ebw=1.0))
        assert seconds >= max(flops / CHIP.rate("bf16"), weights / CHIP.bandwidth)


def test_wrong_ways_and_distributions_are_named() -> None:
    with pytest.raises(ConfigError, match="divisor of the 64 experts"):
        counts(8, 64, 6, 3, "balanced")
    with pytest.raises(ConfigError, match="power_law"):
        counts(8, 64, 6, 1, "zipf")
