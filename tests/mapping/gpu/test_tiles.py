"""Tiles of a matrix product do all of it, and fit in an SM."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.tiles import SPLITS, candidates, share_of_k, waves

CHIP = chip_of(load_system("h100-sxm"))
SIZES = st.integers(1, 40_000)


@given(SIZES, st.sampled_from(SPLITS), st.sampled_from(["bf16", "fp8", "fp4"]))
def test_parts_of_k_make_up_the_whole(k: int, split: int, dtype: str) -> None:
    part = share_of_k(k, split, dtype)
    assert part * split >= k
    assert part * split < k + split * 128 / (2 if dtype == "bf16" else 1) + 128


@given(st.integers(1, 10_000), st.integers(1, 200))
def test_waves_do_all_blocks(blocks: int, sms: int) -> None:
    assert waves(blocks, sms) * sms >= blocks
    assert waves(blocks, sms) >= 1
    assert waves(blocks + 1, sms) >= waves(blocks, sms)


def test_tiles_fit_in_an_sm() -> None:
    assert {each[:2] for each in candidates(CHIP)} == {(64, 64), (64, 128), (128, 128), (128, 256)}
    assert {each[:2] for each in candidates(replace(CHIP, shared_memory=40 * 1024))} == {(64, 64)}
    assert {each[:2] for each in candidates(replace(CHIP, registers=32 * 1024))} == {(64, 64)}
