"""Attention of an iteration in plain floats is attention of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.gpu.attention import DECODE, MLA_DECODE, MLA_PREFILL, PREFILL, DecodeLibrary, PrefillLibrary
from simulator.mapping.gpu.attention_once import DecodeOnce, PrefillOnce
from simulator.mapping.gpu.chip import chip_of

CHIPS = [chip_of(load_system(name)) for name in ("h100-sxm", "a100-sxm-80gb", "rtx4090-gen4")]
HEADS = st.one_of(
    st.builds(
        lambda kv, group, size: {"heads": kv * group, "kv_heads": kv, "head_dim": size},
        st.integers(1, 16), st.sampled_from([1, 3, 8, 71]), st.sampled_from([64, 128, 512]),
    ),
    st.builds(
        lambda heads, absorbed: {"op": "mla", "heads": heads, "head_dim": 128, "absorbed": absorbed},
        st.sampled_from([8, 16, 128]), st.sampled_from([0.0, 1.0]),
    ),
)  # fmt: skip
COMMON = {"t0": 1e-5, "ebw": st.sampled_from([0.5, 1.05]), "p": st.sampled_from([1.0, 2.7, 12.0])}


def libraries(form: Any, **choices: Any) -> Any:
    common = {key: each if isinstance(each, st.SearchStrategy) else st.just(each) for key, each in COMMON.items()}
    return st.builds(form, **common, **{key: st.sampled_from(each) for key, each in choices.items()})


PREFILLS = libraries(PrefillLibrary, packed=["one_token", "always"], tail=[1e-4, 0.9], epi=[0.0, 9.0])
DECODES = libraries(
    DecodeLibrary, reads=["group", "head"], splits=["fastest", "never", "captured"], regroup=[0.0, 1e-5],
    tau=[1e-10, 1.4e-6], sums=[0.0, 14.0], l2f=[0.02, 4.0],
)  # fmt: skip
FEW = settings(max_examples=60, deadline=None)


@FEW
@given(HEADS, st.sampled_from(CHIPS), DECODES, st.integers(1, 700), st.integers(1, 200_000), st.integers(1, 40))
def test_decode(heads: dict[str, Any], chip: Any, library: Any, sequences: int, context: int, number: int) -> None:
    kernel = MLA_DECODE if "op" in heads else DECODE
    keys = (context + sequences * np.arange(1.0, number + 1)) / sequences
    shape = {**heads, "op": kernel.name, "dtype": "bf16"}
    expected = kernel.seconds({**shape, "batch": sequences, "seq_kv": keys, "warm": 0.0}, chip, library) - library.t0
    once = DecodeOnce(shape, chip, library)
    np.testing.assert_allclose(once.over(sequences, keys), expected, rtol=1e-12)
    assert [once.seconds(sequences, 1.0, each) for each in keys] == pytest.approx(expected.tolist(), rel=1e-12)


@FEW
@given(
    HEADS, st.sampled_from(CHIPS), PREFILLS, st.integers(1, 40), st.integers(0, 9000), st.integers(0, 90_000),
    st.booleans(),
)  # fmt: skip
def test_prefill(
    heads: dict[str, Any], chip: Any, library: Any, prompts: int, more: int, past: int, causal: bool
) -> None:
    kernel = MLA_PREFILL if "op" in heads else PREFILL
    op = kernel.name if kernel is MLA_PREFILL else "attention_prefill_causal" if causal else "attention_prefill"
    queries = (prompts + more) / prompts
    shape = {**heads, "op": op, "dtype": "bf16"}
    sizes = {"batch": prompts, "seq_q": queries, "seq_kv": queries + past / prompts}
    expected = float(kernel.seconds({**shape, **sizes, "warm": 0.0}, chip, library)) - library.t0
    seconds = PrefillOnce(shape, chip, library).seconds(prompts, queries, sizes["seq_kv"])
    assert seconds == pytest.approx(expected, rel=1e-12)
