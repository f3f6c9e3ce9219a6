"""Mixers whose state has a fixed size, however long the context: linear attention and state spaces."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.config.section import Section
from simulator.workload.formats.dtypes import Dtype
from simulator.workload.model.types import Count, Flag, Width


class LinearAttention(Section):
    """Linear attention: a head keeps one matrix `S` of `key_dim x value_dim`, which each token changes and reads.

    `lightning` adds `k v^T` to a decayed `S` (MiniMax, arXiv 2501.08313, section 2.2); `delta` first takes out what `S`
    has for `k`, with a gate on both (gated delta net, arXiv 2412.06464, equation 10; Kimi delta attention,
    arXiv 2510.26692, with a decay a channel).
    """

    rule: Literal["delta", "lightning"]
    """How a token changes the state."""
    key_heads: Count
    """How many heads queries and keys have."""
    value_heads: Count
    """How many heads values have: as many as `key_heads` or a multiple; each has a state."""
    key_dim: Count
    """Width of a query or key head."""
    value_dim: Count
    """Width of a value head."""
    conv: Width = 0
    """Taps of the causal convolution over queries, keys and values; 0: none."""
    gate: Flag = True
    """Whether a projection as wide as the values gates the output."""
    gate_rank: Count | None = None
    """Width of a latent from which that gate is made, where it is (Kimi Linear)."""
    decay_rank: Count | None = None
    """Of `delta`: width of a latent from which a decay a channel of the keys is made; else one a value head."""
    norm: Literal["head", "whole"] = "head"
    """Whether a norm, before the output projection, is over each value head, or over all as one vector."""
    state: Dtype = "fp32"
    """The format of the state."""
    chunk: Count = 64
    """Tokens that a prompt is computed in at once."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.value_heads % self.key_heads:
            raise ValueError(f"{self.value_heads} value_heads do not share {self.key_heads} key_heads evenly")
        return self

    @property
    def key_width(self) -> int:
        """Width of all keys."""
        return self.key_heads * self.key_dim

    @property
    def value_width(self) -> int:
        """Width of all values."""
        return self.value_heads * self.value_dim

    @property
    def mixed_width(self) -> int:
        """Width of queries, keys and values together, which the convolution goes over."""
        return 2 * self.key_width + self.value_width

    @property
    def state_size(self) -> int:
        """Numbers of the state of a sequence."""
        return self.value_heads * self.key_dim * self.value_dim


class StateSpace(Section):
    """A selective state space (Mamba, arXiv 2312.00752; Mamba 2, arXiv 2405.21060): a state of `inner x state` numbers.

    Mamba 2 has heads that share a decay, and groups of heads that share what enters and leaves the state. A convolution
    alone (LFM2) is gated before and behind, and has no state but the inputs that it sees.
    """

    kind: Literal["mamba", "mamba2", "conv"]
    """Which of them; `conv` is a convolution alone."""
    inner: Count
    """Width inside: all heads together."""
    state: Width = 0
    """Numbers of the state a channel; 0 of `conv`."""
    heads: Count | None = None
    """Of `mamba2`: how many heads share `inner`."""
    groups: Count = 1
    """Of `mamba2`: groups of heads."""
    dt_rank: Count | None = None
    """Of `mamba`: width from which the step size of each channel is made."""
    conv: Count = 4
    """Taps of the causal convolution."""
    conv_bias: Flag = True
    """Whether the convolution has a bias."""
    bias: Flag = False
    """Whether the projections in and out have biases."""
    norm: Flag = False
    """Whether there are norms inside: before the output (Mamba 2), on step size and what the state reads (Jamba)."""
    format: Dtype = "fp32"
    """The format of the state."""
    chunk: Count = 256
    """Of `mamba2`: tokens that a prompt is computed in at once."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if (self.kind == "conv") != (self.state == 0):
            raise ValueError("a conv has no state, and mamba and mamba2 need one")
        if self.kind == "mamba" and self.dt_rank is None:
            raise ValueError("mamba needs a dt_rank")
        if self.kind == "mamba2" and (self.heads is None or self.inner % self.heads or self.heads % self.groups):
            raise ValueError("mamba2 needs heads that divide inner, and groups that divide heads")
        return self

    @property
    def mixed_width(self) -> int:
        """Width that the convolution goes over: in Mamba 2 also what enters and leaves the state."""
        return self.inner + (2 * self.groups * self.state if self.kind == "mamba2" else 0)

    @property
    def in_width(self) -> int:
        """Width of what the projection in gives: what is mixed, its gates, in Mamba 2 the step size of each head."""
        gates, steps = 1 + (self.kind == "conv"), (self.heads or 0) * (self.kind == "mamba2")
        return gates * self.inner + self.mixed_width + steps

    @property
    def state_size(self) -> int:
        """Numbers of the state of a sequence."""
        return self.inner * self.state
