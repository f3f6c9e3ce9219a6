"""Attention on a GPU: more to see takes no less, a mask never costs, and nothing beats its roofline."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.gpu.attention import DECODE, PREFILL, DecodeLibrary, PrefillLibrary
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.kernel import bound_by

CHIP = chip_of(load_system("h100-sxm"))
FEW = settings(max_examples=30, deadline=None)
BATCH, KV_HEADS, GROUP, SIZE = (
    st.integers(1, 64),
    st.integers(1, 16),
    st.integers(1, 16),
    st.sampled_from([64, 128, 256]),
)
TOKENS = st.integers(1, 20_000)


def prefill(
    batch: int, kv: int, group: int, size: int, queries: object, keys: object = None, op: str = "causal", **more
):
    shape = {"op": f"attention_prefill_{op}", "batch": batch, "heads": kv * group, "kv_heads": kv, "head_dim": size}
    return {**shape, "seq_q": queries, "seq_kv": queries if keys is None else keys, **more}


def decode(batch: int, kv: int, group: int, size: int, keys: object, **more):
    return {"op": "attention_decode", "batch": batch, "heads": kv * group, "kv_heads": kv, "head_dim": size,
            "seq_kv": keys, **more}  # fmt: skip


@FEW
@given(BATCH, KV_HEADS, GROUP, SIZE, TOKENS)
def test_a_causal_mask_never_costs(batch: int, kv: int, group: int, size: int, queries: int) -> None:
    masked = PREFILL.seconds(prefill(batch, kv, group, size, queries), CHIP, PrefillLibrary())
    full = PREFILL.seconds(prefill(batch, kv, group, size, queries, op="full"), CHIP, PrefillLibrary())
    assert masked <= full


@FEW
@given(BATCH, KV_HEADS, GROUP, SIZE, TOKENS)
def test_a_window_never_costs_and_a_wide_one_cuts_nothing(b: int, kv: int, group: int, size: int, tokens: int) -> None:
    for kernel, shape, library in (
        (PREFILL, prefill(b, kv, group, size, tokens), PrefillLibrary()),
        (DECODE, decode(b, kv, group, size, tokens), DecodeLibrary()),
    ):
        whole = kernel.seconds(shape, CHIP, library)
        assert kernel.seconds({**shape, "window": 512}, CHIP, library) <= whole
        assert kernel.seconds({**shape, "window": 30_000}, CHIP, library) == whole


@FEW
@given(BATCH, KV_HEADS, GROUP, SIZE, TOKENS)
def test_no_prompt_is_faster_than_its_roofline(batch: int, kv: int, group: int, size: int, queries: int) -> None:
    shape = prefill(batch, kv, group, size, queries)
    flops, _ = PREFILL.work(shape)
    assert PREFILL.seconds(shape, CHIP, PrefillLibrary()) >= PrefillLibrary().t0 + flops / CHIP.rate("bf16")


@FEW
@given(BATCH, KV_HEADS, GROUP, SIZE, TOKENS, st.integers(1, 4000))
def test_more_keys_take_no_less(batch: int, kv: int, group: int, size: int, keys: int, more: int) -> None:
    lengths = np.array([keys, keys + more], float)
    for kernel, shape, library in (
        (DECODE, decode(batch, kv, group, size, lengths), DecodeLibrary()),
        (PREFILL, prefill(batch, kv, group, size, 1 + 0 * lengths, lengths), PrefillLibrary()),
    ):
        short, long = kernel.seconds(shape, CHIP, library)
        assert long >= short * (1 - 1e-12)


def test_an_8_bit_cache_is_read_in_less_time() -> None:
    wide = decode(64, 8, 4, 128, 8192)
    library = DecodeLibrary(tau=1e-10, block=1e-9, step=1e-10)
    assert DECODE.seconds({**wide, "kv_dtype": "fp8"}, CHIP, library) < 0.6 * DECODE.seconds(wide, CHIP, library)


def test_heads_that_read_by_themselves_read_more() -> None:
    shape = decode(64, 1, 64, 128, 8192)
    alone = DECODE.parts(shape, CHIP, DecodeLibrary(reads="head"))
    assert np.isclose(alone["l2"], 64 * DECODE.parts(shape, CHIP, DecodeLibrary())["l2"])


def test_pairs_are_counted_as_one_by_one() -> None:
    for queries, keys, window in ((5, 5, 0), (3, 9, 0), (6, 10, 4), (7, 7, 3)):
        seen = [
            (q, k)
            for q in range(keys - queries, keys)
            for k in range(keys)
            if k <= q and (window == 0 or k > q - window)
        ]
        flops, _ = PREFILL.work(prefill(1, 1, 1, 64, queries, keys, window=window))
        assert flops == 4 * 64 * len(seen)


def test_many_shapes_at_once_are_each_alone() -> None:
    rng = np.random.default_rng(2)
    columns = {name: rng.integers(1, 40, 60).astype(float) for name in ("batch", "kv_heads", "head_dim", "seq_q")}
    columns["heads"] = columns["kv_heads"] * rng.integers(1, 9, 60)
    columns["seq_kv"] = columns["seq_q"] + rng.integers(0, 3000, 60)
    for kernel, library in ((PREFILL, PrefillLibrary()), (DECODE, DecodeLibrary())):
        together = kernel.seconds({"op": "causal", **columns}, CHIP, library)
        alone = [
            float(np.ravel(kernel.seconds({"op": "causal", **dict(zip(columns, row, strict=True))}, CHIP, library))[0])
            for row in zip(*columns.values(), strict=True)
        ]
        np.testing.assert_allclose(together, alone, rtol=1e-12)
        parts = kernel.parts({"op": "causal", **columns}, CHIP, library)
        assert all(np.all(each >= 0) for each in parts.values())


def test_decode_of_a_long_cache_streams_from_dram_and_of_a_short_one_waits_for_loads() -> None:
    shape = {"heads": 32, "kv_heads": 8, "head_dim": 128, "seq_q": 1}
    library = DECODE.library()
    long, short = ({**shape, "batch": batch, "seq_kv": keys} for batch, keys in ((64, 16384), (1, 512)))
    assert bound_by(DECODE, long, CHIP, library) == "dram"
    assert bound_by(DECODE, short, CHIP, library) in ("launch", "loads")
